// The marks of one image in the page, and how they are drawn: dots by class, places that hold nothing, suggestions.

export const COLOURS = ["#ffd400", "#00c2ff", "#ff5bd0", "#6dff5b", "#ff8a3d", "#b18cff", "#ffffff", "#ff4d4d", "#35e0b8"];
const MANY = 1000; // dots in sight from which on they are written into pixels, which is 30 times as fast as paths
const REACH = 10; // CSS px around a dot in which it is hit

export class Marks {
  constructor(width, height, rows = []) {
    this.width = width;
    this.height = height;
    this.byId = new Map();
    this.next = 0;
    for (const [id, x, y, label, negative] of rows) this.put({ id, x, y, label, negative: Boolean(negative) });
  }

  put(mark) {
    this.byId.set(mark.id, mark);
    this.next = Math.max(this.next, mark.id + 1);
  }

  get dots() {
    let n = 0;
    for (const mark of this.byId.values()) if (!mark.negative) n += 1;
    return n;
  }

  labels() {
    const counts = new Map();
    for (const { label, negative } of this.byId.values()) if (!negative) counts.set(label, (counts.get(label) || 0) + 1);
    return counts;
  }

  // Apply one edit as the server will.
  apply(edit) {
    const mark = this.byId.get(edit.id);
    if (edit.op === "add") this.put({ id: edit.id, x: edit.x, y: edit.y, label: edit.class, negative: edit.negative });
    else if (edit.op === "move") this.put({ ...mark, x: edit.x, y: edit.y });
    else if (edit.op === "class") this.put({ ...mark, label: edit.class });
    else if (edit.op === "delete") this.byId.delete(edit.id);
  }

  // Return a point of the picture within it, to a hundredth of a pixel.
  inside({ x, y }) {
    const clip = (value, most) => Math.min(Math.max(Math.round(value * 100) / 100, 0), Math.floor(most * 100 - 1) / 100);
    return { x: clip(x, this.width), y: clip(y, this.height) };
  }

  nearest(point, reach) {
    return nearest(this.byId.values(), point, reach);
  }
}

export function nearest(marks, point, reach) {
  let [best, least] = [null, reach * reach];
  for (const mark of marks) {
    const away = (mark.x - point.x) ** 2 + (mark.y - point.y) ** 2;
    if (away <= least) [best, least] = [mark, away];
  }
  return best;
}

export function reach(view) {
  return REACH / view.scale;
}

// Suggestions that are not of an object which has a mark already: those with none within the radius.
export function unmarked(points, marks, radius) {
  if (!points.length || !marks.byId.size) return points;
  const cells = new Map();
  const key = (x, y) => `${Math.floor(x / radius)},${Math.floor(y / radius)}`;
  for (const mark of marks.byId.values()) {
    const place = key(mark.x, mark.y);
    if (cells.has(place)) cells.get(place).push(mark);
    else cells.set(place, [mark]);
  }
  return points.filter((point) => {
    for (let dx = -1; dx <= 1; dx++) {
      for (let dy = -1; dy <= 1; dy++) {
        const near = cells.get(key(point.x + dx * radius, point.y + dy * radius)) || [];
        if (near.some((mark) => Math.hypot(mark.x - point.x, mark.y - point.y) < radius)) return false;
      }
    }
    return true;
  });
}

// The pixels of a disc: [dx, dy, 1 on the rim].
function stamp(radius) {
  const found = [];
  for (let dy = -radius; dy <= radius; dy++) {
    for (let dx = -radius; dx <= radius; dx++) {
      const away = Math.hypot(dx, dy);
      if (away <= radius + 0.3) found.push([dx, dy, away > radius - 0.7 ? 1 : 0]);
    }
  }
  return found;
}

// A colour "#rrggbb" as a pixel of ImageData on a machine of the usual order of bytes.
function pixel(colour) {
  const [r, g, b] = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
  return ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;
}

export class MarkLayer {
  constructor(state) {
    this.state = state; // {marks, suggestions, colour(label), selected, region, pointing}
    this.visible = true;
  }

  draw(context, view) {
    const { state } = this;
    const { x, y, scale, width, height } = view;
    const seen = (mark) => {
      const [px, py] = [(mark.x - x) * scale, (mark.y - y) * scale];
      return px > -9 && py > -9 && px < width + 9 && py < height + 9;
    };
    const size = Math.min(Math.max(2 + scale * 1.5, 3), 7);
    if (!state.hidden) {
      const suggestions = state.suggestions.filter(seen);
      const groups = new Map();
      const negatives = [];
      let number = suggestions.length;
      for (const mark of state.marks.byId.values()) {
        if (!seen(mark)) continue;
        number += 1;
        if (mark.negative) negatives.push(mark);
        else if (groups.has(mark.label)) groups.get(mark.label).push(mark);
        else groups.set(mark.label, [mark]);
      }
      if (number > MANY) this._stamps(context, view, groups, suggestions, size);
      else {
        this._suggestions(context, view, suggestions, size);
        for (const [label, marks] of groups) this._dots(context, view, marks, state.colour(label), size);
      }
      this._crosses(context, view, negatives, size);
    }
    if (state.selected !== null && state.marks.byId.has(state.selected)) this._ring(context, view, state.marks.byId.get(state.selected));
    if (state.region) this._box(context, view, state.region);
    if (state.pointing) this._middle(context, width / 2, height / 2);
  }

