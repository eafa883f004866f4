// Preprocess any picture to the input of a model; see images/preprocess.py.

/** Canvas pixels (`ImageData`) as what a model takes: Uint8Array of height x width x channels. */
function prepare(pixels, target) {
  const lightOnDark = target.polarity === "light_on_dark";
  let flat = onGround(pixels, target.channels, lightOnDark);
  if (target.centring === "center_of_mass") return centredDigit(flat, target).data;
  if (lightOnDark && samplesAtBorder(flat) > 127) flat = inverted(flat);
  return flat.width === target.width && flat.height === target.height ? flat.data : fitted(flat, target).data;
}

/** The median of the outermost samples. */
function samplesAtBorder({ width, height, channels, data }) {
  const row = width * channels, edge = new Uint8Array(2 * (row + height * channels));
  edge.set(data.subarray(0, row));
  edge.set(data.subarray((height - 1) * row), row);
  for (let y = 0, at = 2 * row; y < height; y++) {
    for (const start of [y * row, (y + 1) * row - channels]) {
      for (let channel = 0; channel < channels; channel++) edge[at++] = data[start + channel];
    }
  }
  return median(edge);
}

function fitted(picture, { width, height, channels, crop, resample }) {
  if (crop === "stretch") return resized(picture, width, height, resample);
  if (crop === "center") {
    // the largest centred part with the target's proportions
    const scale = Math.min(picture.height / height, picture.width / width);
    const [high, wide] = [height, width].map((side) => Math.max(1, rounded(side * scale)));
    if (wide !== picture.width || high !== picture.height) {
      const [left, top] = [(picture.width - wide) / 2, (picture.height - high) / 2].map(Math.floor);
      picture = cropped(picture, left, top, wide, high);
    }
    return resized(picture, width, height, resample);
  }
  const scale = Math.min(height / picture.height, width / picture.width);
  const [wide, high] = [picture.width, picture.height].map((side) => Math.max(1, rounded(side * scale)));
  const data = new Uint8Array(width * height * channels).fill(rounded(samplesAtBorder(picture)));
  const [left, top] = [(width - wide) / 2, (height - high) / 2].map(Math.floor);
  return pasted({ width, height, channels, data }, resized(picture, wide, high, resample), left, top);
}
