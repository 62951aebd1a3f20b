// The page that counts photos: what is dropped is counted, one after the other, and shown.
//
// Who counts is the backend: the server that sent the page (server.js), or the page itself (local.js). It has
//   place                  : a sentence that says where photos go
//   info()                 -> {run, model, data, level, caution, outputs, suffixes}; outputs: what results() can write;
//                             suffixes: endings of the files that it reads
//   count(photo)           -> {count, interval, points, width, height, rows, columns, stride, heat, warnings}
//   show(viewer, photo), points(photo), density(photo), regions(photo, list), results(photos, output), remove(photo)
//   sum(photos)            -> {interval, reason} of the sum of their counts; interval is [low, high], or null for a reason
// where a photo is {name, file, result, ...}.

import { csvBlob, make, save } from "./api.js";
import { DensityLayer, PointLayer, RegionLayer, drawRamp, shown } from "./layers.js";
import { RegionTool } from "./regions.js";
import { Viewer } from "./viewer.js";

const $ = (id) => document.getElementById(id);
const viewer = new Viewer($("stage"));
const points = new PointLayer();
const density = new DensityLayer();
const regions = new RegionLayer();
viewer.layers.push(density, points, regions);

const photos = []; // {name, file, row, id, result, error, regions}
let current = null;
let backend = null;
let working = false;
let suffixes = [".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".avif"];

export async function start(counting) {
  backend = counting;
  drawRamp($("ramp"));
  listen();
  try {
    const info = await backend.info();
    for (const button of document.querySelectorAll("[data-write]")) button.hidden = !info.outputs.includes(button.dataset.write);
    suffixes = info.suffixes ?? suffixes;
    $("files").accept = ["image/*", ...suffixes].join();
    const level = info.level ? `${Math.round(100 * info.level)}\u00a0%` : "";
    const about = `network ${info.model}${info.data ? `, trained on ${info.data}` : ""}`;
    $("model").textContent = `${info.run} (${about}), ${level ? `with intervals of ${level}` : "without intervals"}`;
    $("interval-head").textContent = level ? `${level} interval` : "Interval";
    $("place").textContent = backend.place;
    if (info.caution) say(info.caution);
  } catch (error) {
    $("model").textContent = "The model can't be loaded.";
    say(error.message, true);
  }
}

function listen() {
  for (const id of ["files", "folder", "camera"]) {
    $(id).addEventListener("change", () => {
      take([...$(id).files].map((file) => ({ file, name: file.webkitRelativePath || file.name })));
      $(id).value = "";
    });
  }
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    document.body.classList.add("dragging");
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) document.body.classList.remove("dragging");
  });
  document.addEventListener("drop", async (event) => {
    event.preventDefault();
    document.body.classList.remove("dragging");
    take(await dropped(event.dataTransfer));
  });
  document.addEventListener("paste", (event) => take([...event.clipboardData.files].map((file) => ({ file, name: file.name }))));
  $("zoom-in").onclick = () => viewer.zoom(1.5);
  $("zoom-out").onclick = () => viewer.zoom(1 / 1.5);
  $("zoom-all").onclick = () => viewer.fit();
  $("show-points").onclick = () => toggle($("show-points"), points);
  $("show-density").onclick = () => toggle($("show-density"), density);
  $("draw-region").onclick = () => drawRegion();
  $("save-regions").onclick = saveRegions;
  $("clear").onclick = clear;
  for (const button of document.querySelectorAll("[data-write]")) button.onclick = () => download(button);
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName)) return;
    const actions = { p: () => $("show-points").click(), d: () => $("show-density").click(), r: () => drawRegion(true), n: () => step(1), b: () => step(-1) };
    if (!current || !actions[event.key]) return;
    event.preventDefault();
    actions[event.key]();
  });
}

// Return the files of a drop, those in folders, too.
async function dropped(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return [...transfer.files].map((file) => ({ file, name: file.name }));
  const found = [];
  for (const entry of entries) await collect(entry, found);
  return found;
}

