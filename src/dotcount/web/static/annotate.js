// The annotation page: one image at a time, its marks, what a model suggests, and where to go next.

import { getBytes, getJson, make } from "./api.js";
import { Edits } from "./annotate_edits.js";
import { ImageList } from "./annotate_list.js";
import { MarkLayer, Marks, nearest, reach, unmarked } from "./annotate_marks.js";
import { ClassPanel } from "./annotate_classes.js";
import { Pointer } from "./annotate_pointer.js";
import { TrainingPanel } from "./annotate_training.js";
import { Viewer } from "./viewer.js";

const part = (id) => document.getElementById(id);
const viewer = new Viewer(part("stage"));
const classes = new ClassPanel({ chosen: labelSelected, changed: show });
const state = {
  name: null, marks: new Marks(1, 1), suggestions: [], all: [], radius: 10, selected: null, region: null, pointing: false,
  hidden: false, trouble: "", colour: (label) => classes.colour(label),
};
let edits = null;
let mode = "dot";
let loading = 0;
const list = new ImageList({ open });
const pointer = new Pointer(viewer, state, { mode: () => mode, editable, make: change, add, remove, region: acceptRegion, accept });
viewer.layers.push(new MarkLayer(state));
viewer.tool = { ...pointer.tool(), key: pressed };

function editable() {
  return Boolean(edits) && !edits.closed && !state.trouble;
}

// Open an image that was chosen; the one that is open stays as it is.
function open(name) {
  if (name !== state.name || !editable()) load(name);
  else viewer.canvas.focus({ preventScroll: true });
}

async function load(name) {
  const turn = ++loading;
  await edits?.settled();
  if (turn !== loading) return;
  edits?.close();
  edits = null;
  const again = name === state.name && viewer.width > 0; // the picture and the view of it stay
  Object.assign(state, { name, marks: new Marks(1, 1), suggestions: [], all: [], selected: null, region: null, trouble: "" });
  if (!again) viewer.clear();
  part("name").textContent = name;
  for (const id of ["count", "saved", "suggestion-note"]) part(id).textContent = "";
  delete part("suggestion-note").dataset.text;
  part("messages").replaceChildren();
  list.current(name);
  const query = `?image=${encodeURIComponent(name)}`;
  try {
    const [content, picture] = await Promise.all([getJson(`/api/marks${query}`), again ? null : pictureOf(query)]);
    if (turn !== loading) return;
    if (picture) viewer.setPicture(picture, content.width, content.height);
    begin(name, content);
    suggest(name);
    if (turn > 1) viewer.canvas.focus({ preventScroll: true });
  } catch (error) {
    if (turn !== loading) return;
    viewer.clear();
    tell(error.message, true);
    state.trouble = error.message;
  }
  show();
}

async function pictureOf(query) {
  return createImageBitmap(new Blob([await getBytes(`/api/picture${query}`)]));
}

function begin(name, content) {
  state.marks = new Marks(content.width, content.height, content.marks);
  state.selected = null;
  state.trouble = content.trouble;
  if (content.trouble) tell(content.trouble, true);
  classes.meet(state.marks.labels().keys());
  edits = new Edits(name, content, state.marks, {
    changed: show,
    saved: showSaved,
    confirmed: (answer) => {
      list.update(name, answer);
      if (answer.trouble) tell(`Safe in the journal, but not yet in the data set's own file: ${answer.trouble}`, true);
    },
    conflict: (lost) => conflict(name, lost),
    refused: async (message) => {
      if (state.name === name) await load(name);
      tell(message, true);
    },
  });
  show();
}

