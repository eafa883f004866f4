// A pad to draw on with a mouse, a pen or a finger. Its value is a PNG as a data URL: black strokes on nothing.
// `element`, `props` are given by Gradio; see `js_on_load` of gr.HTML.
const SIDE = 280, WIDTH = 22;
const canvas = element.querySelector("canvas");
const buttons = Object.fromEntries([...element.querySelectorAll("button")].map((b) => [b.getAttribute("aria-label"), b]));
const pen = canvas.getContext("2d", { willReadFrequently: true });
let done = [], undone = [], stroke = null, pointer = null, erasing = false, revision = 0;

const place = (event) => {
  const box = canvas.getBoundingClientRect();
  return [((event.clientX - box.left) * SIDE) / box.width, ((event.clientY - box.top) * SIDE) / box.height];
};

const paint = ({ points, erases }) => {
  pen.globalCompositeOperation = erases ? "destination-out" : "source-over";
  pen.lineWidth = erases ? 1.6 * WIDTH : WIDTH;
  pen.lineCap = pen.lineJoin = "round";
  pen.beginPath();
  pen.moveTo(...points[0]);
  for (const point of points.length > 1 ? points.slice(1) : points) pen.lineTo(...point);
  pen.stroke();
};

const repaint = () => {
  pen.globalCompositeOperation = "source-over";
  pen.clearRect(0, 0, SIDE, SIDE);
  const start = done.findLastIndex((entry) => entry.clears) + 1;
  done.slice(start).forEach(paint);
};

const refresh = () => {
  buttons["Undo"].disabled = !done.length;
  buttons["Redo"].disabled = !undone.length;
  buttons["Brush"].setAttribute("aria-pressed", String(!erasing));
  buttons["Erase"].setAttribute("aria-pressed", String(erasing));
};

// The revision makes every value a new one: the page answers even where the picture is the same again.
const publish = () => {
  revision += 1;
  const blank = !new Uint32Array(pen.getImageData(0, 0, SIDE, SIDE).data.buffer).some(Boolean);
  props.value = blank ? `blank;revision=${revision}` : canvas.toDataURL("image/png").replace(";", `;revision=${revision};`);
  refresh();
};

const finish = (event) => {
  if (event.pointerId !== pointer) return;
  pointer = null;
  done.push(stroke);
  undone = [];
  publish();
};

canvas.addEventListener("pointerdown", (event) => {
  if (pointer !== null || event.button !== 0) return;
  event.preventDefault();
  pointer = event.pointerId;
  try { canvas.setPointerCapture(pointer); } catch { /* the pointer has left already */ }
  window.visionZoo.changed("digit");
  stroke = { points: [place(event)], erases: erasing };
  paint(stroke);
});
canvas.addEventListener("pointermove", (event) => {
  if (event.pointerId !== pointer) return;
  const events = event.getCoalescedEvents?.() ?? [];
  for (const each of events.length ? events : [event]) stroke.points.push(place(each));
  repaint();
  paint(stroke);
});
canvas.addEventListener("pointerup", finish);
canvas.addEventListener("pointercancel", finish);

// A tap right after a quick stroke makes no click in Chromium: pointers are listened to, clicks are the keyboard's.
const act = (label, action) => {
  const button = buttons[label];
  button.addEventListener("pointerup", (event) => {
    if (event.button === 0 && button.contains(document.elementFromPoint(event.clientX, event.clientY))) action();
  });
  button.addEventListener("click", (event) => { if (event.detail === 0) action(); });
};
act("Undo", () => { undone.push(done.pop()); repaint(); publish(); });
act("Redo", () => { done.push(undone.pop()); repaint(); publish(); });
act("Clear canvas", () => {
  if (done.length && !done.at(-1).clears) done.push({ clears: true });
  undone = [];
  repaint();
  publish();
});
act("Brush", () => { erasing = false; refresh(); });
act("Erase", () => { erasing = true; refresh(); });
refresh();
