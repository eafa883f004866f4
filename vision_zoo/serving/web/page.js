// The page: where pictures come from, and the answers beside them.

const find = (id) => document.getElementById(id);
const percent = (value) => `${(100 * value).toFixed(1)} %`;
const DRAWN = about.models.some((model) => model.input.centring === "center_of_mass");
const NOTHING = DRAWN ? "Draw a digit, large." : "Choose, drop or paste a picture.";

/** An element with a class, text and attributes. */
function element(name, kind, text = "", attributes = {}) {
  const made = document.createElement(name);
  if (kind) made.className = kind;
  made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function bar(label, share) {
  const row = element("div", "bar", "", { role: "listitem" }), track = element("span", "track", "", { "aria-hidden": "true" });
  const fill = element("span", "fill");
  fill.style.width = percent(share).replace(" ", "");
  track.append(fill);
  row.append(element("span", "name", label, { title: label }), track, element("span", "share", percent(share)));
  return row;
}

/** A model's input, each pixel a square. */
function modelsView({ model, pixels }) {
  const { width, height, channels } = model.input;
  const canvas = element("canvas", "view", "", { role: "img", "aria-label": `What ${model.name} sees: ${width} × ${height} pixels` });
  Object.assign(canvas, { width, height });
  const shown = new ImageData(width, height);
  for (let i = 0; i < width * height; i++) {
    for (let c = 0; c < 3; c++) shown.data[4 * i + c] = pixels[i * channels + (channels === 3 ? c : 0)];
    shown.data[4 * i + 3] = 255;
  }
  canvas.getContext("2d").putImageData(shown, 0, 0);
  return canvas;
}

function card(answer, count) {
  const { model, probabilities, best, familiar, milliseconds } = answer;
  const made = element("article", "card", "", {
    "aria-label": `${model.name}: ${model.labels[best]}, ${percent(probabilities[best])}`,
  });
  made.append(element("h2", "", model.name));
  const head = element("div", "head"), set = labelSet(answer, coverage());
  head.append(element("p", "label", set && familiar === false ? "unknown" : model.labels[best]), modelsView(answer));
  made.append(head);
  const list = element("div", "bars", "", { role: "list", "aria-label": "Probabilities" });
  const order = probabilities.map((_, i) => i).sort((a, b) => probabilities[b] - probabilities[a] || a - b).slice(0, count);
  // Few classes keep their places, so that the eye finds them again.
  if (order.length === probabilities.length) order.sort((a, b) => a - b);
  for (const i of order) list.append(bar(model.labels[i], probabilities[i]));
  made.append(list);
  if (set) made.append(element("p", "set", `${coverage()} % set: ${set.join(", ")}`));
  if (familiar === false) made.append(element("p", "warning", "⚠ Unlike the training data."));
  const accuracy = `${(100 * model.accuracy).toFixed(2)} % of ${model.images.toLocaleString("en")} test images`;
  made.append(element("p", "facts", `${milliseconds.toFixed(1)} ms · ${accuracy}`));
  return made;
}

/** The coverage of the sets that are asked for, in %; none where it is empty. */
const coverage = () => find("coverage")?.value ?? "";

/** The verdict in one sentence, for the eye and for screen readers. */
function summary(answers) {
  const votes = new Map();
  for (const { model, best } of answers) votes.set(model.labels[best], (votes.get(model.labels[best]) ?? 0) + 1);
  const [[label, most]] = [...votes].sort((a, b) => b[1] - a[1]);
  const unusual = answers.filter(({ familiar }) => familiar === false).length;
  const aside = unusual === answers.length ? " It is unlike the training data." : "";
  if (answers.length === 1) return `The model says ${label}, ${percent(answers[0].probabilities[answers[0].best])}.${aside}`;
  const who = most === answers.length ? `All ${most} models say` : `${most} of ${answers.length} models say`;
  return `${who} ${label}.${aside}`;
}

function say(text) {
  if (find("said").textContent !== text) find("said").textContent = text;
}

let shown = [];

function show(answers) {
  shown = answers;
  const count = answers.length === 1 ? 10 : 3;
  find("answers").replaceChildren(...answers.map((answer) => card(answer, count)));
  say(summary(answers));
}

function showNothing(text) {
  shown = [];
  find("answers").replaceChildren();
  say(text);
}

/** Calls that come while one is running are dropped but for the last. */
function latest(action) {
  let running = null, waiting = null;
  return async function call(...values) {
    if (running) {
      waiting = values;
      return running;
    }
    running = (async () => {
      for (waiting = values; waiting; ) {
        const next = waiting;
        waiting = null;
        await action(...next);
      }
    })();
    try {
      await running;
    } finally {
      running = null;
    }
  };
}

let models = [], source = "draw", stream = null;

const look = latest(async (picture, chosen = models) => {
  try {
    if (!picture) showNothing(NOTHING);
    else if (models.length) show(await answersOf(chosen, picture));
  } catch (error) {
    showNothing(error instanceof ImageError ? `${error.message[0].toUpperCase()}${error.message.slice(1)}.` : `The models failed: ${error.message}`);
    if (!(error instanceof ImageError)) throw error;
  }
});

const digitModels = () => models.filter((model) => model.input.centring === "center_of_mass");
const lookAtDrawing = () => look(pad.strokes.length ? pad.pixels() : null, digitModels());

const pad = new Pad(find("pad"), () => {
  enter("draw");
  lookAtDrawing();
});

/** Show the pad, a picture or the camera. */
function enter(next) {
  source = next;
  if (next !== "camera") stopCamera();
  for (const id of ["pad", "picture", "video"]) find(id).hidden = true;
  find("empty").hidden = DRAWN || next !== "draw";
  if (next !== "draw" || DRAWN) find({ draw: "pad", picture: "picture", camera: "video" }[next]).hidden = false;
  find("undo").disabled = next !== "draw" || !pad.past.length;
  find("redo").disabled = next !== "draw" || !pad.future.length;
  find("camera").setAttribute("aria-pressed", String(next === "camera"));
}

function stopCamera() {
  stream?.getTracks().forEach((track) => track.stop());
  stream = find("video").srcObject = null;
}

async function watch() {
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
  } catch {
    showNothing("There is no camera, or the page may not use it.");
    return;
  }
  enter("camera");
  const video = find("video"), own = stream;
  video.srcObject = stream;
  await video.play();
  while (stream === own) {
    if (video.videoWidth) await look(snapshot(video));
    await new Promise((next) => setTimeout(next, 150));
  }
}

