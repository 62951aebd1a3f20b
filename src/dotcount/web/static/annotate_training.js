// The training panel: start, cancel, resume, the curve of an epoch's error, and what finished trainings came to.

import { getJson, make, sendJson } from "./api.js";

const BUSY = 1500; // ms between two looks while a training runs
const IDLE = 15000;
const FEW = 10; // held-out images below which their error is a rough one

export class TrainingPanel {
  // hooks: model(name) when another model is in use, error(message)
  constructor(hooks) {
    this.hooks = hooks;
    this.model = undefined;
    this.state = "idle";
    this.part = Object.fromEntries(
      ["training-note", "curve", "minutes", "train", "cancel", "resume", "history", "beginning", "begin-with"].map((id) => [id, document.getElementById(id)]),
    );
    this.part.train.onclick = () =>
      this._ask({ action: "start", minutes: Number(this.part.minutes.value), begin: this.part["begin-with"].value });
    this.part.cancel.onclick = () => this._ask({ action: "cancel" });
    this.part.resume.onclick = () => this._ask({ action: "resume" });
    this.look();
  }

  async look() {
    clearTimeout(this.timer);
    try {
      this._show(await getJson("/api/training"));
    } catch {
      // the page says elsewhere that the server does not answer
    }
    this.timer = setTimeout(() => this.look(), this.state === "running" ? BUSY : IDLE);
  }

  async _ask(message) {
    const { train, cancel, resume } = this.part;
    for (const button of [train, cancel, resume]) button.disabled = true;
    try {
      this._show(await sendJson("POST", "/api/training", message));
    } catch (error) {
      this.hooks.error(error.message);
    }
    for (const button of [train, cancel, resume]) button.disabled = false;
    this.look();
  }

  _show(status) {
    const { train, cancel, resume, curve } = this.part;
    this.state = status.state;
    const running = status.state === "running";
    train.hidden = running;
    cancel.hidden = !running;
    this.part.beginning.hidden = running;
    resume.hidden = !(status.state === "stopped" || status.state === "failed");
    this.part["training-note"].textContent = this._sentence(status);
    const points = status.rows.filter((row) => row.val_mae !== null);
    curve.hidden = points.length < 2;
    if (points.length > 1) drawCurve(curve, points);
    this._history(status.finished);
    if (status.model !== this.model) {
      this._beginnings(status);
      this.model = status.model;
      this.hooks.model(status.model);
    }
  }

  _sentence({ state, run, rows, minutes, message, finished, began_with }) {
    const last = rows.at(-1);
    const epochs = last ? `epoch ${last.epoch}, ${(last.elapsed / 60).toFixed(1)} of ${minutes} min` : "starting";
    if (state === "running") return `${run} is training: ${epochs}. It began with ${began_with}.`;
    if (state === "stopped") return `${run} was stopped (${epochs}).`;
    if (state === "failed") return `${run} ended: ${message}`;
    const best = finished.at(-1);
    if (!best || best.mae === null) return "Dot some images, then train. A fifth of them is held out to measure the error.";
    const images = `${best.held_out} held-out image${best.held_out === 1 ? "" : "s"}`;
    const before = finished.at(-2);
    const earlier = before && before.mae !== null && before.held_out === best.held_out ? `; ${before.name}: ${before.mae.toFixed(2)}` : "";
    const rough = best.held_out < FEW ? " So few images tell it roughly: dot more by hand." : "";
    return `${best.name}: error ${best.mae.toFixed(2)} dots an image, on ${images}${earlier}.${rough}`;
  }

  // What a training may begin with: the model in use is proposed, or new weights where there is none.
  _beginnings({ model, beginnings }) {
    const option = (value, text) => make("option", { value }, text);
    const select = this.part["begin-with"];
    select.replaceChildren(...beginnings.map((name) => option(name, name)), option("", "new weights"));
    select.value = model ?? "";
  }

  _history(finished) {
    this.part.history.hidden = !finished.length;
    const cell = (text) => make("td", { className: "number" }, text);
    const from = (run) => make("div", { className: "faint from" }, run.model ? `from ${run.model}` : "from new weights");
    const rows = finished.map((run) =>
      make("tr", {}, make("td", {}, run.name, from(run)), cell(String(run.images)), cell(String(run.dots)), cell(run.mae === null ? "" : run.mae.toFixed(2))),
    );
    this.part.history.tBodies[0].replaceChildren(...rows);
  }
}

function drawCurve(canvas, points) {
  const context = canvas.getContext("2d");
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();
  const { width, height } = canvas;
  const edge = 84;
  const most = Math.max(...points.map((row) => row.val_mae), 1e-6);
  const [first, last] = [points[0].epoch, Math.max(points.at(-1).epoch, points[0].epoch + 1)];
  const place = (row) => [
    edge + ((row.epoch - first) / (last - first)) * (width - edge - 16),
    height - 44 - (row.val_mae / most) * (height - 66),
  ];
  context.clearRect(0, 0, width, height);
  context.fillStyle = colour("--muted");
  context.strokeStyle = colour("--line");
  context.font = "30px system-ui, sans-serif";
  context.lineWidth = 2;
  context.beginPath();
  context.moveTo(edge, 14);
  context.lineTo(edge, height - 44);
  context.lineTo(width - 8, height - 44);
  context.stroke();
  context.textAlign = "right";
  context.fillText(most.toPrecision(2), edge - 6, 28);
  context.fillText("0", edge - 6, height - 38);
  context.fillText(`epoch ${points.at(-1).epoch}`, width - 8, height - 12);
  context.textAlign = "left";
  context.fillText("error", edge + 8, 28);
  context.strokeStyle = colour("--accent");
  context.lineWidth = 4;
  context.beginPath();
  for (const row of points) context.lineTo(...place(row));
  context.stroke();
}
