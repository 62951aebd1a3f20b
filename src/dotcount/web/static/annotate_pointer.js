// What mouse, pen and finger do on the picture: a click makes or accepts a dot, a drag moves one or draws a region.

import { nearest, reach } from "./annotate_marks.js";

const STILL = 3; // CSS px that a press may move and still be a click

export class Pointer {
  // actions: mode(), editable(), make(change), add(point, negative), remove(mark), region({from, to}), accept(points)
  constructor(viewer, state, actions) {
    this.viewer = viewer;
    this.state = state;
    this.actions = actions;
    this.drag = null;
    this.place = null;
    viewer.canvas.addEventListener("contextmenu", (event) => this._menu(event));
    viewer.canvas.addEventListener("pointerleave", () => {
      this.place = null;
    });
  }

  tool() {
    return {
      down: (point, event) => this._down(point, event),
      move: (point) => this._move(point),
      up: (point, event) => this._up(point, event),
      click: (point, event) => this._click(point, event),
      cancel: () => this._cancel(),
    };
  }

  // The mark under the pointer.
  under() {
    return this.place ? this.state.marks.nearest(this.place, reach(this.viewer.view)) : null;
  }

  _down(point, event) {
    if (!this.actions.editable()) return false;
    if (this.actions.mode() === "region") {
      this.drag = { from: point };
      return true;
    }
    const mark = this.state.marks.nearest(point, reach(this.viewer.view));
    if (!mark || event.shiftKey) return false;
    this.state.selected = mark.id;
    this.drag = { mark, from: point };
    this.viewer.redraw();
    return true;
  }

  _move(point) {
    this.place = point;
    const { drag, state } = this;
    if (!drag) return;
    drag.moved ||= Math.hypot(point.x - drag.from.x, point.y - drag.from.y) * this.viewer.view.scale > STILL;
    if (drag.mark && drag.moved && this.actions.mode() !== "erase") state.marks.put({ ...drag.mark, ...this._target(point) });
    else if (!drag.mark) state.region = { from: drag.from, to: point };
    this.viewer.redraw();
  }

  _up(point, event) {
    const { drag, state } = this;
    this.drag = null;
    state.region = null;
    if (!drag) return;
    if (!drag.mark) {
      if (event.type === "pointerup") this.actions.region({ from: drag.from, to: point });
      this.viewer.redraw();
      return;
    }
    state.marks.put(drag.mark);
    if (this.actions.mode() === "erase") this.actions.remove(drag.mark);
    else if (drag.moved && event.type === "pointerup") this.actions.make(this._moved(drag.mark, this._target(point)));
    this.viewer.redraw();
  }

  _cancel() {
    if (this.drag?.mark) this.state.marks.put(this.drag.mark);
    this.drag = null;
    this.state.region = null;
    this.viewer.redraw();
  }

  // Where a dragged mark goes: it keeps its distance from the pointer.
  _target(point) {
    const { mark, from } = this.drag || this.last;
    this.last = { mark, from };
    return this.state.marks.inside({ x: mark.x + point.x - from.x, y: mark.y + point.y - from.y });
  }

  _moved({ id, x, y }, to) {
    return { do: [{ op: "move", id, ...to }], undo: [{ op: "move", id, x, y }] };
  }

  _click(point, event) {
    if (!this.actions.editable() || event.button !== 0) return;
    const { state } = this;
    const { width, height } = state.marks;
    if (point.x < 0 || point.y < 0 || point.x >= width || point.y >= height) return;
    const mode = this.actions.mode();
    const negative = mode === "negative" || event.shiftKey;
    const suggestion = state.hidden ? null : nearest(state.suggestions, point, reach(this.viewer.view));
    if (mode === "erase") return;
    if (suggestion && negative) this.actions.add(suggestion, true);
    else if (suggestion) this.actions.accept([suggestion]);
    else this.actions.add(point, negative);
  }

  _menu(event) {
    event.preventDefault();
    const box = this.viewer.canvas.getBoundingClientRect();
    const point = this.viewer.toImage({ x: event.clientX - box.left, y: event.clientY - box.top });
    if (this.actions.editable()) this.actions.remove(this.state.marks.nearest(point, reach(this.viewer.view)));
  }
}