// Somebody else has changed the image: show what is there now, and offer to make the dots again that were not saved.
async function conflict(name, lost) {
  if (state.name !== name) return;
  const dots = lost.filter((edit) => edit.op === "add");
  await load(name);
  const again = make("button", { id: "again" }, `Make my ${dots.length} dot${dots.length === 1 ? "" : "s"} again`);
  const note = tell("This image was changed elsewhere, in another tab or by somebody else. It was loaded again.", true);
  if (!dots.length) return;
  again.onclick = () => {
    const missing = dots.filter((dot) => !nearest(state.marks.byId.values(), dot, 0.01));
    for (const dot of missing) change(edits.add([dot], dot.class, dot.negative));
    note.remove();
  };
  note.append(" ", again);
}

function tell(message, error = false) {
  const note = make("p", { className: error ? "note error" : "note" }, message);
  part("messages").replaceChildren(note);
  return note;
}

function showSaved(what, message = "") {
  const words = { saving: "Saving…", saved: "Saved", waiting: `Not saved yet: ${message}` };
  part("saved").textContent = words[what];
  part("saved").dataset.state = what;
}

function change(what, options) {
  if (editable()) edits.make(what, options);
}

function add(point, negative = false) {
  if (!editable()) return;
  const place = state.marks.inside(point);
  change(edits.add([place], negative ? "" : classes.current, negative));
  state.selected = state.marks.next - 1;
  show();
}

function remove(mark) {
  if (!editable() || !mark) return;
  change(edits.remove(mark));
  if (state.selected === mark.id) state.selected = null;
  show();
}

function labelSelected(label) {
  const mark = state.marks.byId.get(state.selected);
  if (editable() && mark && !mark.negative && mark.label !== label) change(edits.label(mark, label));
}

function accept(points) {
  if (!editable() || !points.length) return;
  change(edits.add(points.map((point) => state.marks.inside(point)), classes.current), { assisted: true });
}

function acceptRegion({ from, to }) {
  const [left, right] = [Math.min(from.x, to.x), Math.max(from.x, to.x)];
  const [top, bottom] = [Math.min(from.y, to.y), Math.max(from.y, to.y)];
  accept(state.suggestions.filter(({ x, y }) => x >= left && x <= right && y >= top && y <= bottom));
}

async function suggest(name) {
  const note = part("suggestion-note");
  state.all = []; // those of the model before
  delete note.dataset.text;
  show();
  if (!list.run) {
    note.textContent = "There is no model yet. Dot some images and train one.";
    return;
  }
  note.textContent = `${list.run} is looking at this image…`;
  try {
    const found = await getJson(`/api/suggestions?image=${encodeURIComponent(name)}`);
    if (state.name !== name) return;
    state.all = found.points.map(([x, y, mass]) => ({ x, y, mass }));
    state.radius = found.radius;
    const range = found.low === null ? "" : ` (${found.low.toFixed(0)} to ${found.high.toFixed(0)})`;
    note.dataset.text = `${found.run} counts ${found.count.toFixed(1)}${range}.`;
    show();
  } catch (error) {
    if (state.name === name) note.textContent = error.message;
  }
}

// Bring everything that is shown up to date with the marks.
function show() {
  const least = Number(part("least").value);
  state.suggestions = unmarked(state.all.filter(({ mass }) => mass >= least), state.marks, state.radius);
  const { dots } = state.marks;
  const negatives = state.marks.byId.size - dots;
  const held = list.held(state.name) ? ", held out" : "";
  const none = edits?.empty ? "holds none" : "not annotated";
  part("count").textContent =
    (dots ? `${dots.toLocaleString("en")} dot${dots === 1 ? "" : "s"}` : none) + (negatives ? `, ${negatives} not this` : "") + held;
  part("undo").disabled = !editable() || !edits.done.length;
  part("redo").disabled = !editable() || !edits.undone.length;
  part("empty").disabled = !editable() || dots > 0;
  part("empty").setAttribute("aria-pressed", String(Boolean(edits?.empty)));
  part("accept-all").disabled = !editable() || !state.suggestions.length;
  const note = part("suggestion-note").dataset.text;
  if (note) {
    const left = state.suggestions.length;
    const caution = held ? " This image is held out: make its dots by hand, or the error will flatter the model." : "";
    const label = classes.names.length > 1 ? ` Accepted ones are of ${classes.current ? `the class ${classes.current}` : "no class"}.` : "";
    part("suggestion-note").textContent = `${note} ${left} suggestion${left === 1 ? "" : "s"} left.${label}${caution}`;
  }
  classes.show(list.classes, state.marks.labels());
  viewer.redraw();
}

