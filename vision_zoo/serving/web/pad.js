// The pad of this page and of `vision-zoo demo`: strokes of a mouse, a pen, a finger or the keyboard.

const SIDE = 280, BRUSH = 22, STEP = 14;

/** `strokes` of points on a square of SIDE that begins `from` left of and above the canvas, which is `scale` times as large. */
function paint(context, strokes, scale, colour, from = 0) {
  context.setTransform(scale, 0, 0, scale, -from * scale, -from * scale);
  Object.assign(context, { lineWidth: BRUSH, lineCap: "round", lineJoin: "round", strokeStyle: colour });
  for (const points of strokes) {
    context.beginPath();
    context.moveTo(...points[0]);
    for (const point of points.length > 1 ? points.slice(1) : points) context.lineTo(...point);
    context.stroke();
  }
}

/** Paint strokes black on a square canvas of SIDE, as models take them: smaller where one leaves the pad, so that none is cut. */
function paintForModels(context, strokes) {
  let low = 0, high = SIDE;
  for (const at of strokes.flat(2)) [low, high] = [Math.min(low, at - BRUSH / 2), Math.max(high, at + BRUSH / 2)];
  paint(context, strokes, SIDE / (high - low), "#000", low);
}

/** A pad on a canvas; `changed` is called after each stroke, undo and clearing. */
class Pad {
  constructor(canvas, changed) {
    Object.assign(this, { canvas, changed, strokes: [], past: [], future: [], stroke: null, pointer: null, cursor: null });
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
    this.start(this.place(event));
  }

  start(point) {
    this.stroke = [point];
    this.past.push(this.strokes);
    this.strokes = [...this.strokes, this.stroke];
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
    this.future = [];
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
      this.start(this.cursor);
    }
    this.repaint();
  }

  /** Ctrl+Z undoes, with Shift it redoes; Escape and Delete clear. */
  shortcut(event) {
    const command = event.ctrlKey || event.metaKey;
    if (command && event.key.toLowerCase() === "z") {
      event.preventDefault();
      if (event.shiftKey) this.redo();
      else this.undo();
    } else if (!command && ["Escape", "Delete"].includes(event.key)) this.clear();
  }

  /** Lift the keyboard's pen. */
  leave() {
    if (this.stroke && this.pointer === null) this.finished();
    if (this.pointer === null) this.stroke = null;
    this.cursor = null;
    this.repaint();
  }

  undo() {
    this.step(this.past, this.future);
  }

  redo() {
    this.step(this.future, this.past);
  }

  step(from, to) {
    if (this.stroke || !from.length) return;
    to.push(this.strokes);
    this.strokes = from.pop();
    this.again();
  }

  /** Begin anew; undone as a stroke is. */
  clear() {
    if (this.strokes.length) this.past.push(this.strokes);
    Object.assign(this, { strokes: [], future: [], stroke: null, pointer: null, cursor: null });
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
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, size, size);
    paint(context, this.strokes, size / SIDE, style.color);
    if (!this.cursor) return;
    context.strokeStyle = style.caretColor;
    context.lineWidth = 2;
    context.beginPath();
    context.arc(...this.cursor, BRUSH / 2 + 2, 0, 7);
    context.stroke();
  }

  /** The drawing as models take it: black strokes on nothing. */
  pixels() {
    const context = new OffscreenCanvas(SIDE, SIDE).getContext("2d", { willReadFrequently: true });
    paintForModels(context, this.strokes);
    return context.getImageData(0, 0, SIDE, SIDE);
  }
}
