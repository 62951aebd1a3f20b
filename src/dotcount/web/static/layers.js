// What is drawn over a counted photo: located points, the density in colours, and regions.

// Inferno (matplotlib, CC0) from a quarter of its length on, as the overlays of `dotcount predict` have it.
const RAMP = [
  [87, 16, 110], [120, 28, 109], [154, 40, 101], [188, 55, 84], [216, 76, 62], [237, 105, 37], [249, 142, 9],
  [251, 182, 26], [244, 223, 83], [252, 255, 164],
];

// Return [red, green, blue] at a place from 0 to 1.
export function colour(place) {
  const at = Math.min(Math.max(place, 0), 1) * (RAMP.length - 1);
  const k = Math.min(Math.floor(at), RAMP.length - 2);
  return RAMP[k].map((low, c) => Math.round(low + (RAMP[k + 1][c] - low) * (at - k)));
}

export function drawRamp(canvas) {
  const context = canvas.getContext("2d");
  for (let x = 0; x < canvas.width; x++) {
    context.fillStyle = `rgb(${colour(x / (canvas.width - 1)).join(" ")})`;
    context.fillRect(x, 0, 1, canvas.height);
  }
}

// A layer of points: rings whose size follows the zoom, so that neighbours stay apart.
export class PointLayer {
  constructor() {
    this.visible = true;
    this.points = new Float32Array(0); // x, y, score of each
    this.room = 30; // mean distance of points if they were spread evenly, px of the photo
  }

  draw(context, view) {
    const { points } = this;
    const radius = Math.min(Math.max(2, 0.18 * this.room * view.scale), 9);
    const rings = new Path2D();
    const margin = radius / view.scale;
    for (let k = 0; k < points.length; k += 3) {
      const [px, py] = [points[k], points[k + 1]];
      if (px < view.x - margin || py < view.y - margin) continue;
      if (px > view.x + view.width / view.scale + margin || py > view.y + view.height / view.scale + margin) continue;
      const [x, y] = [(px - view.x) * view.scale, (py - view.y) * view.scale];
      rings.moveTo(x + radius, y);
      rings.arc(x, y, radius, 0, 2 * Math.PI);
    }
    context.lineWidth = 3.5;
    context.strokeStyle = "rgb(20 20 20 / 0.6)";
    context.stroke(rings);
    context.lineWidth = 1.8;
    context.strokeStyle = "rgb(56 189 248)";
    context.stroke(rings);
  }
}

// The density: one pixel a cell, its colour by the square root of its value.
export class DensityLayer {
  constructor() {
    this.visible = false;
    this.picture = null;
  }

  // density: Float32Array of rows x columns cells; stride: [sx, sy] px; top: objects per px² of the brightest colour.
  set(density, rows, columns, stride, top, width, height) {
    const canvas = document.createElement("canvas");
    canvas.width = columns;
    canvas.height = rows;
    const context = canvas.getContext("2d");
    const image = context.createImageData(columns, rows);
    const most = top * stride[0] * stride[1];
    for (let k = 0; k < density.length; k++) {
      const place = Math.sqrt(Math.min(density[k] / most, 1));
      image.data.set([...colour(place), Math.round(215 * place)], 4 * k);
    }
    context.putImageData(image, 0, 0);
    this.picture = canvas;
    this.size = [columns * stride[0], rows * stride[1]];
    this.frame = [width, height];
  }

  draw(context, view) {
    if (!this.picture) return;
    const place = (x, y) => [(x - view.x) * view.scale, (y - view.y) * view.scale];
    context.beginPath();
    context.rect(...place(0, 0), this.frame[0] * view.scale, this.frame[1] * view.scale);
    context.clip();
    context.imageSmoothingEnabled = view.scale < 1;
    context.drawImage(this.picture, ...place(0, 0), this.size[0] * view.scale, this.size[1] * view.scale);
  }
}

const INKS = ["#ffb000", "#eb50a0", "#7ad151", "#fe6100", "#b39cff"];

// Regions: closed outlines with names, and one that is being drawn.
export class RegionLayer {
  constructor() {
    this.visible = true;
    this.regions = []; // {name, corners: [[x, y], ...], count}
    this.draft = null; // corners of the outline at work
    this.cross = null; // where the next corner would go by keyboard
  }

  draw(context, view) {
    const place = ([x, y]) => [(x - view.x) * view.scale, (y - view.y) * view.scale];
    this.regions.forEach((region, k) => {
      const ink = INKS[k % INKS.length];
      this._line(context, region.corners.map(place), ink, true);
      this._label(context, region, place(middle(region.corners)), ink);
    });
    if (this.draft) {
      const corners = this.draft.map(place);
      this._line(context, corners, "#ffffff", false);
      context.fillStyle = "#ffffff";
      for (const [x, y] of corners) {
        context.beginPath();
        context.arc(x, y, 5, 0, 2 * Math.PI);
        context.fill();
      }
    }
    if (this.cross) {
      const [x, y] = place(this.cross);
      this._line(context, [[x - 12, y], [x + 12, y]], "#ffffff", false);
      this._line(context, [[x, y - 12], [x, y + 12]], "#ffffff", false);
    }
  }

  _line(context, corners, ink, closed) {
    const path = new Path2D();
    corners.forEach(([x, y], k) => (k ? path.lineTo(x, y) : path.moveTo(x, y)));
    if (closed) path.closePath();
    context.lineJoin = "round";
    context.lineWidth = 5;
    context.strokeStyle = "rgb(20 20 20 / 0.65)";
    context.stroke(path);
    context.lineWidth = 2.5;
    context.strokeStyle = ink;
    context.stroke(path);
  }

  _label(context, region, [x, y], ink) {
    const text = region.count === undefined ? region.name : `${region.name}: ${shown(region.count)}`;
    context.font = "600 14px system-ui, sans-serif";
    context.textAlign = "center";
    context.textBaseline = "middle";
    const half = context.measureText(text).width / 2 + 7;
    context.fillStyle = "rgb(20 20 20 / 0.85)";
    context.beginPath();
    context.roundRect(x - half, y - 12, 2 * half, 24, 6);
    context.fill();
    context.fillStyle = ink;
    context.fillText(text, x, y);
  }
}

function middle(corners) {
  return [0, 1].map((axis) => corners.reduce((sum, corner) => sum + corner[axis], 0) / corners.length);
}

// Return a count as people read it: tenths where they matter.
export function shown(count) {
  const digits = Math.abs(count) < 99.95 ? 1 : 0;
  return count.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}
