// Background of a digit: plain, a sheet, or a light sheet on a dark surface; see images/sheet.py.

const LONGEST = 640;

function border({ width, height, data }) {
  const edge = new data.constructor(2 * width + 2 * height);
  edge.set(data.subarray(0, width), 0);
  edge.set(data.subarray((height - 1) * width), width);
  for (let y = 0; y < height; y++) {
    edge[2 * width + y] = data[y * width];
    edge[2 * width + height + y] = data[(y + 1) * width - 1];
  }
  return edge;
}

const borderLevel = (picture) => median(border(picture));

/** The largest number of values within `size` neighbouring levels. */
function fullest(counts, size) {
  let sum = 0, most = 0;
  for (let i = 0; i < counts.length; i++) {
    sum += counts[i] - (i >= size ? counts[i - size] : 0);
    most = Math.max(most, sum);
  }
  return most;
}

/** Whether the ground is of one level: most of the border is, and the rest is not of one other. */
function isPlain(picture) {
  const edge = border(picture), middle = median(edge), rest = new Uint32Array(256);
  let near = 0;
  for (const level of edge) {
    if (Math.abs(level - middle) <= 2) near++;
    else rest[level]++;
  }
  return near / edge.length >= 0.4 && fullest(rest, 5) / edge.length < 0.15;
}

/** Whether much of the picture is of the border's level. */
function hasGround(picture) {
  const ground = borderLevel(picture);
  let near = 0;
  for (const level of picture.data) if (level >= ground - 2 && level <= ground + 2) near++;
  return near / picture.data.length >= 0.4;
}

function reduced(picture, longest = LONGEST) {
  const scale = Math.max(picture.width, picture.height) / longest;
  if (scale <= 1) return picture;
  const size = [picture.width, picture.height].map((side) => Math.max(1, rounded(side / scale)));
  return resized(picture, ...size, "box");
}

/** Where the light sheet is in a picture with a dark border, a mask; null if there is none. */
function insideSheet(picture) {
  const small = reduced(picture, 160), { width: w, height: h } = small;
  const edge = border(small), ground = percentile(Float64Array.from(edge), 90);
  const light = components(maskOf(small.data, (level) => level > Math.max(1.2 * ground, ground + 12)), w, h);
  if (!light.area.length) return null;
  const main = argmax(light.area);
  const height = light.bottom[main] - light.top[main], width = light.right[main] - light.left[main];
  const whole = { width: w, height: h, channels: 1, data: light.labels };
  const box = cropped(whole, light.left[main], light.top[main], width, height);
  const inner = filled({ width, height, data: maskOf(box.data, (label) => label === main) });
  const black = median(edge) <= 8;
  const touching = border(whole).filter((label) => label === main).length / edge.length;
  if (touching > 0.1) return null;
  const drawn = light.area[main] / (height * width);
  if (
    Math.min(height, width) < 0.35 * Math.min(h, w) ||
    sumOf(inner) / inner.length < (black ? 0.85 : 0.65) ||
    drawn < (black ? 0.8 : 0.55)
  ) return null;
  const outside = new Uint8Array(w * h).fill(1);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      outside[(light.top[main] + y) * w + light.left[main] + x] = 1 - inner[y * width + x];
    }
  }
  const grown = dilation({ width: w, height: h, channels: 1, data: outside }, 2);
  grown.data = maskOf(grown.data, (value) => value === 0);
  return resizedNearest(grown, picture.width, picture.height).data;
}

/** With everything between the outermost pixels of each row and column. */
function filled({ width, height, data }) {
  const between = new Uint8Array(width * height).fill(1);
  const along = (lines, length, across, step) => {
    for (let line = 0; line < lines; line++) {
      let first = length, last = -1;
      for (let i = 0; i < length; i++) {
        if (!data[line * across + i * step]) continue;
        first = Math.min(first, i);
        last = i;
      }
      for (let i = 0; i < length; i++) if (i < first || i > last) between[line * across + i * step] = 0;
    }
  };
  along(height, width, width, 1);
  along(width, height, 1, width);
  return between;
}

const inverted = (picture) => ({ ...picture, data: mapped(Uint8Array, picture.data, (level) => 255 - level) });

/** Whether what is narrow is darker than its surroundings rather than lighter. */
function hasDarkInk(gray) {
  for (const fraction of [0.03, 0.08, 0.25]) {
    const size = Math.max(7, rounded(fraction * Math.min(gray.width, gray.height)));
    const paper = closing(gray, size).data, desk = closing(inverted(gray), size).data;
    const dark = mapped(Float32Array, gray.data, (level, i) => paper[i] / Math.max(level, 8));
    const light = mapped(Float64Array, gray.data, (level, i) => Math.max(level, 8) / Math.max(255 - desk[i], 8));
    const strongest = [percentile(dark, 99.7), percentile(light, 99.7)];
    if (Math.max(...strongest) > 1.4) return strongest[0] > strongest[1];
  }
  return true;
}
