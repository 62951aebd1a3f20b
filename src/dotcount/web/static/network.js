// The density of an image of any size, in tiles where it is large, as dotcount.inference has it.

import { FeaturePool } from "./familiarity.js";

const WINDOW = 3e6; // px that the network sees at a time, where its context is short
const WIDE_WINDOW = 8e6; // where it is long, so that tiles don't consist of context

// run(Float32Array of 3 x height x width, height, width, pooled) -> {cells, features}, the latter if asked for; facts:
// stride, size_multiple, receptive_radius, ground. image: {data: r g b bytes, width, height}. Returns {density, rows,
// columns, features}: features of the whole image, null where the network gives none.
export async function densityOf(run, image, facts, mirror, progress) {
  const { width, height } = image;
  const { stride } = facts;
  const [rows, columns] = [Math.ceil(height / stride), Math.ceil(width / stride)];
  const density = new Float32Array(rows * columns);
  const tiles = plan(width, height, facts);
  const pool = new FeaturePool(facts.size_multiple, height, width);
  for (const [done, tile] of tiles.entries()) {
    progress(done / tiles.length);
    const [w, h] = [tile.right - tile.left, tile.bottom - tile.top];
    const { cells: part, features } = await cellsOf(run, image, tile, facts, mirror);
    pool.add(features, tile);
    const partColumns = Math.ceil(w / stride);
    const [r0, c0] = [tile.coreTop / stride, tile.coreLeft / stride];
    const [rowsIn, columnsIn] = [(tile.coreTop - tile.top) / stride, (tile.coreLeft - tile.left) / stride];
    const coreRows = Math.ceil((tile.coreBottom - tile.coreTop) / stride);
    const coreColumns = Math.ceil((tile.coreRight - tile.coreLeft) / stride);
    if (part.length !== Math.ceil(h / stride) * partColumns) throw new Error("The network returned another size than it should.");
    for (let r = 0; r < coreRows; r++) {
      const from = (rowsIn + r) * partColumns + columnsIn;
      density.set(part.subarray(from, from + coreColumns), (r0 + r) * columns + c0);
    }
  }
  return { density, rows, columns, features: pool.features() };
}

function plan(width, height, { size_multiple: multiple, receptive_radius: radius }) {
  const whole = { left: 0, top: 0, right: width, bottom: height, coreLeft: 0, coreTop: 0, coreRight: width, coreBottom: height };
  const window = radius > 256 ? WIDE_WINDOW : WINDOW;
  if (radius === null || width * height <= window) return [whole];
  const margin = Math.ceil(radius / multiple) * multiple;
  const [coreRows, coreColumns] = cut(width, height, margin, multiple, window);
  const tiles = [];
  for (let top = 0; top < height; top += coreRows) {
    for (let left = 0; left < width; left += coreColumns) {
      const [coreBottom, coreRight] = [Math.min(top + coreRows, height), Math.min(left + coreColumns, width)];
      tiles.push({
        left: Math.max(left - margin, 0),
        top: Math.max(top - margin, 0),
        right: Math.min(coreRight + margin, width),
        bottom: Math.min(coreBottom + margin, height),
        coreLeft: left,
        coreTop: top,
        coreRight,
        coreBottom,
      });
    }
  }
  return tiles;
}

// Return [height, width] of the cores with which the network computes the fewest pixels, in windows of at most so many.
function cut(width, height, margin, multiple, window) {
  const side = Math.max(multiple, Math.floor((Math.sqrt(window) - 2 * margin) / multiple) * multiple);
  const [down, across] = [height, width].map((length) =>
    Array.from({ length: Math.ceil(length / side) }, (_, k) => {
      const core = Math.ceil(length / ((k + 1) * multiple)) * multiple;
      let [most, total] = [0, 0];
      for (let at = 0; at < length; at += core) {
        const seen = Math.min(at + core + margin, length) - Math.max(at - margin, 0);
        [most, total] = [Math.max(most, seen), total + seen];
      }
      return { core, most, total };
    }),
  );
  let best = null;
  for (const row of down) {
    for (const column of across) {
      if (row.most * column.most > window) continue;
      const work = row.total * column.total;
      if (!best || work < best.work) best = { work, cores: [row.core, column.core] };
    }
  }
  return best?.cores ?? [down.at(-1).core, across.at(-1).core];
}

// Return the cells of a window and its features; with `mirror` the mean with those of the mirror image, mirrored back.
async function cellsOf(run, image, tile, { stride, size_multiple: multiple, ground }, mirror) {
  const [w, h] = [tile.right - tile.left, tile.bottom - tile.top];
  const { cells, features } = await run(planes(image, tile, w, h, ground, false), h, w, true);
  if (!mirror) return { cells, features };
  // Mirrored after padding, so that the cells of both fall on each other whatever the image's size.
  const [wide, high] = [w + (((-w % multiple) + multiple) % multiple), h + (((-h % multiple) + multiple) % multiple)];
  const { cells: mirrored } = await run(planes(image, tile, wide, high, ground, true), high, wide, false);
  const [columns, wideColumns] = [Math.ceil(w / stride), Math.ceil(wide / stride)];
  const both = cells.map((value, k) => {
    const [row, column] = [Math.floor(k / columns), k % columns];
    return 0.5 * Math.fround(value + mirrored[row * wideColumns + wideColumns - 1 - column]);
  });
  return { cells: both, features };
}

// Return red, green and blue in [0, 1] of a window, padded right and bottom, mirrored if asked for.
function planes(image, tile, wide, high, ground, mirror) {
  const out = new Float32Array(3 * wide * high);
  const [w, h] = [tile.right - tile.left, tile.bottom - tile.top];
  for (let band = 0; band < 3; band++) {
    const plane = out.subarray(band * wide * high, (band + 1) * wide * high);
    plane.fill(ground[band]);
    for (let y = 0; y < h; y++) {
      const from = 3 * ((tile.top + y) * image.width + tile.left) + band;
      for (let x = 0; x < w; x++) plane[y * wide + (mirror ? wide - 1 - x : x)] = image.data[from + 3 * x] / 255;
    }
  }
  return out;
}
