// A picture on a canvas, to zoom and pan by mouse, touch and keys, with layers drawn on top.
//
//   const viewer = new Viewer(canvas);
//   viewer.setTiles({ width, height, tile: 512, levels: 4, url: (level, column, row) => "..." });   // or setPicture()
//   viewer.layers.push({ visible: true, draw(context, view) { ... } });
//   viewer.tool = { down(point, event) { return true; }, move(point, event) {}, up(point, event) {}, click(point, event) {},
//                  cancel() {}, key(event) {} };
//
// Points are in px of the picture, from its top-left corner. `view` is {scale, x, y, width, height}: a point is shown at
// ((px - x) * scale, (py - y) * scale) CSS px. A tool whose `down` returns true has the pointer until it is up; otherwise
// dragging pans, and a press without a drag is a click; a second finger cancels what the first has begun. Level 0 of the tiles is the picture at full size, each further one half of it.

const MOST_TILES = 256;
const CLICK = 4; // CSS px that a pointer may move while it clicks

export class Viewer {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.layers = [];
    this.tool = null;
    this.view = { scale: 1, x: 0, y: 0, width: 0, height: 0 };
    this.width = 0;
    this.height = 0;
    this.onview = null; // called after each drawing
    this._source = null;
    this._tiles = new Map();
    this._pointers = new Map();
    this._frame = 0;
    this._fitted = true;
    canvas.tabIndex = canvas.tabIndex < 0 ? 0 : canvas.tabIndex;
    new ResizeObserver(() => this._resize()).observe(canvas);
    canvas.addEventListener("pointerdown", (event) => this._down(event));
    canvas.addEventListener("pointermove", (event) => this._move(event));
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, (event) => this._up(event));
    canvas.addEventListener("wheel", (event) => this._wheel(event), { passive: false });
    canvas.addEventListener("keydown", (event) => this._key(event));
    canvas.addEventListener("dblclick", (event) => {
      if (!this.tool) this.zoom(2, this._place(event));
    });
    this._resize();
  }

  setTiles(source) {
    this._source = source;
    this._show(source.width, source.height);
  }

  setPicture(picture, width = picture.width, height = picture.height) {
    this._source = { picture };
    this._show(width, height);
  }

  clear() {
    this._source = null;
    this._show(0, 0);
  }

  fit() {
    const { canvas, view } = this;
    const scale = Math.min(canvas.clientWidth / this.width, canvas.clientHeight / this.height);
    if (!(scale > 0 && Number.isFinite(scale))) return this.redraw();
    view.scale = scale;
    view.x = (this.width - canvas.clientWidth / scale) / 2;
    view.y = (this.height - canvas.clientHeight / scale) / 2;
    this._fitted = true;
    return this.redraw();
  }

  // Zoom by a factor about a place on the canvas, CSS px; the middle without one.
  zoom(factor, place = { x: this.canvas.clientWidth / 2, y: this.canvas.clientHeight / 2 }) {
    if (!this.width) return;
    const { view } = this;
    const point = this.toImage(place);
    const whole = Math.min(this.canvas.clientWidth / this.width, this.canvas.clientHeight / this.height);
    view.scale = Math.min(Math.max(view.scale * factor, Math.min(whole, 1) / 2), Math.max(64, whole));
    view.x = point.x - place.x / view.scale;
    view.y = point.y - place.y / view.scale;
    this._moved();
  }

  pan(dx, dy) {
    this.view.x -= dx / this.view.scale;
    this.view.y -= dy / this.view.scale;
    this._moved();
  }

  // Show a point of the picture in the middle.
  center(point, scale = this.view.scale) {
    this.view.scale = scale;
    this.view.x = point.x - this.canvas.clientWidth / scale / 2;
    this.view.y = point.y - this.canvas.clientHeight / scale / 2;
    this._moved();
  }

  toImage(place) {
    return { x: this.view.x + place.x / this.view.scale, y: this.view.y + place.y / this.view.scale };
  }

  toScreen(point) {
    return { x: (point.x - this.view.x) * this.view.scale, y: (point.y - this.view.y) * this.view.scale };
  }

  middle() {
    return this.toImage({ x: this.canvas.clientWidth / 2, y: this.canvas.clientHeight / 2 });
  }

  redraw() {
    if (!this._frame) this._frame = requestAnimationFrame(() => this._draw());
  }

  _show(width, height) {
    this.width = width;
    this.height = height;
    this._tiles.clear();
    this.fit();
  }

  _moved() {
    const { view, canvas } = this;
    this._fitted = false; // some of the picture stays in sight
    const [w, h] = [canvas.clientWidth / view.scale, canvas.clientHeight / view.scale];
    view.x = Math.min(Math.max(view.x, -0.8 * w), this.width - 0.2 * w);
    view.y = Math.min(Math.max(view.y, -0.8 * h), this.height - 0.2 * h);
    this.redraw();
  }

  _resize() {
    const ratio = window.devicePixelRatio || 1;
    this.canvas.width = Math.max(1, Math.round(this.canvas.clientWidth * ratio));
    this.canvas.height = Math.max(1, Math.round(this.canvas.clientHeight * ratio));
    if (this._fitted) this.fit();
    this.redraw();
  }

  _draw() {
    this._frame = 0;
    const { context, canvas, view } = this;
    const ratio = canvas.width / Math.max(1, canvas.clientWidth);
    view.width = canvas.clientWidth;
    view.height = canvas.clientHeight;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    if (!this._source) return;
    context.setTransform(ratio * view.scale, 0, 0, ratio * view.scale, -view.x * view.scale * ratio, -view.y * view.scale * ratio);
    context.imageSmoothingEnabled = view.scale * ratio < 4;
    if (this._source.picture) context.drawImage(this._source.picture, 0, 0, this.width, this.height);
    else this._drawTiles(ratio);
    for (const layer of this.layers) {
      if (!layer.visible) continue;
      context.save();
      context.setTransform(ratio, 0, 0, ratio, 0, 0);
      layer.draw(context, view);
      context.restore();
    }
    this.onview?.(view);
  }

  _drawTiles(ratio) {
    const { levels } = this._source;
    const wanted = Math.min(levels - 1, Math.max(0, Math.floor(-Math.log2(this.view.scale * ratio) + 0.01)));
    for (let level = levels - 1; level >= wanted; level--) this._drawLevel(level, level === wanted || level === levels - 1);
  }

  // Draw the tiles of a level that are there; ask for the others only where they are wanted.
  _drawLevel(level, wanted) {
    const { tile, url } = this._source;
    const size = tile * 2 ** level;
    const { view } = this;
    const [columns, rows] = [Math.ceil(this.width / size), Math.ceil(this.height / size)];
    const first = [Math.max(0, Math.floor(view.x / size)), Math.max(0, Math.floor(view.y / size))];
    const last = [
      Math.min(columns - 1, Math.floor((view.x + view.width / view.scale) / size)),
      Math.min(rows - 1, Math.floor((view.y + view.height / view.scale) / size)),
    ];
    for (let row = first[1]; row <= last[1]; row++) {
      for (let column = first[0]; column <= last[0]; column++) {
        const image = this._tile(`${level}/${column}/${row}`, wanted ? url(level, column, row) : null);
        if (!image) continue;
        const [x, y] = [column * size, row * size];
        this.context.drawImage(image, x, y, Math.min(size, this.width - x), Math.min(size, this.height - y));
      }
    }
  }

  _tile(key, url) {
    const known = this._tiles.get(key);
    if (known) {
      this._tiles.delete(key); // the most recently used are last
      this._tiles.set(key, known);
      return known.complete && known.naturalWidth ? known : null;
    }
    if (!url) return null;
    const image = new Image();
    image.onload = () => this.redraw();
    image.src = url;
    this._tiles.set(key, image);
    if (this._tiles.size > MOST_TILES) this._tiles.delete(this._tiles.keys().next().value);
    return null;
  }

  _place(event) {
    const box = this.canvas.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  }

  _down(event) {
    this.canvas.focus({ preventScroll: true });
    this.canvas.setPointerCapture(event.pointerId);
    const place = this._place(event);
    const pointer = { place, start: place, tool: false, moved: false };
    for (const other of this._pointers.values()) {
      if (other.tool) this.tool?.cancel?.(); // a second finger: it is a pinch, not a stroke
      other.tool = false;
      other.moved = pointer.moved = true;
    }
    if (!this._pointers.size && event.button === 0) pointer.tool = Boolean(this.tool?.down?.(this.toImage(place), event));
    this._pointers.set(event.pointerId, pointer);
  }

  _move(event) {
    const pointer = this._pointers.get(event.pointerId);
    const place = this._place(event);
    if (!pointer) return void this.tool?.move?.(this.toImage(place), event);
    const before = pointer.place;
    pointer.moved ||= Math.hypot(place.x - pointer.start.x, place.y - pointer.start.y) > CLICK;
    if (this._pointers.size === 2) {
      const [a, b] = [...this._pointers.values()];
      const other = a === pointer ? b : a;
      const spread = (one) => Math.hypot(one.x - other.place.x, one.y - other.place.y);
      const middle = { x: (place.x + other.place.x) / 2, y: (place.y + other.place.y) / 2 };
      this.pan((place.x - before.x) / 2, (place.y - before.y) / 2);
      if (spread(before) > 0) this.zoom(spread(place) / spread(before), middle);
    } else if (pointer.tool) this.tool?.move?.(this.toImage(place), event);
    else if (pointer.moved) this.pan(place.x - before.x, place.y - before.y);
    pointer.place = place;
    return undefined;
  }

  _up(event) {
    const pointer = this._pointers.get(event.pointerId);
    if (!pointer) return;
    this._pointers.delete(event.pointerId);
    if (pointer.tool) this.tool?.up?.(this.toImage(this._place(event)), event);
    else if (!pointer.moved && event.type === "pointerup") this.tool?.click?.(this.toImage(this._place(event)), event);
  }

  _wheel(event) {
    event.preventDefault();
    const step = event.deltaMode === 1 ? 30 : 1;
    this.zoom(Math.exp(-Math.max(-300, Math.min(300, event.deltaY * step)) / 300), this._place(event));
  }

  _key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (this.tool?.key?.(event)) return void event.preventDefault();
    const step = Math.max(40, Math.min(this.canvas.clientWidth, this.canvas.clientHeight) / 8);
    const actions = {
      ArrowLeft: () => this.pan(step, 0),
      ArrowRight: () => this.pan(-step, 0),
      ArrowUp: () => this.pan(0, step),
      ArrowDown: () => this.pan(0, -step),
      "+": () => this.zoom(1.5),
      "=": () => this.zoom(1.5),
      "-": () => this.zoom(1 / 1.5),
      0: () => this.fit(),
    };
    if (!actions[event.key]) return;
    event.preventDefault();
    actions[event.key]();
  }
}
