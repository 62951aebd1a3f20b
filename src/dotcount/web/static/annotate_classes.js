// The classes of dots: which there are, which one new dots get, and their colours.

import { COLOURS } from "./annotate_marks.js";
import { make } from "./api.js";

const SWATCH = 14; // px

export class ClassPanel {
  // hooks: chosen(label) when a class is picked while a dot is selected; changed() when it is another one
  constructor(hooks) {
    this.hooks = hooks;
    this.names = [""];
    this.current = "";
    document.getElementById("new-class").onsubmit = (event) => {
      event.preventDefault();
      const input = document.getElementById("class-name");
      const name = input.value.trim();
      if (!name) return;
      this.meet([name]);
      this.choose(this.names.indexOf(name));
      input.value = "";
    };
  }

  // Add classes that were not known.
  meet(names) {
    for (const name of names) if (!this.names.includes(name)) this.names.push(name);
  }

  // Meet the classes of the whole data set; where every dot has the same one, new dots get it.
  begin(names) {
    this.meet(names);
    if (names.length === 1) this.current = names[0];
  }

  colour(label) {
    return COLOURS[Math.max(this.names.indexOf(label), 0) % COLOURS.length];
  }

  choose(index) {
    if (index >= this.names.length) return;
    this.current = this.names[index];
    this.hooks.chosen(this.current);
    this.hooks.changed();
  }

  show(usable, counts = new Map()) {
    [this.usable, this.counts] = [usable, counts];
    document.getElementById("new-class").hidden = !usable;
    document.getElementById("class-card").hidden = !usable && this.names.length === 1;
    const buttons = this.names.map((name, index) => {
      const swatch = make("canvas", { width: SWATCH, height: SWATCH });
      const context = swatch.getContext("2d");
      context.fillStyle = this.colour(name);
      context.strokeStyle = "#000000";
      context.beginPath();
      context.arc(SWATCH / 2, SWATCH / 2, SWATCH / 2 - 1, 0, 2 * Math.PI);
      context.fill();
      context.stroke();
      const number = counts.get(name) || 0;
      const button = make("button", { onclick: () => this.choose(index) }, swatch, `${name || "(no class)"}${number ? ` ${number.toLocaleString("en")}` : ""}`);
      button.setAttribute("aria-pressed", String(name === this.current));
      if (index < 9) button.append(make("kbd", {}, String(index + 1)));
      return button;
    });
    document.getElementById("classes").replaceChildren(...buttons);
  }
}
