// Extract a digit from a picture: light on dark, scaled and centred like MNIST; see images/digits.py.

const BOX = 20 / 28;

/** The digit of a grayscale picture as MNIST would have it, of `target`'s size, light on dark. */
function centredDigit(pixels, target) {
  const anyPolarity = target.polarity === "light_on_dark";
  const dark = !anyPolarity || borderLevel(pixels) <= 127;
  const lightOnDark = dark ? pixels : inverted(pixels), longest = Math.max(pixels.width, pixels.height);
  if (isCentred(lightOnDark, target)) return lightOnDark;
  if (!anyPolarity || longest <= 64) return placed(drawing(lightOnDark), target, false);
  let picture = reduced(pixels), stroke;
  const inside = dark ? insideSheet(picture) : null;
  const ground = !inside && hasGround(pixels), plain = !inside && isPlain(pixels), cutout = longest <= 160;
  const black = dark && ground && borderLevel(pixels) <= 8;
  if (black || (plain && (dark || cutout))) return plainDrawing(lightOnDark, target);
  if (dark && !inside) [picture, stroke] = asDarkInk(picture);
  else stroke = strokeLimit(picture, inside);
  if ((stroke === null || stroke >= 0.12 || cutout) && (plain || ground || (cutout && !inside))) {
    // a digit as thick as a thumb or cut out along its outline, or else a shadow
    const small = reduced(lightOnDark), level = borderLevel(lightOnDark);
    if (isAllDrawing(small, level)) {
      if (isStain(small, level)) throw noDigit();
      return plainDrawing(lightOnDark, target);
    }
  }
  return placed(figureOnPaper(picture, stroke, inside), target, true);
}

/** A picture with a dark border, inverted if it is light ink that is on it, and what its strokes are narrower than. */
function asDarkInk(picture) {
  const both = [picture, inverted(picture)], readings = both.map(strokesOf);
  const [[dark, darkWeight], [light, lightWeight]] = readings;
  // Any of these may be taken in: by a shadow's edge, by the loops of thick strokes, by much light between thin ones.
  const forLight = [
    !hasDarkInk(picture),
    light !== null && (dark === null || light < dark),
    lightWeight > darkWeight,
  ];
  const chosen = forLight.filter(Boolean).length >= 2 ? 1 : 0;
  return [both[chosen], readings[chosen][0]];
}

/** `strokeLimit` of a picture, and how heavy the figure of such strokes is: 0 for none. */
function strokesOf(picture) {
  try {
    const stroke = strokeLimit(picture, null);
    return [stroke, stroke === null ? 0 : sumOf(figureOnPaper(picture, stroke, null).data)];
  } catch (error) {
    if (error instanceof ImageError) return [null, 0];
    throw error;
  }
}

/** Whether only broad strokes stand out from a dark ground: no thin lines, shadow of one level or strip of desk. */
function isAllDrawing(picture, ground) {
  const strongest = largest(picture.data), least = ground + 0.3 * (strongest - ground);
  const mask = { ...picture, data: maskOf(picture.data, (level) => level > least) };
  const { width, height, data } = mask;
  const edges = [
    data.subarray(0, width), data.subarray((height - 1) * width),
    ...[0, width - 1].map((x) => cropped(mask, x, 0, 1, height).data),
  ];
  if (edges.some((edge) => sumOf(edge) / edge.length > 0.9)) return false;
  const levels = new Uint32Array(Math.trunc(ground + 0.85 * (strongest - ground)));
  picture.data.forEach((level, i) => { if (data[i] && level < levels.length) levels[level]++; });
  return strokeWidth(data, width, height) >= 0.08 * shorter(picture) && fullest(levels, 7) / sumOf(data) < 0.2;
}

/** A light drawing on a plain dark ground as it is, but for strokes that would vanish in the box. */
function plainDrawing(pixels, target) {
  requireOneFigure(reduced(pixels), borderLevel(pixels));
  return placed(drawing(pixels), target, null);
}

