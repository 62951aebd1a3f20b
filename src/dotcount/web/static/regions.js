// Drawing outlines on a viewer: corners by click, a rectangle by drag, or corners in the middle of the view by keys.

const NEAR = 14; // CSS px from the first corner at which a click closes an outline

export class RegionTool {
  // layer: a RegionLayer; finished(corners): called with a closed outline; given up: called without.
  constructor(viewer, layer, finished) {
    this.viewer = viewer;
    this.layer = layer;
    this.finished = finished;
    this.start = null;
    layer.draft = [];
    layer.cross = null;
    viewer.redraw();
  }

  down(point) {
    this.start = point;
    this.layer.cross = null;
    return true;
  }

  move(point) {
    if (!this.start) return;
    if (this._far(point) && !this.layer.draft.length) {
      this.box = true;
    }
    if (this.box) {
      const { start } = this;
      this.layer.draft = [[start.x, start.y], [point.x, start.y], [point.x, point.y], [start.x, point.y], [start.x, start.y]];
      this.viewer.redraw();
    }
  }

  up(point) {
    if (this.box) return this._finish(this.layer.draft.slice(0, 4));
    this.start = null;
    const first = this.layer.draft[0];
    if (this.layer.draft.length > 2) {
      const a = this.viewer.toScreen({ x: first[0], y: first[1] });
      const b = this.viewer.toScreen(point);
      if (Math.hypot(a.x - b.x, a.y - b.y) < NEAR) return this._finish(this.layer.draft);
    }
    return this._add(point);
  }

  cancel() {
    if (this.box) this.layer.draft = [];
    this.start = null;
    this.box = false;
    this.viewer.redraw();
  }

  key(event) {
    const actions = {
      Enter: () => this._add(this.viewer.middle()),
      Backspace: () => this.layer.draft.pop(),
      f: () => this.layer.draft.length > 2 && this._finish(this.layer.draft),
      Escape: () => this._finish(null),
    };
    if (!actions[event.key]) return false;
    actions[event.key]();
    this.viewer.redraw();
    return true;
  }

  // Show where Enter would set a corner.
  aim() {
    const { x, y } = this.viewer.middle();
    this.layer.cross = [x, y];
  }

  _far(point) {
    return Math.hypot(point.x - this.start.x, point.y - this.start.y) * this.viewer.view.scale > 6;
  }

  _add(point) {
    const inside = [Math.min(Math.max(point.x, 0), this.viewer.width), Math.min(Math.max(point.y, 0), this.viewer.height)];
    this.layer.draft.push(inside);
    this.viewer.redraw();
  }

  _finish(corners) {
    const { width, height } = this.viewer;
    this.layer.draft = null;
    this.layer.cross = null;
    this.start = null;
    this.viewer.tool = null;
    this.viewer.redraw();
    this.finished(corners && corners.map(([x, y]) => [Math.min(Math.max(x, 0), width), Math.min(Math.max(y, 0), height)]));
  }
}
