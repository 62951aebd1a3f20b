// From a density map to points, as dotcount.inference.find_peaks does it; that module's text explains both methods.

const LEAST_MASS = 0.1;
const AREA_PER_OBJECT = 16;
const KERNEL = [0.25, 1, 0.25];

// density: Float32Array of rows x columns; returns [[x, y, score], ...], px, strongest first.
export function findPeaks(density, rows, columns, stride, { method, radius, threshold }, [height, width]) {
  const cells = Float64Array.from(density);
  const most = cells.length * Math.max(1, stride ** 2 / AREA_PER_OBJECT);
  const find = method === "mass" ? byMass : byMaxima;
  const found = find(cells, rows, columns, radius, most).filter(([, , mass]) => mass >= Math.max(threshold, LEAST_MASS));
  found.sort((a, b) => b[2] - a[2]); // stable
  return found.map(([x, y, mass]) => [Math.min(x * stride, before(width)), Math.min(y * stride, before(height)), mass]);
}

function before(length) {
  return length * (1 - 2 ** -53);
}

// Correlate with an odd kernel along both axes; beyond the border there is nothing.
function correlate(cells, rows, columns, kernel) {
  const half = (kernel.length - 1) / 2;
  const along = (source, count, lines, step, jump) => {
    const out = new Float64Array(source.length);
    for (let line = 0; line < lines; line++) {
      for (let at = 0; at < count; at++) {
        let sum = 0;
        for (let k = Math.max(-half, -at); k <= Math.min(half, count - 1 - at); k++) {
          sum += source[line * jump + (at + k) * step] * kernel[k + half];
        }
        out[line * jump + at * step] = sum;
      }
    }
    return out;
  };
  return along(along(cells, rows, columns, columns, 1), columns, rows, 1, columns);
}

const ones = (radius) => new Array(2 * radius + 1).fill(1);

function byMass(cells, rows, columns, radius, most) {
  const side = 2 * radius + 1;
  const wide = columns + 2 * radius;
  const left = new Float64Array((rows + 2 * radius) * wide);
  for (let r = 0; r < rows; r++) left.set(cells.subarray(r * columns, (r + 1) * columns), (r + radius) * wide + radius);
  const rings = ringsOf(radius);
  const smooth = correlate(cells, rows, columns, KERNEL);
  const sums = correlate(cells, rows, columns, ones(radius));
  const heap = new Heap();
  for (let k = 0; k < cells.length; k++) {
    if (sums[k] >= LEAST_MASS) heap.push([-smooth[k], Math.floor(k / columns), k % columns]);
  }
  const strengthAt = (row, column) => {
    let sum = 0;
    for (let i = 0; i < 3; i++) {
      for (let j = 0; j < 3; j++) sum += left[(row + radius - 1 + i) * wide + column + radius - 1 + j] * KERNEL[i] * KERNEL[j];
    }
    return sum;
  };
  const found = [];
  const taken = new Float64Array(side * side);
  while (heap.size && found.length < most) {
    const [stored, row, column] = heap.pop();
    const at = (cell) => (row + Math.floor(cell / side)) * wide + column + (cell % side);
    let window = 0;
    for (let cell = 0; cell < side * side; cell++) window += left[at(cell)];
    if (window < LEAST_MASS) continue;
    const strength = strengthAt(row, column);
    if (strength < -stored - 1e-9) {
      heap.push([-strength, row, column]);
      continue;
    }
    const mass = takeUnit(rings, left, at, taken);
    if (mass < LEAST_MASS) continue;
    let [x, y] = [0, 0];
    for (let cell = 0; cell < side * side; cell++) {
      x += taken[cell] * ((cell % side) - radius + 0.5);
      y += taken[cell] * (Math.floor(cell / side) - radius + 0.5);
      left[at(cell)] -= taken[cell];
    }
    found.push([column + x / mass, row + y / mass, Math.round(mass * 1e12) / 1e12]);
    heap.push([-strengthAt(row, column), row, column]);
  }
  return found;
}

