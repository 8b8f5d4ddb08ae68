// Axes: which numbers stand beside one, and where a number lies on it.
"use strict";

/** Round numbers from `from` to `to`, about `count` of them. */
function ticks(from, to, count, whole = false) {
  const rough = (to - from) / Math.max(1, count), power = 10 ** Math.floor(Math.log10(rough));
  const step = Math.max(whole ? 1 : 0, [1, 2, 5, 10].map((part) => part * power).find((size) => size >= rough * 0.999));
  const found = [];
  for (let i = Math.ceil(from / step - 1e-9); i * step <= to + step * 1e-9; i++) found.push(i * step || 0); // no -0
  return found;
}

/** Round numbers as they stand beside an axis, all with as many digits as the most exact one needs. */
function tickTexts(values, { percent = false, log = false } = {}) {
  if (percent) return tickTexts(values.map((share) => 100 * share)).map((text) => `${text}\u202f%`);
  if (log && values.length > 1) return values.flatMap((value) => tickTexts([value]));
  const behind = (value) => (String(Number(value.toPrecision(6))).split(".")[1] ?? "").length; // the point
  const digits = Math.max(0, ...values.map(behind)), exact = { minimumFractionDigits: digits };
  const far = values.some((value) => Math.abs(value) >= 1e5) || digits > 4;
  return values.map((value) => far && value ? shown(value) : value.toLocaleString("en", exact));
}

/** Powers of ten from `from` to `to`; with 2 and 5 between them where they are few. */
function logTicks(from, to) {
  const found = [], few = Math.log10(to / from) < 2.5;
  for (let power = Math.floor(Math.log10(from)); power <= Math.ceil(Math.log10(to)); power++) {
    for (const part of few ? [1, 2, 5] : [1]) {
      const value = part * 10 ** power;
      if (value >= from * 0.999 && value <= to * 1.001) found.push(value);
    }
  }
  return found;
}

/** An axis over values, with round ends: its ticks, and where a number lies on it, 0 to 1. */
function axisOf(values, { log = false, count = 5, low = -Infinity, high = Infinity } = {}) {
  let from = Infinity, to = -Infinity;
  for (const value of values) {
    if (!isNumber(value) || (log && value <= 0)) continue;
    from = Math.min(from, value);
    to = Math.max(to, value);
  }
  if (from > to) [from, to] = log ? [0.1, 1] : [0, 1];
  if (log) {
    if (to / from < 1.5) [from, to] = [from / 1.5, to * 1.5];
    const place = (value) => value > 0 ? Math.log(value / from) / Math.log(to / from) : null;
    return { ticks: logTicks(from, to), place };
  }
  const size = Math.max(Math.abs(from), Math.abs(to)) || 1;
  if (to - from < 1e-9 * size) [from, to] = [from - size / 10, to + size / 10];
  const space = ticks(from, to, count), step = space[1] - space[0] || to - from;
  from = Math.max(low, Math.floor(from / step + 1e-9) * step);
  to = Math.min(high, Math.ceil(to / step - 1e-9) * step);
  return { ticks: ticks(from, to, count), place: (value) => (value - from) / (to - from) };
}

/** Points [x, y] thinned for drawing: of each of stretches the lowest and the highest. A gap, y null, stays one. */
function thinned(points, stretches) {
  if (points.length <= 2 * stretches) return points;
  const found = [], size = points.length / stretches;
  for (let i = 0; i < stretches; i++) {
    const some = points.slice(Math.floor(i * size), Math.floor((i + 1) * size));
    const seen = some.filter(([, y]) => y !== null);
    if (seen.length < some.length) found.push([some[0][0], null]);
    if (!seen.length) continue;
    const low = seen.reduce((a, b) => b[1] < a[1] ? b : a), high = seen.reduce((a, b) => b[1] > a[1] ? b : a);
    found.push(...[...new Set([low, high])].sort((a, b) => a[0] - b[0]));
  }
  return [...found, points[points.length - 1]];
}