  _dots(context, { x, y, scale }, marks, colour, size) {
    context.fillStyle = colour;
    context.strokeStyle = "#000000";
    context.lineWidth = 1;
    context.beginPath();
    for (const mark of marks) {
      const [px, py] = [(mark.x - x) * scale, (mark.y - y) * scale];
      context.moveTo(px + size, py);
      context.arc(px, py, size, 0, 2 * Math.PI);
    }
    context.fill();
    context.stroke();
  }

  // Draw many dots and suggestions: discs with a rim, and rings, pixel by pixel on a sheet of their own.
  _stamps(context, view, groups, suggestions, size) {
    const { width, height } = context.canvas;
    if (this.sheet?.width !== width || this.sheet?.height !== height) {
      this.sheet = Object.assign(document.createElement("canvas"), { width, height });
      this.image = new ImageData(width, height);
      this.pixels = new Uint32Array(this.image.data.buffer);
    }
    const ratio = width / view.width;
    const radius = Math.max(1, Math.round(Math.min(size, 4) * ratio));
    const shape = stamp(radius);
    const black = pixel("#000000");
    this.pixels.fill(0);
    const print = (marks, parts, colours) => {
      for (const mark of marks) {
        const px = Math.floor((mark.x - view.x) * view.scale * ratio);
        const py = Math.floor((mark.y - view.y) * view.scale * ratio);
        const whole = px >= radius && py >= radius && px < width - radius && py < height - radius;
        for (const [dx, dy, rim] of parts) {
          if (whole || (px + dx >= 0 && px + dx < width && py + dy >= 0 && py + dy < height)) {
            this.pixels[(py + dy) * width + px + dx] = colours[rim];
          }
        }
      }
    };
    print(suggestions, shape.filter(([, , rim]) => rim), [black, pixel("#ffffff")]);
    for (const [label, marks] of groups) print(marks, shape, [pixel(this.state.colour(label)), black]);
    this.sheet.getContext("2d").putImageData(this.image, 0, 0);
    context.drawImage(this.sheet, 0, 0, view.width, view.height);
  }

  _suggestions(context, { x, y, scale }, points, size) {
    const trace = () => {
      context.beginPath();
      for (const point of points) {
        const [px, py] = [(point.x - x) * scale, (point.y - y) * scale];
        context.moveTo(px + size, py);
        context.arc(px, py, size, 0, 2 * Math.PI);
      }
      context.stroke();
    };
    context.strokeStyle = "#000000";
    context.lineWidth = 3.5;
    trace();
    context.strokeStyle = "#ffffff";
    context.lineWidth = 1.8;
    trace();
  }

  _crosses(context, { x, y, scale }, marks, size) {
    const s = Math.max(size, 4);
    for (const [colour, line] of [["#000000", 4], ["#ff4d4d", 2]]) {
      context.strokeStyle = colour;
      context.lineWidth = line;
      context.beginPath();
      for (const mark of marks) {
        const [px, py] = [(mark.x - x) * scale, (mark.y - y) * scale];
        context.moveTo(px - s, py - s);
        context.lineTo(px + s, py + s);
        context.moveTo(px + s, py - s);
        context.lineTo(px - s, py + s);
      }
      context.stroke();
    }
  }

  _ring(context, { x, y, scale }, mark) {
    for (const [colour, line] of [["#000000", 4], ["#ffffff", 2]]) {
      context.strokeStyle = colour;
      context.lineWidth = line;
      context.beginPath();
      context.arc((mark.x - x) * scale, (mark.y - y) * scale, 12, 0, 2 * Math.PI);
      context.stroke();
    }
  }

  _box(context, { x, y, scale }, { from, to }) {
    context.strokeStyle = "#ffffff";
    context.fillStyle = "rgba(255, 255, 255, 0.15)";
    context.lineWidth = 1.5;
    const box = [(from.x - x) * scale, (from.y - y) * scale, (to.x - from.x) * scale, (to.y - from.y) * scale];
    context.fillRect(...box);
    context.strokeRect(...box);
  }

  _middle(context, px, py) {
    for (const [colour, line] of [["#000000", 3], ["#ffffff", 1]]) {
      context.strokeStyle = colour;
      context.lineWidth = line;
      context.beginPath();
      for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
        context.moveTo(px + 4 * dx, py + 4 * dy);
        context.lineTo(px + 14 * dx, py + 14 * dy);
      }
      context.stroke();
    }
  }
}
