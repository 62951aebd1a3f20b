// Changes of one image: made in the page at once, sent to the server in order, undone and redone.
//
// A change is {do: [edit, ...], undo: [edit, ...]}; edits are those of the server (op, id, x, y, class, negative, value).
// One request is on its way at a time, with all that has come up since the last. What the server has not confirmed is
// sent again until it is, or until it turns out that somebody else has changed the image.

import { sendJson } from "./api.js";

const MOST = 4000; // edits a request
const RETRY = 1500; // ms

export class Edits {
  // hooks: changed(), saved(state, message), conflict(lost edits), refused(message), confirmed(answer)
  constructor(name, content, marks, hooks) {
    this.name = name;
    this.version = content.version;
    this.empty = content.empty;
    this.marks = marks;
    this.hooks = hooks;
    this.done = [];
    this.undone = [];
    this.waiting = [];
    this.sending = null;
    this.closed = false;
    this.assisted = false;
  }

  make(change, { assisted = false } = {}) {
    if (this.closed) return;
    this.assisted ||= assisted;
    this._carryOut(change.do);
    this.done.push(change);
    this.undone = [];
    this.hooks.changed();
  }

  undo() {
    const change = this.done.pop();
    if (!change || this.closed) return;
    this._carryOut(change.undo);
    this.undone.push(change);
    this.hooks.changed();
  }

  redo() {
    const change = this.undone.pop();
    if (!change || this.closed) return;
    this._carryOut(change.do);
    this.done.push(change);
    this.hooks.changed();
  }

  add(points, label, negative = false) {
    const made = points.map(({ x, y }) => ({ op: "add", id: this.marks.next++, x, y, class: label, negative }));
    const undo = made.map(({ id }) => ({ op: "delete", id }));
    if (this.empty && !negative) undo.push({ op: "empty", value: true });
    return { do: made, undo };
  }

  remove(mark) {
    const { id, x, y, label, negative } = mark;
    return { do: [{ op: "delete", id }], undo: [{ op: "add", id, x, y, class: label, negative }] };
  }

  move(mark, to) {
    const { id, x, y } = mark;
    return { do: [{ op: "move", id, ...to }], undo: [{ op: "move", id, x, y }] };
  }

  label(mark, label) {
    return { do: [{ op: "class", id: mark.id, class: label }], undo: [{ op: "class", id: mark.id, class: mark.label }] };
  }

  holdsNone(value) {
    return { do: [{ op: "empty", value }], undo: [{ op: "empty", value: !value }] };
  }

  // Resolves when everything is confirmed, or given up.
  async settled() {
    while (this.sending) await this.sending;
  }

  close() {
    this.closed = true;
  }

  _carryOut(edits) {
    for (const edit of edits) {
      if (edit.op === "empty") this.empty = edit.value;
      else this.marks.apply(edit);
      if (edit.op === "add" && !edit.negative) this.empty = false;
    }
    this.waiting.push(...edits);
    this.hooks.saved("saving");
    this.sending ||= this._send().finally(() => {
      this.sending = null;
    });
  }

  async _send() {
    while (this.waiting.length) {
      const edits = this.waiting.slice(0, MOST);
      const { assisted } = this;
      try {
        const answer = await sendJson("POST", "/api/edit", { image: this.name, version: this.version, edits, assisted });
        this.version = answer.version;
        this.assisted = false;
        this.waiting.splice(0, edits.length);
        this.hooks.confirmed(answer);
      } catch (error) {
        if (error.status === 0 || error.status === 503 || error.status === 507) {
          this.hooks.saved("waiting", error.message);
          await new Promise((resolve) => setTimeout(resolve, RETRY));
          continue;
        }
        const lost = this.waiting.splice(0);
        this.close();
        if (error.status === 409) this.hooks.conflict(lost);
        else this.hooks.refused(error.message);
        return;
      }
    }
    this.hooks.saved("saved");
  }
}