/** What is light on a plain dark ground, cut out and stretched to full contrast. */
function drawing(pixels) {
  // Paper is not black after inversion: take its level off.
  const ground = borderLevel(pixels), strongest = largest(pixels.data) - ground;
  if (strongest < 16) throw noDigit();
  const levels = Uint8Array.from({ length: 256 }, (_, level) => {
    const stretched = Math.max(level - ground, 0) * (255 / strongest);
    return stretched < 32 ? 0 : Math.min(stretched, 255);
  });
  return cutOut({ ...pixels, data: pixels.data.map((level) => levels[level]) });
}

/** Scale a figure into the box, and put its centre of mass at the middle. `thicken` of null: where it must be. */
function placed(figure, { width, height, resample }, thicken) {
  const scale = Math.min(rounded(height * BOX) / figure.height, rounded(width * BOX) / figure.width);
  const size = [figure.width, figure.height].map((length) => Math.max(1, rounded(length * scale)));
  let scaled = resized(figure, ...size, resample);
  if (thicken || (thicken === null && largest(scaled.data) < 160)) scaled = thickened(figure, scaled, resample);
  if (!largest(scaled.data)) throw noDigit();
  const { row, column } = centreOfMass(scaled);
  const top = Math.min(Math.max(rounded(height / 2 - row), 0), height - scaled.height);
  const left = Math.min(Math.max(rounded(width / 2 - column), 0), width - scaled.width);
  return pasted({ width, height, channels: 1, data: new Uint8Array(width * height) }, scaled, left, top);
}

function pasted(canvas, picture, left, top) {
  const row = picture.width * picture.channels;
  for (let y = 0; y < picture.height; y++) {
    const to = ((top + y) * canvas.width + left) * canvas.channels;
    canvas.data.set(picture.data.subarray(y * row, (y + 1) * row), to);
  }
  return canvas;
}

/** `scaled`, with strokes thinner than 2.4 pixels made so thick and stretched to full contrast. */
function thickened(figure, scaled, resample) {
  const longest = Math.max(scaled.width, scaled.height) * 8;
  let ink = fineInk(figure, longest);
  if (!ink) return scaled;
  const strokes = maskOf(ink.data, (value) => value > 127);
  const steps = rounded((2.4 * 8 - strokeWidth(strokes, ink.width, ink.height)) / 2);
  const smaller = steps > 0 ? fineInk(figure, longest - 2 * steps) : null;
  if (!smaller) return scaled;
  ink = padded(smaller, steps, steps, false);
  // a square and a diamond in turn make an octagon
  for (let step = 0; step < steps; step++) ink = dilation(ink, 1, step % 2 === 0);
  const size = [ink.width, ink.height].map((length) => Math.max(1, rounded(length / 8)));
  const thick = resized(ink, ...size, resample), stretch = fround(255 / Math.max(largest(thick.data), 1));
  return { ...thick, data: thick.data.map((value) => Math.min(fround(value * stretch), 255)) };
}

/** The figure with a longer side of so many pixels, its ink at full contrast; null if there is hardly any. */
function fineInk(figure, longest) {
  const scale = longest / Math.max(figure.width, figure.height);
  const size = [figure.width, figure.height].map((length) => Math.max(1, rounded(length * scale)));
  const ink = resized(figure, ...size, scale < 1 ? "box" : "bilinear");
  const shown = Float32Array.from(ink.data.filter((value) => value > 16));
  if (!shown.length) return null;
  const stretch = fround(255 / percentile(shown, 80));
  return { ...ink, data: ink.data.map((value) => Math.min(fround(value * stretch), 255)) };
}

function isCentred(pixels, { width, height }) {
  if (pixels.width !== width || pixels.height !== height) return false;
  if (borderLevel(pixels) > 0 || largest(pixels.data) < 250) return false;
  const box = boxOf(pixels), { row, column } = centreOfMass(pixels);
  return (
    Math.abs(Math.max(box.width, box.height) - height * BOX) <= 1 &&
    Math.abs(row - height / 2) <= 0.55 &&
    Math.abs(column - width / 2) <= 0.55
  );
}

function centreOfMass({ width, data }) {
  let total = 0, rows = 0, columns = 0;
  data.forEach((value, i) => {
    total += value;
    rows += value * Math.floor(i / width);
    columns += value * (i % width);
  });
  return { row: rows / total, column: columns / total };
}
