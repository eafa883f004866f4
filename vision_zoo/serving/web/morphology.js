// Grayscale morphology and connected components; see images/morphology.py. Pictures have one channel.

// Two functions, so that the loops that take longest have no choice in them.
function raise(values, far, count) {
  for (let i = 0; i < count; i++) values[i] = values[i] > values[i + far] ? values[i] : values[i + far];
}

function lower(values, far, count) {
  for (let i = 0; i < count; i++) values[i] = values[i] < values[i + far] ? values[i] : values[i + far];
}

/** The largest (or the smallest) value of every window of `size` along x or y, which gets shorter by `size - 1`. */
function running({ width, height, data }, size, along, smallest) {
  const values = data.slice(), step = along === "x" ? 1 : width;
  for (let done = 1; done < size; ) {
    const shift = Math.min(done, size - done);
    (smallest ? lower : raise)(values, shift * step, values.length - shift * step);
    done += shift;
  }
  const less = size - 1;
  const whole = { width, height, channels: 1, data: values };
  return cropped(whole, 0, 0, along === "x" ? width - less : width, along === "x" ? height : height - less);
}

/** With a margin around it, of zeros or of its own border. */
function padded({ width: w, height: h, data }, across, down, edge) {
  const width = w + 2 * across, height = h + 2 * down, out = new data.constructor(width * height);
  for (let y = 0; y < height; y++) {
    const from = edge ? Math.min(Math.max(y - down, 0), h - 1) : y - down;
    if (from < 0 || from >= h) continue;
    out.set(data.subarray(from * w, (from + 1) * w), y * width + across);
    if (edge) {
      out.fill(data[from * w], y * width, y * width + across);
      out.fill(data[from * w + w - 1], y * width + across + w, (y + 1) * width);
    }
  }
  return { width, height, channels: 1, data: out };
}

/** Fill what is darker than its surroundings and narrower than a square of `size`. */
function closing(picture, size) {
  let grown = padded(picture, size - 1, size - 1, true);
  for (const smallest of [false, true]) {
    for (const along of ["y", "x"]) grown = running(grown, size, along, smallest);
  }
  return grown;
}

/** The largest value within a square of `2 * radius + 1`, or within a cross of that size. */
function dilation(picture, radius, square = true) {
  const size = 2 * radius + 1;
  const down = running(padded(picture, 0, radius, false), size, "y", false);
  const across = running(padded(square ? down : picture, radius, 0, false), size, "x", false);
  if (!square) {
    for (let i = 0; i < across.data.length; i++) across.data[i] = Math.max(across.data[i], down.data[i]);
  }
  return across;
}

/** Every run of a mask: its line, start and end. Lines are `across` apart, and their pixels `step`. */
function runs(mask, lines, length, across, step) {
  const found = { lines: [], starts: [], ends: [] };
  for (let line = 0; line < lines; line++) {
    let inside = false;
    for (let i = 0; i <= length; i++) {
      const here = i < length && mask[line * across + i * step] !== 0;
      if (here === inside) continue;
      if (here) {
        found.lines.push(line);
        found.starts.push(i);
      } else found.ends.push(i);
      inside = here;
    }
  }
  return found;
}

/** The connected parts of a mask, diagonals included: `labels`, -1 outside; of each part its box and area. */
function components(mask, width, height) {
  const { lines: rows, starts, ends } = runs(mask, height, width, width, 1);
  const parents = rows.map((_, number) => number);
  const root = (number) => {
    while (parents[number] !== number) number = parents[number] = parents[parents[number]];
    return number;
  };
  let other = 0;
  for (let run = 0; run < rows.length; run++) {
    while (rows[other] < rows[run] - 1 || (rows[other] === rows[run] - 1 && ends[other] < starts[run])) other++;
    for (let near = other; rows[near] === rows[run] - 1 && starts[near] <= ends[run]; near++) {
      const [one, two] = [root(near), root(run)];
      parents[Math.max(one, two)] = Math.min(one, two);
    }
  }
  const labels = new Int32Array(width * height).fill(-1), names = new Map();
  const parts = { labels, width, height, top: [], left: [], bottom: [], right: [], area: [] };
  for (let run = 0; run < rows.length; run++) {
    const own = root(run);
    if (!names.has(own)) {
      names.set(own, names.size);
      parts.top.push(height);
      parts.left.push(width);
      for (const list of [parts.bottom, parts.right, parts.area]) list.push(0);
    }
    const name = names.get(own);
    parts.top[name] = Math.min(parts.top[name], rows[run]);
    parts.left[name] = Math.min(parts.left[name], starts[run]);
    parts.bottom[name] = Math.max(parts.bottom[name], rows[run] + 1);
    parts.right[name] = Math.max(parts.right[name], ends[run]);
    parts.area[name] += ends[run] - starts[run];
    labels.fill(name, rows[run] * width + starts[run], rows[run] * width + ends[run]);
  }
  return parts;
}

/** The sum of `values` over each part. */
function sums(parts, values) {
  const found = new Float64Array(parts.area.length);
  for (let i = 0; i < values.length; i++) if (parts.labels[i] >= 0) found[parts.labels[i]] += values[i];
  return found;
}

/** The number of the largest value, the first of several. */
function argmax(values) {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i] > values[best]) best = i;
  return best;
}

/** The box of what is not 0: `{ left, top, width, height }`, or null where all is. */
function boxOf({ width, height, data }) {
  let [left, top, right, bottom] = [width, height, -1, -1];
  for (let i = 0; i < data.length; i++) {
    if (!data[i]) continue;
    const x = i % width, y = (i - x) / width;
    left = Math.min(left, x);
    right = Math.max(right, x);
    top = Math.min(top, y);
    bottom = y;
  }
  return bottom < 0 ? null : { left, top, width: right - left + 1, height: bottom - top + 1 };
}

/** The width of the strokes of a figure, in pixels: twice its area over the length of its outline. */
function strokeWidth(mask, width, height) {
  let area = 0, outline = 0;
  for (let y = 0; y <= height; y++) {
    for (let x = 0; x <= width; x++) {
      const here = x < width && y < height ? mask[y * width + x] : 0;
      area += here;
      if (y < height && here !== (x > 0 ? mask[y * width + x - 1] : 0)) outline++;
      if (x < width && here !== (y > 0 ? mask[(y - 1) * width + x] : 0)) outline++;
    }
  }
  return (2 * area) / (0.8 * Math.max(outline, 1));
}