// Return the cells of a window grouped by distance from its middle, nearest first.
function ringsOf(radius) {
  const side = 2 * radius + 1;
  const groups = new Map();
  for (let cell = 0; cell < side * side; cell++) {
    const squared = (Math.floor(cell / side) - radius) ** 2 + ((cell % side) - radius) ** 2;
    if (!groups.has(squared)) groups.set(squared, []);
    groups.get(squared).push(cell);
  }
  return [...groups.keys()].sort((a, b) => a - b).map((key) => groups.get(key));
}

// Collect one unit of mass, nearest cells first; return how much there was.
function takeUnit(rings, left, at, taken) {
  let before_ = 0;
  let mass = 0;
  for (const ring of rings) {
    let there = 0;
    for (const cell of ring) there += left[at(cell)];
    const share = Math.min(Math.max((1 - before_) / Math.max(there, 1e-300), 0), 1);
    for (const cell of ring) {
      taken[cell] = left[at(cell)] * share;
      mass += taken[cell];
    }
    before_ += there;
  }
  return mass;
}

function byMaxima(cells, rows, columns, radius) {
  const smooth = correlate(cells, rows, columns, KERNEL);
  const order = Array.from(cells.keys()).sort((a, b) => cells[b] - cells[a] || smooth[b] - smooth[a] || a - b);
  const rank = new Float64Array(cells.length);
  order.forEach((cell, k) => {
    rank[cell] = cells.length - k;
  });
  const peaks = [];
  const heights = new Float64Array(cells.length);
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < columns; c++) {
      const k = r * columns + c;
      if (cells[k] > 0 && isHighest(rank, rows, columns, radius, r, c)) {
        peaks.push(k);
        heights[k] = cells[k];
      }
    }
  }
  const claimed = correlate(heights, rows, columns, ones(radius));
  const share = cells.map((value, k) => (claimed[k] > 0 ? value / claimed[k] : 0));
  const mass = correlate(share, rows, columns, ones(radius));
  const massX = correlate(share.map((value, k) => value * ((k % columns) + 0.5)), rows, columns, ones(radius));
  const massY = correlate(share.map((value, k) => value * (Math.floor(k / columns) + 0.5)), rows, columns, ones(radius));
  return peaks.map((k) => [massX[k] / mass[k], massY[k] / mass[k], cells[k] * mass[k]]);
}

function isHighest(rank, rows, columns, radius, r, c) {
  const own = rank[r * columns + c];
  for (let i = Math.max(0, r - radius); i <= Math.min(rows - 1, r + radius); i++) {
    for (let j = Math.max(0, c - radius); j <= Math.min(columns - 1, c + radius); j++) {
      if (rank[i * columns + j] > own) return false;
    }
  }
  return true;
}

// A binary heap of [key, row, column] in ascending order.
class Heap {
  constructor() {
    this.items = [];
  }

  get size() {
    return this.items.length;
  }

  push(item) {
    const { items } = this;
    let k = items.push(item) - 1;
    while (k > 0) {
      const up = (k - 1) >> 1;
      if (!less(item, items[up])) break;
      items[k] = items[up];
      k = up;
    }
    items[k] = item;
  }

  pop() {
    const { items } = this;
    const first = items[0];
    const last = items.pop();
    if (!items.length) return first;
    let k = 0;
    for (;;) {
      let child = 2 * k + 1;
      if (child >= items.length) break;
      if (child + 1 < items.length && less(items[child + 1], items[child])) child += 1;
      if (!less(items[child], last)) break;
      items[k] = items[child];
      k = child;
    }
    items[k] = last;
    return first;
  }
}

function less(a, b) {
  return a[0] !== b[0] ? a[0] < b[0] : a[1] !== b[1] ? a[1] < b[1] : a[2] < b[2];
}
