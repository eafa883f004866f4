// The pad: strokes of a mouse, a pen, a finger or the keyboard. Models see them as `vision-zoo demo` shows them.

const SIDE = 280, BRUSH = 22, STEP = 14;

/** `strokes` of points on a square of SIDE, on a canvas `scale` times as large. */
function paint(context, strokes, scale, colour) {
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, SIDE, SIDE);
  Object.assign(context, { lineWidth: BRUSH, lineCap: "round", lineJoin: "round", strokeStyle: colour });
  for (const points of strokes) {
    context.beginPath();
    context.moveTo(...points[0]);
    for (const point of points.length > 1 ? points.slice(1) : points) context.lineTo(...point);
    context.stroke();
  }
}

/** A pad on a canvas; `changed` is called after each stroke, undo and clearing. */
class Pad {
  constructor(canvas, changed) {
    Object.assign(this, { canvas, changed, strokes: [], undone: [], stroke: null, pointer: null, cursor: null });
    const listen = (name, action) => canvas.addEventListener(name, action.bind(this));
    listen("pointerdown", this.begin);
    listen("pointermove", this.move);
    for (const name of ["pointerup", "pointercancel"]) listen(name, this.end);
    listen("keydown", this.key);
    listen("blur", this.leave);
    new ResizeObserver(() => this.repaint()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.repaint());
  }

  place(event) {
    const box = this.canvas.getBoundingClientRect();
    return [((event.clientX - box.left) * SIDE) / box.width, ((event.clientY - box.top) * SIDE) / box.height];
  }

  begin(event) {
    if (this.pointer !== null || event.button !== 0) return;
    this.leave();
    this.pointer = event.pointerId;
    try {
      this.canvas.setPointerCapture(this.pointer);
    } catch { /* the pointer has left already */ }
    this.stroke = [this.place(event)];
    this.strokes.push(this.stroke);
    this.repaint();
  }

  move(event) {
    if (event.pointerId !== this.pointer) return;
    const events = event.getCoalescedEvents?.() ?? [];
    for (const each of events.length ? events : [event]) this.stroke.push(this.place(each));
    this.repaint();
  }

  end(event) {
    if (event.pointerId !== this.pointer) return;
    this.pointer = this.stroke = null;
    this.finished();
  }

  finished() {
    this.undone = [];
    this.changed();
  }

  /** Arrows move a cursor, the space bar puts the pen down and lifts it. */
  key(event) {
    const [dx, dy] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key] ?? [];
    if (event.ctrlKey || event.metaKey || event.altKey || (dx === undefined && event.key !== " ")) return;
    event.preventDefault();
    this.cursor ??= [SIDE / 2, SIDE / 2];
    if (dx !== undefined) {
      this.cursor = [this.cursor[0] + STEP * dx, this.cursor[1] + STEP * dy].map((at) => Math.min(Math.max(at, STEP), SIDE - STEP));
      this.stroke?.push(this.cursor);
    } else if (this.stroke) {
      this.stroke = null;
      this.finished();
    } else {
      this.stroke = [this.cursor];
      this.strokes.push(this.stroke);
    }
    this.repaint();
  }

  /** Lift the keyboard's pen. */
  leave() {
    if (this.stroke && this.pointer === null) this.finished();
    if (this.pointer === null) this.stroke = null;
    this.cursor = null;
    this.repaint();
  }

  undo() {
    if (this.stroke || !this.strokes.length) return;
    this.undone.push(this.strokes.pop());
    this.again();
  }

  redo() {
    if (this.stroke || !this.undone.length) return;
    this.strokes.push(this.undone.pop());
    this.again();
  }

  clear() {
    Object.assign(this, { strokes: [], undone: [], stroke: null, cursor: null });
    this.again();
  }

  again() {
    this.repaint();
    this.changed();
  }

  repaint() {
    const size = Math.round(this.canvas.clientWidth * devicePixelRatio) || SIDE, context = this.canvas.getContext("2d");
    if (this.canvas.width !== size) this.canvas.width = this.canvas.height = size;
    const style = getComputedStyle(this.canvas);
    paint(context, this.strokes, size / SIDE, style.getPropertyValue("--ink"));
    if (!this.cursor) return;
    context.strokeStyle = style.getPropertyValue("--accent");
    context.lineWidth = 2;
    context.beginPath();
    context.arc(...this.cursor, BRUSH / 2 + 2, 0, 7);
    context.stroke();
  }

  /** The drawing as models take it: black strokes on nothing. */
  pixels() {
    const context = new OffscreenCanvas(SIDE, SIDE).getContext("2d", { willReadFrequently: true });
    paint(context, this.strokes, 1, "#000");
    return context.getImageData(0, 0, SIDE, SIDE);
  }
}
