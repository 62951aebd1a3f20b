// The images of the data set: how far they are, which are shown, and which comes next.

import { getJson, make } from "./api.js";

const WORDS = { open: "", empty: "none", unreadable: "unreadable" };
const LOOK = 2500; // ms until an order that is still being worked out is asked for again

export class ImageList {
  // hooks: open(name)
  constructor(hooks) {
    this.hooks = hooks;
    this.images = [];
    this.run = null;
    this.classes = true;
    this.labels = []; // of all dots, the commonest first; "" is none
    this.name = null;
    this.ranked = [];
    this.buttons = new Map();
    this.part = Object.fromEntries(
      ["set", "progress", "bar", "filter", "search", "images", "order-note"].map((id) => [id, document.getElementById(id)]),
    );
    this.part.filter.onchange = () => this.filter();
    this.part.search.oninput = () => this.show();
  }

  async refresh() {
    const set = await getJson("/api/set");
    this.images = set.images;
    this.run = set.run;
    this.classes = set.classes;
    this.labels = set.labels;
    this.part.set.textContent = set.root;
    this.part.set.title = set.note;
    await this.filter();
  }

  async filter() {
    clearTimeout(this.timer);
    const note = this.part["order-note"];
    note.hidden = !["random", "order"].includes(this.part.filter.value);
    note.textContent = "Images without dots, drawn at random: neighbours in a folder are often alike.";
    if (this.part.filter.value === "order") await this._order();
    this.show();
  }

  first() {
    const shown = this.shown();
    return (shown.find(({ state }) => state === "open") || shown[0])?.name;
  }

  held(name) {
    return Boolean(this.images.find((image) => image.name === name)?.held_out);
  }

  update(name, changed) {
    const image = this.images.find((each) => each.name === name);
    if (!image) return;
    const fresh = image.state !== changed.state;
    Object.assign(image, changed);
    if (fresh) this.show();
    else this._label(image);
    this._progress();
  }

  current(name) {
    this.name = name;
    for (const [own, button] of this.buttons) button.setAttribute("aria-current", String(own === name));
    if (this.buttons.has(name)) this._reveal(this.buttons.get(name));
  }

  step(by) {
    const names = this.shown().map((image) => image.name);
    const here = names.indexOf(this.name);
    const next = here < 0 ? names[0] : names[here + by];
    if (next !== undefined && next !== this.name) this.hooks.open(next);
  }

  shown() {
    const words = this.part.search.value.trim().toLowerCase();
    const done = ({ state }) => state === "dots" || state === "empty";
    const wanted = {
      all: () => true,
      random: (image) => !done(image),
      order: (image) => !done(image) && this.ranked.includes(image.name),
      open: ({ state }) => state === "open",
      done,
      held: (image) => image.held_out,
      trouble: (image) => Boolean(image.trouble),
    }[this.part.filter.value];
    const images = this.images.filter((image) => wanted(image) && image.name.toLowerCase().includes(words));
    if (this.part.filter.value === "random") return images.sort((a, b) => (a.turn < b.turn ? -1 : 1));
    if (this.part.filter.value !== "order") return images;
    return images.sort((a, b) => this.ranked.indexOf(a.name) - this.ranked.indexOf(b.name));
  }

  show() {
    this.buttons.clear();
    const rows = this.shown().map((image) => {
      const button = make("button", { onclick: () => this.hooks.open(image.name) });
      this.buttons.set(image.name, button);
      button.title = image.trouble || image.name;
      button.setAttribute("aria-current", String(image.name === this.name));
      return make("li", {}, button);
    });
    this.part.images.replaceChildren(...rows);
    for (const image of this.images) this._label(image);
    this._progress();
  }

  async _order() {
    const note = this.part["order-note"];
    const found = await getJson("/api/order");
    this.ranked = found.images.map(([name]) => name);
    if (!this.run) note.textContent = "There is no model yet that could be uncertain.";
    else note.textContent = found.left ? `${this.run} is looking at ${found.left} more images…` : "The model expects to err most in the first ones.";
    if (found.left) this.timer = setTimeout(() => this.filter(), LOOK);
  }

  _label(image) {
    const button = this.buttons.get(image.name);
    if (!button) return;
    const words = image.state === "dots" ? image.dots.toLocaleString("en") : WORDS[image.state];
    const marks = [words, image.held_out ? "held" : "", image.trouble ? "!" : ""].filter(Boolean).join(" · ");
    button.replaceChildren(make("span", {}, image.name), make("span", { className: "muted" }, marks));
  }

  _progress() {
    const done = this.images.filter(({ state }) => state === "dots" || state === "empty").length;
    const dots = this.images.reduce((sum, image) => sum + (image.dots || 0), 0);
    this.part.progress.textContent = `${done} of ${this.images.length} images, ${dots.toLocaleString("en")} dots`;
    this.part.bar.max = Math.max(this.images.length, 1);
    this.part.bar.value = done;
  }

  _reveal(button) {
    const { images } = this.part;
    const [top, bottom] = [button.offsetTop - images.offsetTop, button.offsetTop - images.offsetTop + button.offsetHeight];
    if (top < images.scrollTop) images.scrollTop = top;
    else if (bottom > images.scrollTop + images.clientHeight) images.scrollTop = bottom - images.clientHeight;
  }
}
