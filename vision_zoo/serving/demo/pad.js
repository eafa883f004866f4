// The pad in Gradio's page: its value is a PNG as a data URL, black strokes on nothing. `element` and `props` are
// Gradio's; see `js_on_load` of gr.HTML.

const canvas = element.querySelector("canvas"), [undo, redo, clear] = element.querySelectorAll("button");
let revision = 0;

// The revision makes every value a new one: the page answers even where the picture is the same again.
const pad = new Pad(canvas, () => {
  revision += 1;
  const drawing = Object.assign(document.createElement("canvas"), { width: SIDE, height: SIDE });
  paintForModels(drawing.getContext("2d"), pad.strokes);
  props.value = pad.strokes.length
    ? drawing.toDataURL("image/png").replace(";", `;revision=${revision};`)
    : `blank;revision=${revision}`;
  undo.disabled = !pad.past.length;
  redo.disabled = !pad.future.length;
});

clear.disabled = false;
canvas.addEventListener("pointerdown", () => window.visionZoo.changed("digit"));

// A tap right after a quick stroke makes no click in Chromium: pointers are listened to, clicks are the keyboard's.
for (const [button, action] of [[undo, () => pad.undo()], [redo, () => pad.redo()], [clear, () => pad.clear()]]) {
  button.addEventListener("pointerup", (event) => {
    if (event.button === 0 && button.contains(document.elementFromPoint(event.clientX, event.clientY))) action();
  });
  button.addEventListener("click", (event) => { if (event.detail === 0) action(); });
}
element.addEventListener("keydown", (event) => pad.shortcut(event));
