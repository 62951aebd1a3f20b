// What sets a photo apart from the training images, in the words of `dotcount predict`; see dotcount.inference.features,
// dotcount.metadata.Familiarity and dotcount.prediction.scale.

const EDGE = 32; // px that are left out at each edge, along sides of at least four times this

// Return how many of the cells along a side have their middle inside an image of this length.
export function cellsInside(cells, stride, length) {
  let found = 0;
  while (found < cells && stride * (found + 0.5) < length) found += 1;
  return found;
}

// Pools the network's features of a photo, whole or in tiles: means, then standard deviations over the cells.
export class FeaturePool {
  constructor(multiple, height, width) {
    Object.assign(this, { multiple, rows: inner(height), columns: inner(width), layers: [] });
  }

  // features: [{data, shape: [channels, rows, columns]}, ...] of the window of a tile
  add(features, tile) {
    features.forEach(({ data, shape: [channels, rows, columns] }, k) => {
      const layer = (this.layers[k] ??= { sums: new Float64Array(channels), squares: new Float64Array(channels), cells: 0 });
      const [top, bottom] = this._range(rows, tile.top, tile.bottom, tile.coreTop, tile.coreBottom, this.rows);
      const [left, right] = this._range(columns, tile.left, tile.right, tile.coreLeft, tile.coreRight, this.columns);
      for (let channel = 0; channel < channels; channel++) {
        let [sum, square] = [0, 0];
        for (let row = top; row < bottom; row++) {
          const start = (channel * rows + row) * columns;
          for (let at = start + left; at < start + right; at++) {
            sum += data[at];
            square += data[at] * data[at];
          }
        }
        layer.sums[channel] += sum;
        layer.squares[channel] += square;
      }
      layer.cells += Math.max(0, bottom - top) * Math.max(0, right - left);
    });
  }

  // Return the features; null where the network gives none.
  features() {
    if (!this.layers.length) return null;
    const [means, deviations] = [[], []];
    for (const { sums, squares, cells } of this.layers) {
      sums.forEach((sum, channel) => {
        const mean = sum / Math.max(1, cells);
        means.push(mean);
        deviations.push(Math.sqrt(Math.max(0, squares[channel] / Math.max(1, cells) - mean * mean)));
      });
    }
    return [...means, ...deviations];
  }

  _range(cells, low, high, coreLow, coreHigh, [from, to]) {
    const first = Math.max(coreLow, from);
    const last = Math.max(first, Math.min(coreHigh, to));
    const stride = (Math.ceil((high - low) / this.multiple) * this.multiple) / cells;
    // A photo smaller than half a cell has one all the same.
    return [cellsInside(cells, stride, first - low), Math.max(cellsInside(cells, stride, last - low), first === low ? 1 : 0)];
  }
}

function inner(side) {
  return side >= 4 * EDGE ? [EDGE, side - EDGE] : [0, side];
}

// Return what describes a photo: of the channels that there is a ground for, the last ones, the mean by the standard
// deviation, then the logarithm of the latter; see dotcount.metadata.familiarity.described.
function described(features, ground) {
  const half = features.length / 2;
  const spread = ground.map((least, i) => features[2 * half - ground.length + i] + least);
  const means = features.slice(half - ground.length, half);
  return [...means.map((mean, i) => mean / spread[i]), ...spread.map(Math.log)];
}

// Return how like the training images a photo is, 0 to 1; null where that is not known.
export function familiarityOf(known, features) {
  if (!known || !features) return null;
  const bytes = Uint8Array.from(atob(known.statistics), (letter) => letter.charCodeAt(0));
  const numbers = new DataView(bytes.buffer);
  const { features: size, relative } = known;
  const rows = 2 + known.variances.length + (relative ? 1 : 0);
  const fits = relative ? features.length >= size : features.length === size;
  if (bytes.length !== 4 * rows * size || !fits) throw new Error("The statistics are of another network.");
  const row = (k) => (i) => numbers.getFloat32(4 * (k * size + i), true);
  const [mean, unit] = [row(0), row(1)];
  const told = relative ? described(features, Array.from({ length: size / 2 }, (_, i) => row(rows - 1)(i))) : features;
  const z = told.map((value, i) => (value - mean(i)) / unit(i));
  if (!z.every(Number.isFinite)) return 0;
  let outside = z.reduce((sum, value) => sum + value * value, 0);
  let squared = 0;
  known.variances.forEach((variance, k) => {
    const axis = row(2 + k);
    const along = z.reduce((sum, value, i) => sum + axis(i) * value, 0);
    squared += along * along;
    outside -= along * along * variance;
  });
  const distance = Math.sqrt((squared + Math.max(outside, 0) / known.rest) / size);
  return 1 / (1 + (distance / known.threshold) ** 2);
}

// Return {warnings, larger}: what to say, and whether the photo is too large for an interval. small: what the network saw.
export function doubts(known, familiarity, { data, width, height }) {
  if (!known) return { warnings: [], larger: false };
  const warnings = [];
  if (familiarity !== null && familiarity < known.warn_below) {
    warnings.push(`unlike the training images (familiarity ${familiarity.toFixed(2)}): the interval may not hold`);
  }
  let sum = 0;
  for (let k = 0; k < data.length; k++) sum += data[k];
  const [brightness, [dark, bright]] = [sum / data.length / 255, known.brightness];
  if (brightness < dark - known.margin || brightness > bright + known.margin) {
    warnings.push(`mean brightness ${brightness.toFixed(2)} outside the ${dark.toFixed(2)} to ${bright.toFixed(2)} of training`);
  }
  const larger = known.area > 0 && width * height > known.most;
  if (larger) {
    const times = Math.round((width * height) / known.area);
    warnings.push(`${times.toLocaleString("en")} times as large as the largest training image: no interval is promised`);
  }
  return { warnings, larger };
}

// Return what is to be said of a count beyond those of the training images.
export function oddCount(range, count) {
  if (!range || !range.max) return [];
  if (count <= range.max * 1.1 + 1 && count >= range.min * 0.9 - 1) return [];
  return [`count outside the ${range.min.toLocaleString("en")} to ${range.max.toLocaleString("en")} of the training images`];
}

// Return what is to be said of points [[x, y, ...], ...] that lie unlike far from each other.
export function oddDistances(sizes, points) {
  if (!sizes || points.length < sizes.points) return [];
  const [least, most] = sizes.range;
  const found = spacing(points);
  if (found >= least / sizes.margin && found <= most * sizes.margin) return [];
  const [shown, low, high] = [found, least, most].map((value) => Number(value.toPrecision(3)));
  return [
    `neighbours lie ${shown} px apart, ${low} to ${high} px in the training images; if the objects are larger or smaller ` +
      "than there, give `object_size`",
  ];
}

// Return the median distance of a point to the nearest other.
function spacing(points) {
  const sorted = [...points].sort((a, b) => a[0] - b[0]);
  const nearest = sorted.map(([x, y], k) => {
    let best = Infinity;
    for (const step of [-1, 1]) {
      for (let j = k + step; j >= 0 && j < sorted.length && Math.abs(sorted[j][0] - x) < best; j += step) {
        best = Math.min(best, Math.hypot(sorted[j][0] - x, sorted[j][1] - y));
      }
    }
    return best;
  });
  nearest.sort((a, b) => a - b);
  const half = nearest.length >> 1;
  return nearest.length % 2 ? nearest[half] : (nearest[half - 1] + nearest[half]) / 2;
}