async function usePicture(file) {
  try {
    const picture = await decoded(file), image = find("picture");
    URL.revokeObjectURL(image.src);
    image.src = URL.createObjectURL(file);
    image.alt = file.name || "Pasted picture";
    enter("picture");
    await look(picture);
  } catch (error) {
    showNothing(`${error.message}.`);
    if (!(error instanceof ImageError)) throw error;
  }
}

const fileOf = (transfer) => [...(transfer?.files ?? [])].find((file) => file.type.startsWith("image/")) ?? transfer?.files?.[0];

function listen() {
  find("undo").addEventListener("click", () => pad.undo());
  find("redo").addEventListener("click", () => pad.redo());
  find("clear").addEventListener("click", () => pad.clear());
  find("camera").addEventListener("click", () => (stream ? pad.changed() : watch()));
  find("coverage")?.addEventListener("change", () => shown.length && show(shown));
  find("choose").addEventListener("click", () => find("file").click());
  find("file").addEventListener("change", (event) => {
    if (event.target.files.length) usePicture(event.target.files[0]);
    event.target.value = "";
  });
  const using = (event, transfer) => {
    const file = fileOf(transfer);
    if (!file) return;
    event.preventDefault();
    usePicture(file);
  };
  addEventListener("paste", (event) => using(event, event.clipboardData));
  addEventListener("dragover", (event) => { event.preventDefault(); document.body.classList.add("over"); });
  addEventListener("dragleave", (event) => { if (!event.relatedTarget) document.body.classList.remove("over"); });
  addEventListener("drop", (event) => {
    event.preventDefault();
    document.body.classList.remove("over");
    using(event, event.dataTransfer);
  });
  addEventListener("keydown", (event) => pad.shortcut(event));
}

async function start() {
  listen();
  enter("draw");
  try {
    models = await loadModels();
  } catch (error) {
    say(`The models cannot run in this browser (${error.message}); use a recent Chromium, Firefox or Safari.`);
    throw error;
  }
  if (source === "draw") await lookAtDrawing();
}

window.visionZoo = { ready: start(), prepare, decoded, classify, labelSet, answersOf, models: () => models };
