// Every answer says which input it is of. One of another picture than the present one is never shown, however late it
// comes, and one of another drawing is faint: observers run before the browser paints.
window.visionZoo = (() => {
  const present = {};
  const models = {};  // what mattered is of the chosen model, too, where there is a choice
  const parts = (name) => ["answers", "heat"].map((part) => document.getElementById(`${name}-${part}`));

  const isLate = (name, url) => {
    const of = /^data:image\/png;of=([^;]*);/.exec(url ?? "");
    const chosen = name in models ? [encodeURIComponent(models[name])] : [];
    return of !== null && of[1] !== [present[name], ...chosen].join("~");
  };

  // Of what depends on the coverage, the part of the chosen one, or the first where a model has no such sets.
  const settleSets = () => {
    const chosen = document.getElementById("coverage")?.value ?? "";
    for (const { children } of document.querySelectorAll(".sets")) {
      const shown = [...children].find((part) => part.dataset.coverage === chosen) ?? children[0];
      for (const part of children) part.hidden = part !== shown;
    }
  };
  document.addEventListener("change", settleSets);

  const settle = () => {
    settleSets();
    for (const [name, key] of Object.entries(present)) {
      for (const part of parts(name)) {
        for (const answer of part?.querySelectorAll("[data-of]") ?? []) {
          if (name === "digit") answer.classList.toggle("late", answer.dataset.of !== key);
          else if (answer.dataset.of !== key) answer.replaceChildren();
        }
        for (const image of part?.querySelectorAll("img") ?? []) {
          image.style.visibility = isLate(name, image.src) ? "hidden" : "";
        }
      }
    }
  };
  new MutationObserver(settle).observe(document, {
    subtree: true, childList: true, attributes: true, attributeFilter: ["src", "data-of"],
  });

  // `key` is what the server makes of the same input: see `input_key`.
  const changed = (name, ...values) => {
    present[name] = values.length ? values.map(encodeURIComponent).join("~") : "nothing";
    settle();
  };
  const pad = (drawing) => changed("digit", (drawing ?? "").split(",")[0]);
  const picture = (file, dataset) => changed("picture", file?.path?.split(/[\\/]/).at(-2) ?? "", dataset ?? "");
  const model = (name, chosen) => { models[name] = chosen; settle(); };
  // What is left of an image that came: nothing where it is late.
  const kept = (name, image) => (isLate(name, image?.url) ? null : image);
  return { changed, pad, picture, model, kept };
})();
