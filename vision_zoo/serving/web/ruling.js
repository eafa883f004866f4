// Detect and remove the lines of ruled and squared paper; see images/ruling.py.

const SLOPES = Array.from({ length: 37 }, (_, i) => (i === 36 ? 0.09 : i * (0.18 / 36) - 0.09));

/** Set ruled lines to 0, in place: thin, straight, across the sheet, level or upright within 5 degrees. */
function withoutLines(darkness, width, height, least) {
  const from = fround(least), mask = maskOf(darkness, (value) => value > from);
  const found = new Uint8Array(mask.length);
  markLines(mask, found, height, width, width, 1);
  markLines(mask, found, width, height, 1, width);
  for (let i = 0; i < found.length; i++) if (found[i]) darkness[i] = 0;
}

/** Mark the pixels of lines along `width`; rows are `across` apart, columns `step`. */
function markLines(mask, found, height, width, across, step) {
  const thickest = Math.max(4, rounded(0.02 * Math.min(height, width)));
  const all = runs(mask, width, height, step, across), thin = [];
  all.lines.forEach((_, i) => { if (all.ends[i] - all.starts[i] <= thickest) thin.push(i); });
  if (thin.length < 0.45 * width) return;
  const columns = thin.map((i) => all.lines[i]), tops = thin.map((i) => all.starts[i]);
  const bottoms = thin.map((i) => all.ends[i]);
  const middles = tops.map((top, i) => (top + bottoms[i] - 1) / 2);
  const centred = columns.map((column) => column - width / 2);
  const margin = Math.trunc((SLOPES[36] * width) / 2) + 3, places = height + 2 * margin;
  const votes = lineVotes(middles, centred, margin, places);
  const needed = new Float64Array(votes.length).fill(0.45 * width);
  const lines = [], slopes = new Array(37).fill(0), taken = new Uint8Array(thin.length);
  while (lines.length < 400) {
    let best = 0;
    for (let i = 1; i < votes.length; i++) if (votes[i] - needed[i] > votes[best] - needed[best]) best = i;
    if (votes[best] < needed[best]) break;
    const place = best % places, number = (best - place) / places;
    const near = [];
    for (let i = 0; i < thin.length; i++) {
      const offset = middles[i] - SLOPES[number] * centred[i] + margin;
      if (!taken[i] && Math.abs(offset - place) <= 2) near.push(i);
    }
    const wanted = needed[best];
    for (let slope = 0; slope < 37; slope++) {
      votes.fill(0, slope * places + Math.max(0, place - 3), slope * places + Math.min(places, place + 4));
    }
    if (near.length < 0.8 * wanted) continue;
    for (const i of near) taken[i] = 1;
    lines.push(near);
    slopes[number]++;
    if (lines.length === 3) lowerNeeds(needed, slopes, width, height, margin);
  }
  for (const i of ruled(lines, tops.map((top, i) => bottoms[i] - top), width)) {
    for (let y = tops[i]; y < bottoms[i]; y++) found[y * across + columns[i] * step] = 1;
  }
}

/** How many runs lie on the line of each slope and offset. */
function lineVotes(middles, centred, margin, places) {
  const votes = new Float64Array(37 * places);
  SLOPES.forEach((slope, number) => {
    const own = new Float64Array(places);
    for (let i = 0; i < middles.length; i++) {
      const on = Math.trunc(middles[i] - slope * centred[i] + (margin + 0.5));
      if (on < places) own[on]++;
    }
    // a line may lie across two neighbouring offsets
    for (let i = 0; i < places; i++) {
      const beside = i > 0 && i < places - 1 ? Math.max(own[i - 1], own[i + 1]) : 0;
      votes[number * places + i] = own[i] + beside;
    }
  });
  return votes;
}

/** Further lines of the same ruling may leave the picture above or below, and show in part. */
function lowerNeeds(needed, slopes, width, height, margin) {
  const places = height + 2 * margin;
  SLOPES.forEach((slope, number) => {
    if (!slopes.slice(Math.max(0, number - 2), number + 3).some(Boolean)) return;
    for (let place = 0; place < places; place++) {
      let shown = 0;
      for (let column = 0; column < width; column += 16) {
        const row = place - margin + slope * (column - width / 2);
        if (row >= 0 && row < height) shown += 16;
      }
      const at = number * places + place;
      if (shown >= 0.06 * width) needed[at] = Math.min(needed[at], 0.6 * shown);
    }
  });
}

/** Which runs are of ruled lines: a few of them, equally thick, or a lone one from border to border. Not of a 1. */
function ruled(lines, thickness, width) {
  const usual = lines.map((line) => median(Float64Array.from(line, (i) => thickness[i])));
  const thin = lines.length ? 1.5 * median(Float64Array.from(usual)) + 1 : 0;
  return lines.flatMap((line, number) => {
    const is = line.length >= 0.85 * width || (lines.length >= 3 && usual[number] <= thin);
    return is ? line.filter((i) => thickness[i] <= usual[number] + 2) : [];
  });
}
