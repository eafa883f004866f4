// The models of the page in ONNX Runtime Web, and what they say of a picture.

const about = JSON.parse(document.getElementById("about").textContent);

/** The bytes of a block, gzip in base64, that is in the page or in a script beside it. */
async function unpacked(id) {
  const inside = document.getElementById(id), beside = globalThis.visionZooBlocks ?? {};
  if (!inside && !beside[id]) throw new Error("a script beside this page is missing");
  const text = atob(inside ? inside.textContent : beside[id]), bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  inside?.remove(); // megabytes of text that nobody reads again
  delete beside[id];
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

let ort;

/** Load the runtime and every model, and run each once, so that no answer waits for it. */
async function loadModels() {
  const [script, wasm] = await Promise.all(["runtime-script", "runtime-wasm"].map(unpacked));
  ort = await import(URL.createObjectURL(new Blob([script], { type: "text/javascript" })));
  Object.assign(ort.env.wasm, { wasmBinary: wasm, numThreads: 1 });
  ort.env.logLevel = "error";
  const models = [];
  for (const [number, entry] of about.models.entries()) {
    const content = await unpacked(`model-${number}`);
    const session = await ort.InferenceSession.create(content, { executionProviders: ["wasm"] });
    const model = { ...entry, session, gaussians: gaussiansOf(entry.familiarity, entry.labels.length) };
    const { height, width, channels } = model.input;
    await classify(model, new Uint8Array(height * width * channels));
    models.push(model);
  }
  return models;
}

/** One model's answer: `probabilities` in the order of its labels, `familiar` as `Session.are_familiar` says it. */
async function classify(model, pixels) {
  const { height, width, channels } = model.input;
  const image = new ort.Tensor("uint8", pixels, [1, height, width, channels]);
  const started = performance.now();
  const outputs = await model.session.run({ image }, ["logits", "probabilities"]);
  const milliseconds = performance.now() - started;
  const probabilities = Array.from(outputs.probabilities.data);
  const logits = outputs.logits.data;
  let familiar = null;
  if (model.gaussians) familiar = isFamiliar(model.gaussians, pixels, model.input, logits);
  else if (model.threshold !== null) familiar = energy(logits) >= model.threshold;
  return { model, pixels, probabilities, best: argmax(probabilities), familiar, milliseconds };
}

/** ln(sum(exp(logits))): low where no class stands out. */
function energy(logits) {
  const most = Math.max(...logits);
  return most + Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit - most), 0));
}

/** The labels of an answer's set at a coverage in %, the most probable first; null where the model has none. */
function labelSet({ model, probabilities, best }, coverage) {
  const threshold = model.sets[coverage];
  if (threshold === undefined) return null;
  const order = probabilities.map((_, i) => i).sort((a, b) => probabilities[b] - probabilities[a] || a - b);
  const within = order.filter((i) => probabilities[i] >= threshold);
  return (within.length ? within : [best]).map((i) => model.labels[i]);
}

const formOf = (model) => JSON.stringify(model.input);

/** The answers of the models that can use a picture (`ImageData`); throws ImageError if none can. */
async function answersOf(models, picture) {
  const inputs = new Map(), answers = [];
  for (const model of models) {
    const form = formOf(model);
    if (!inputs.has(form)) inputs.set(form, attempt(() => prepare(picture, model.input)));
    const pixels = inputs.get(form);
    if (!(pixels instanceof ImageError)) answers.push(await classify(model, pixels));
  }
  if (!answers.length) throw inputs.get(formOf(models[0]));
  return answers;
}

function attempt(action) {
  try {
    return action();
  } catch (error) {
    if (error instanceof ImageError) return error;
    throw error;
  }
}