async function collect(entry, found) {
  if (entry.isFile) {
    const file = await new Promise((done, failed) => entry.file(done, failed));
    found.push({ file, name: entry.fullPath.replace(/^\//, "") });
    return;
  }
  const reader = entry.createReader();
  for (;;) {
    const part = await new Promise((done, failed) => reader.readEntries(done, failed));
    if (!part.length) return;
    for (const inner of part) await collect(inner, found);
  }
}

// Queue files; hidden ones and what is plainly no picture in a folder is passed over, and said.
function take(files) {
  const passed = [];
  for (const { file, name } of files) {
    const inFolder = name.includes("/");
    if (inFolder && (file.name.startsWith(".") || !isPicture(file))) passed.push(name);
    else photos.push({ name, file, row: addRow(name), regions: [] });
  }
  if (passed.length) say(`${passed.length} of the files are no pictures and were left out, the first ${passed[0]}.`);
  $("list-card").hidden = !photos.length;
  work();
}

function isPicture(file) {
  return file.type.startsWith("image/") || suffixes.includes(/\.[^.]*$/.exec(file.name)?.[0].toLowerCase());
}

function addRow(name) {
  const row = make("tr");
  const label = make("td", {}, name);
  row.append(label, make("td", { className: "number" }, "waiting"), make("td", { className: "number" }));
  $("list").append(row);
  return row;
}

async function work() {
  if (working) return;
  working = true;
  try {
    for (let photo; (photo = photos.find((one) => !one.result && !one.error)); ) await count(photo);
  } finally {
    working = false;
    for (const button of document.querySelectorAll("[data-write]")) button.disabled = !counted().length;
  }
}

function counted() {
  return photos.filter((photo) => photo.result);
}

async function count(photo) {
  const cell = photo.row.children[1];
  try {
    photo.result = await backend.count(photo, (text) => {
      cell.textContent = text;
    });
    fill(photo);
    if (!current || !current.result) show(photo);
  } catch (error) {
    if (error.status === 503) {
      cell.textContent = "waiting";
      await new Promise((done) => setTimeout(done, 1500));
      return;
    }
    photo.error = error.message;
    cell.textContent = "not counted";
    cell.className = "number wrong";
    cell.colSpan = 2;
    cell.nextSibling.remove();
    photo.row.children[0].append(make("p", { className: "note error" }, error.message));
  }
  total();
}

function fill(photo) {
  const [label, count_, interval] = photo.row.children;
  const open = make("button", { type: "button", onclick: () => show(photo) }, photo.name);
  label.replaceChildren(open);
  if (photo.result.warnings.length) label.append(make("span", { title: photo.result.warnings.join("\n") }, " ⚠"));
  count_.textContent = shown(photo.result.count);
  interval.textContent = range(photo.result.interval);
}

function range(interval) {
  return interval ? `${shown(interval[0])} to ${shown(interval[1])}` : "-";
}

async function total() {
  const all = counted();
  $("total").hidden = all.length < 2;
  $("total").children[1].textContent = shown(all.reduce((sum, photo) => sum + photo.result.count, 0));
  $("total").children[2].textContent = "";
  if (all.length < 2 || photos.some((photo) => !photo.result && !photo.error)) return;
  try {
    const { interval, reason } = await backend.sum(all);
    if (all.length !== counted().length) return;
    $("total").children[2].textContent = range(interval);
    $("total").children[2].title = reason;
  } catch (error) {
    say(error.message, true);
  }
}

async function show(photo) {
  const { result } = photo;
  cancelDrawing();
  current = photo;
  for (const one of photos) one.row.setAttribute("aria-current", String(one === photo));
  $("result").hidden = false;
  $("count").textContent = result.interval ? `${shown(result.count)} (${range(result.interval)})` : shown(result.count);
  $("name").textContent = `${photo.name}, ${result.width} × ${result.height} px, ${result.points} located`;
  $("notes").replaceChildren(...result.warnings.map((text) => make("p", { className: "note" }, text)));
  points.points = new Float32Array(0);
  points.room = Math.sqrt((result.width * result.height) / Math.max(1, result.points));
  $("stage").parentElement.style.aspectRatio = `${result.width} / ${result.height}`;
  density.picture = null;
  regions.regions = photo.regions;
  fillRegions();
  backend.show(viewer, photo);
  $("unit").textContent = result.heat.unit;
  $("ticks").replaceChildren(...result.heat.ticks.map(([, text]) => make("span", {}, text)));
  try {
    photo.points ??= await backend.points(photo);
    if (current === photo) points.points = photo.points;
    viewer.redraw();
    if (density.visible) await loadDensity(photo);
  } catch (error) {
    say(error.message, true);
  }
}

async function loadDensity(photo) {
  const { rows, columns, stride, heat, width, height } = photo.result;
  const cells = await backend.density(photo);
  if (current !== photo) return;
  density.set(cells, rows, columns, stride, heat.top, width, height);
  viewer.redraw();
}

async function toggle(button, layer) {
  layer.visible = !layer.visible;
  button.setAttribute("aria-pressed", String(layer.visible));
  $("legend").hidden = !density.visible;
  viewer.redraw();
  if (layer === density && layer.visible && current && !density.picture) {
    try {
      await loadDensity(current);
    } catch (error) {
      say(error.message, true);
    }
  }
}

function step(by) {
  const all = counted();
  const next = all[(all.indexOf(current) + by + all.length) % all.length];
  if (next) show(next);
}

// Begin to draw a region, or give it up; by keyboard a cross shows where Enter sets a corner.
function drawRegion(byKey = false) {
  if (!current) return;
  if (viewer.tool) return void viewer.tool.key({ key: "Escape" });
  const tool = new RegionTool(viewer, regions, (corners) => {
    cancelDrawing();
    if (corners) addRegion(current, corners);
  });
  viewer.tool = tool;
  viewer.onview = byKey ? () => aim(tool) : null;
  $("draw-region").setAttribute("aria-pressed", "true");
  $("hint").hidden = false;
  $("hint").textContent = byKey
    ? "Enter sets a corner at the cross, Backspace takes it back, F closes the region. Esc gives it up."
    : "Click the corners and then the first one again, or drag a rectangle. Esc gives it up.";
  viewer.canvas.focus();
  viewer.redraw();
}

function aim(tool) {
  const before = regions.cross;
  tool.aim();
  if (!before || before[0] !== regions.cross[0] || before[1] !== regions.cross[1]) viewer.redraw();
}

function cancelDrawing() {
  viewer.tool = null;
  viewer.onview = null;
  regions.draft = regions.cross = null;
  $("hint").hidden = true;
  $("draw-region").setAttribute("aria-pressed", "false");
}

async function addRegion(photo, corners) {
  const used = new Set(photo.regions.map((region) => region.name));
  let k = 1;
  while (used.has(`region ${k}`)) k++;
  photo.regions.push({ name: `region ${k}`, corners });
  await countRegions(photo);
}

async function countRegions(photo) {
  try {
    const found = await backend.regions(photo, photo.regions.map(({ name, corners }) => ({ name, corners })));
    found.forEach((one, k) => Object.assign(photo.regions[k], one));
  } catch (error) {
    photo.regions.pop();
    say(error.message, true);
  }
  if (photo === current) fillRegions();
}

function fillRegions() {
  const list = current.regions;
  $("regions-card").hidden = !list.length;
  $("regions").replaceChildren(
    ...list.map((region, k) => {
      const name = make("input", { value: region.name, maxLength: 60, ariaLabel: `Name of region ${k + 1}` });
      name.onchange = () => {
        region.name = name.value.trim() || `region ${k + 1}`;
        viewer.redraw();
      };
      const remove = make("button", { type: "button", ariaLabel: `Remove ${region.name}` }, "✕");
      remove.onclick = () => {
        list.splice(k, 1);
        fillRegions();
      };
      const number = (text) => make("td", { className: "number" }, text);
      const count_ = number(shown(region.count));
      if (region.interval) count_.append(make("div", { className: "muted" }, range(region.interval)));
      for (const note of region.notes) count_.append(make("div", { className: "muted" }, note));
      return make("tr", {}, make("td", {}, name), count_, number(Math.round(region.area).toLocaleString("en")), make("td", {}, remove));
    }),
  );
  viewer.redraw();
}

function saveRegions() {
  const rows = [["image", "region", "count", "low", "high", "area_px2"]];
  for (const photo of counted()) {
    for (const { name, count: objects, interval, area } of photo.regions) rows.push([photo.name, name, objects, ...(interval ?? ["", ""]), area]);
  }
  save(csvBlob(rows), "regions.csv");
}

async function download(button) {
  const write = button.dataset.write;
  button.disabled = true;
  try {
    const { blob, name } = await backend.results(counted(), write);
    save(blob, name);
  } catch (error) {
    say(error.message, true);
  } finally {
    button.disabled = false;
  }
}

async function clear() {
  for (const photo of photos.splice(0)) {
    photo.error ??= "removed";
    backend.remove(photo);
  }
  current = null;
  $("list").replaceChildren();
  $("list-card").hidden = $("result").hidden = true;
  $("messages").replaceChildren();
  viewer.clear();
}

function say(text, wrong = false) {
  const close = make("button", { type: "button", ariaLabel: "Close the message" }, "✕");
  const note = make("p", { className: wrong ? "note error" : "note" }, `${text} `, close);
  close.onclick = () => note.remove();
  $("messages").append(note);
}