function choose(next) {
  mode = next;
  for (const button of document.querySelectorAll("[data-mode]")) button.setAttribute("aria-pressed", String(button.dataset.mode === next));
}

function hide() {
  state.hidden = !state.hidden;
  part("hide").setAttribute("aria-pressed", String(state.hidden));
  viewer.redraw();
}

function toggleEmpty() {
  if (editable() && !state.marks.dots) change(edits.holdsNone(!edits.empty));
}

// The next mark in reading order, for who has no mouse.
function selectNext() {
  const marks = [...state.marks.byId.values()].sort((a, b) => a.y - b.y || a.x - b.x);
  if (!marks.length) return;
  const mark = marks[(marks.findIndex(({ id }) => id === state.selected) + 1) % marks.length];
  state.selected = mark.id;
  viewer.center(mark);
}

function removeHere() {
  const { marks, selected } = state;
  remove(marks.byId.get(selected) || pointer.under() || marks.nearest(viewer.middle(), 2 * reach(viewer.view)));
}

function pressed(event) {
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const actions = {
    d: () => choose("dot"), n: () => choose("negative"), e: () => choose("erase"), r: () => choose("region"),
    a: () => accept(state.suggestions), h: toggleEmpty, m: hide, t: selectNext,
    x: removeHere, Delete: removeHere, Backspace: removeHere,
    Enter: () => add(viewer.middle(), mode === "negative"),
    PageDown: () => list.step(1), PageUp: () => list.step(-1),
    Escape: () => {
      state.selected = null;
      viewer.redraw();
    },
  };
  for (let k = 1; k <= 9; k++) actions[k] = () => classes.choose(k - 1);
  if (key.startsWith("Arrow") || key === "Enter") state.pointing = true;
  if (!actions[key] || !state.name) return false;
  actions[key]();
  return true;
}

document.addEventListener("keydown", (event) => {
  const typing = event.target.matches("input, select, textarea");
  if (!(event.ctrlKey || event.metaKey) || event.altKey || typing || !edits) return;
  const key = event.key.toLowerCase();
  if (key !== "z" && key !== "y") return;
  event.preventDefault();
  if (key === "y" || event.shiftKey) edits.redo();
  else edits.undo();
});
part("stage").addEventListener("pointermove", () => {
  state.pointing = false;
});
for (const button of document.querySelectorAll("[data-mode]")) button.onclick = () => choose(button.dataset.mode);
part("undo").onclick = () => edits?.undo();
part("redo").onclick = () => edits?.redo();
part("empty").onclick = toggleEmpty;
part("previous").onclick = () => list.step(-1);
part("next").onclick = () => list.step(1);
part("zoom-in").onclick = () => viewer.zoom(1.5);
part("zoom-out").onclick = () => viewer.zoom(1 / 1.5);
part("fit").onclick = () => viewer.fit();
part("accept-all").onclick = () => accept(state.suggestions);
part("hide").onclick = hide;
part("least").oninput = () => {
  part("least-shown").value = part("least").value;
  show();
};
window.addEventListener("beforeunload", (event) => {
  if (edits?.sending) event.preventDefault();
});

try {
  await list.refresh();
  classes.begin(list.labels);
} catch (error) {
  tell(error.message, true);
}
new TrainingPanel({
  error: (message) => tell(message, true),
  model: async (name) => {
    if (name === list.run) return;
    await list.refresh();
    if (state.name) suggest(state.name);
  },
});
if (list.first()) await load(list.first());
document.documentElement.dataset.ready = "true";
