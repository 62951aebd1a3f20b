// What a page that counts by itself gives as files: a table, points as GeoJSON, pictures with what was found.

import { csvBlob } from "./api.js";
import { DensityLayer, PointLayer, RegionLayer, drawRamp, shown } from "./layers.js";

const LEAST_SIDE = 512; // px of the longer side of a picture
const MOST_SIDE = 1600;
const STRIP = 58; // px below the picture, for the count and what the colours mean

// Return {blob, name} of the results of photos: one file, or an archive of one for each photo.
export async function resultsOf(photos, output) {
  if (output === "csv") return { blob: table(photos), name: "counts.csv" };
  const [suffix, write] = output === "geojson" ? [".geojson", geojson] : [".png", picture];
  const taken = new Set();
  const files = [];
  for (const photo of photos) files.push({ name: free(photo.name, suffix, taken), blob: await write(photo) });
  if (files.length === 1) return { blob: files[0].blob, name: files[0].name.replace(/^.*\//, "") };
  return { blob: await archive(files), name: `${output}.zip` };
}

function table(photos) {
  const rows = [["image", "count", "low", "high", "points", "warning", "familiarity"]];
  for (const { name, result } of photos) {
    const { count, interval, points, warnings, familiarity } = result;
    const rounded = familiarity === null ? "" : Math.round(familiarity * 1000) / 1000;
    rows.push([name, count, ...(interval ?? ["", ""]), points, warnings.join("; "), rounded]);
  }
  return csvBlob(rows);
}

// As `dotcount predict --write geojson`: one feature with all points, px of the photo.
function geojson({ peaks }) {
  const geometry = { type: "MultiPoint", coordinates: peaks.map(([x, y]) => [x, y]) };
  const features = peaks.length ? [{ type: "Feature", geometry, properties: { objectType: "annotation" } }] : [];
  return new Blob([`${JSON.stringify({ type: "FeatureCollection", features })}\n`], { type: "application/geo+json" });
}

async function picture({ picture: bitmap, cells, located, regions, result }) {
  const { width, height, rows, columns, stride, heat, count, interval, points } = result;
  const longer = Math.max(width, height);
  const scale = Math.min(Math.max(longer, LEAST_SIDE), MOST_SIDE) / longer;
  const [wide, high] = [width, height].map((side) => Math.max(1, Math.round(side * scale)));
  const canvas = new OffscreenCanvas(Math.max(wide, 320), high + STRIP);
  const context = canvas.getContext("2d");
  context.fillStyle = "white";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(bitmap, 0, 0, wide, high);
  const [density, dots, outlines] = [new DensityLayer(), new PointLayer(), new RegionLayer()];
  density.set(cells, rows, columns, stride, heat.top, width, height);
  dots.points = located;
  outlines.regions = regions;
  const view = { x: 0, y: 0, width: wide, height: high, scale };
  for (const layer of [density, dots, outlines]) {
    context.save();
    layer.draw(context, view);
    context.restore();
  }
  const range = interval ? ` (${shown(interval[0])} to ${shown(interval[1])})` : "";
  caption(context, high, `count ${shown(count)}${range}, ${points.toLocaleString("en")} located`, heat);
  return canvas.convertToBlob({ type: "image/png" });
}

function caption(context, top, text, heat) {
  const ramp = new OffscreenCanvas(128, 1);
  drawRamp(ramp);
  context.fillStyle = "#1a1a1a";
  context.textBaseline = "middle";
  context.textAlign = "left";
  context.font = "600 16px system-ui, sans-serif";
  context.fillText(text, 8, top + 16);
  context.font = "12px system-ui, sans-serif";
  context.drawImage(ramp, 8, top + 30, 128, 10);
  context.fillText(heat.unit, 144, top + 36);
  for (const [place, number] of heat.ticks) {
    context.textAlign = { 0: "left", 1: "right" }[place] ?? "center";
    context.fillText(number, 8 + 128 * place, top + 49);
  }
}

// Return a name with another ending that is not taken yet; phones call every photo image.jpg.
function free(name, suffix, taken) {
  const stem = name.replace(/\.[^./]*$/, "") || name;
  let found = stem + suffix;
  for (let k = 2; taken.has(found); k++) found = `${stem}~${k}${suffix}`;
  taken.add(found);
  return found;
}

// Return a zip archive of files, not compressed (APPNOTE.TXT of PKWARE; names are UTF-8).
async function archive(files) {
  const [parts, listed] = [[], []];
  let offset = 0;
  for (const { name, blob } of files) {
    const data = new Uint8Array(await blob.arrayBuffer());
    const path = new TextEncoder().encode(name);
    const fields = [20, 0x800, 0, 0, 0x21, [checksum(data)], [data.length], [data.length], path.length, 0];
    const head = packed([[0x04034b50], ...fields]);
    parts.push(head, path, data);
    listed.push(packed([[0x02014b50], 20, ...fields, 0, 0, 0, [0], [offset]]), path);
    offset += head.length + path.length + data.length;
  }
  const size = listed.reduce((sum, part) => sum + part.length, 0);
  const end = packed([[0x06054b50], 0, 0, files.length, files.length, [size], [offset], 0]);
  return new Blob([...parts, ...listed, end], { type: "application/zip" });
}

// Return numbers as little-endian bytes: two each, four for one in brackets.
function packed(numbers) {
  return Uint8Array.from(
    numbers.flatMap((one) => {
      const [value, size] = Array.isArray(one) ? [one[0], 4] : [one, 2];
      return Array.from({ length: size }, (_, k) => (value >>> (8 * k)) & 255);
    }),
  );
}

function checksum(data) {
  let crc = -1;
  for (const byte of data) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}
