// Counting in the page itself: the network and all its settings are part of the page, and no photo leaves it.

import { start } from "./count.js";
import { cellsInside, doubts, familiarityOf, oddCount, oddDistances } from "./familiarity.js";
import { densityOf } from "./network.js";
import { findPeaks } from "./peaks.js";
import { readPhoto, resize, resizedSize } from "./pixels.js";
import { resultsOf } from "./results.js";

const FAINT = 0.1; // objects a smoothed patch below which nothing is stretched to the brightest colour

class Local {
  place = "Photos stay in this browser: nothing is sent anywhere.";

  async info() {
    this.settings = JSON.parse(document.getElementById("settings").textContent);
    this.run = await network();
    return this.settings.info;
  }

  async count(photo, tell) {
    const { settings } = this;
    const { metadata, facts } = settings;
    if (!this.run) throw new Error("The network can't be started in this browser.");
    tell("reading…");
    const image = await readPhoto(photo.file);
    const { width, height } = image;
    const small = resize(image, ...resizedSize(metadata.input.resize, width, height));
    const tellShare = (share) => tell(share ? `counting… ${Math.round(100 * share)} %` : "counting…");
    const { density, rows, columns, features } = await densityOf(this.run, small, facts, metadata.mirror, tellShare);
    const [rowsInside, columnsInside] = [cellsInside(rows, facts.stride, small.height), cellsInside(columns, facts.stride, small.width)];
    let count = 0;
    for (let k = 0; k < density.length; k++) {
      const outside = Math.floor(k / columns) >= rowsInside || k % columns >= columnsInside;
      density[k] = outside ? 0 : Math.fround(density[k] * Math.fround(metadata.count_scale));
      count += density[k];
    }
    if (!Number.isFinite(count)) throw new Error("The density is not finite; use another model for this photo.");
    const scale = [width / small.width, height / small.height];
    const peaks = findPeaks(density, rows, columns, facts.stride, metadata.peaks, [small.height, small.width]);
    const stride = [facts.stride * scale[0], facts.stride * scale[1]];
    photo.picture = image.bitmap;
    photo.cells = density;
    photo.peaks = peaks.map(([x, y, score]) => [x * scale[0], y * scale[1], score]);
    photo.located = Float32Array.from(photo.peaks.flat());
    const familiarity = familiarityOf(settings.known, features);
    const { warnings: doubted, larger } = doubts(settings.known, familiarity, small);
    const odd = [...oddDistances(settings.distances, photo.peaks), ...doubted, ...oddCount(settings.count_range, count)];
    const warnings = [...image.notes, ...settings.notes, ...odd];
    const interval = larger ? null : around(count, metadata.interval?.scale);
    const found = { count, interval, points: peaks.length, familiarity, warnings };
    return { ...found, width, height, rows, columns, stride, heat: heat(density, stride) };
  }

  show(viewer, photo) {
    viewer.setPicture(photo.picture, photo.result.width, photo.result.height);
  }

  async points(photo) {
    return photo.located;
  }

  async density(photo) {
    return photo.cells;
  }

  async regions(photo, regions) {
    const { width, height, columns, stride, interval } = photo.result;
    const part = interval && this.settings.metadata.interval?.part_scale;
    return regions.map(({ corners }) => {
      let count = 0;
      for (let k = 0; k < photo.cells.length; k++) {
        if (!photo.cells[k]) continue;
        const [x, y] = [(k % columns) * stride[0], Math.floor(k / columns) * stride[1]];
        const box = [x, y, Math.min(x + stride[0], width), Math.min(y + stride[1], height)];
        if (apart(corners, box)) continue;
        count += (photo.cells[k] * area(clipped(corners, box))) / ((box[2] - box[0]) * (box[3] - box[1]));
      }
      return { count, area: area(clipped(corners, [0, 0, width, height])), notes: [], interval: around(count, part) };
    });
  }

  async sum() {
    return { interval: null, reason: "It is not computed on this page." };
  }

  results(photos, output) {
    return resultsOf(photos, output);
  }

  remove(photo) {
    photo.picture?.close?.();
  }
}

function around(count, scale) {
  if (scale === null || scale === undefined) return null;
  const reach = scale * Math.sqrt(count + 1);
  return [Math.max(0, count - reach), count + reach];
}

function heat(density, [sx, sy]) {
  const cells = Float64Array.from(density.filter((value) => value > 0)).sort();
  const high = cells.length ? cells[Math.floor(0.999 * (cells.length - 1))] / (sx * sy) : 0;
  const top = Math.max(high, FAINT / (2 * Math.PI * (Math.max(sx, sy) / 2) ** 2));
  const least = 1 / Math.sqrt(top);
  const power = least > 1 ? 10 ** Math.floor(Math.log10(least)) : 1;
  const side = [1, 2, 5, 10].map((step) => step * power).find((one) => one >= least * (1 - 1e-9));
  const ticks = [0, 0.5, 1].map((place) => [place, String(Number((top * side * side * place * place).toPrecision(2)))]);
  return { top, unit: `objects per ${side} × ${side} px`, ticks };
}

function apart(corners, [left, top, right, bottom]) {
  return corners.every(([x]) => x <= left) || corners.every(([x]) => x >= right) || corners.every(([, y]) => y <= top) || corners.every(([, y]) => y >= bottom);
}

// Cut an outline to a box, one side after the other (Sutherland and Hodgman 1974).
function clipped(corners, [left, top, right, bottom]) {
  let ring = corners;
  for (const [axis, limit, sign] of [[0, left, 1], [1, top, 1], [0, right, -1], [1, bottom, -1]]) {
    const kept = [];
    ring.forEach((to, k) => {
      const from = ring[(k + ring.length - 1) % ring.length];
      const [a, b] = [sign * (from[axis] - limit), sign * (to[axis] - limit)];
      if (a < 0 !== b < 0) kept.push(from.map((value, i) => value + ((to[i] - value) * a) / (a - b)));
      if (b >= 0) kept.push(to);
    });
    ring = kept;
  }
  return ring;
}

function area(ring) {
  const twice = ring.reduce((sum, [x, y], k) => sum + x * ring[(k + 1) % ring.length][1] - ring[(k + 1) % ring.length][0] * y, 0);
  return Math.abs(twice) / 2;
}

async function unpacked(id) {
  const text = document.getElementById(id).textContent;
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).arrayBuffer();
}

// Start ONNX Runtime in a worker of its own, so that the page stays at hand while it counts.
async function network() {
  const [ort, wasm, model] = await Promise.all(["ort", "wasm", "onnx"].map(unpacked));
  const script = document.getElementById("worker").textContent;
  // No module: Chromium starts none from a page that was opened from a disk.
  const worker = new Worker(URL.createObjectURL(new Blob([script], { type: "text/javascript" })));
  const waiting = [];
  worker.onmessage = ({ data }) => {
    const { done, failed } = waiting.shift();
    if (data.error) failed(new Error(data.error));
    else done(data);
  };
  worker.onerror = (event) => {
    event.preventDefault();
    waiting.shift()?.failed(new Error("The network can't be started in this browser."));
  };
  const ask = (message, moved) => new Promise((done, failed) => {
    waiting.push({ done, failed });
    worker.postMessage(message, moved);
  });
  const code = new Blob([ort], { type: "text/javascript" });
  await ask({ code, wasm, model }, [wasm, model]);
  return (planes, height, width, pooled) => ask({ planes, height, width, pooled }, [planes.buffer]);
}

start(new Local());
