// Numbers of a training as people read them. Whatever is no finite number is a dash.
"use strict";

const NONE = "\u2013";

const isNumber = (value) => typeof value === "number" && Number.isFinite(value);
const numberOr = (value, otherwise = null) => isNumber(value) ? value : otherwise;
const asNumber = (value) => isNumber(value) ? shown(value) : NONE;
const asCount = (value) => isNumber(value) ? Math.round(value).toLocaleString("en") : NONE;

/** A share in per cent; what is not quite all is not called all. */
function asPercent(share, digits = 1) {
  if (!isNumber(share)) return NONE;
  const text = (100 * share).toFixed(digits);
  return `${share < 1 && Number(text) === 100 ? (100 - 10 ** -digits).toFixed(digits) : text}\u202f%`;
}

/** Seconds as "45 s", "4 min 20 s", "3 h 5 min", "2 d 4 h". */
function asTime(seconds) {
  if (!isNumber(seconds)) return NONE;
  const whole = Math.max(0, Math.round(seconds)), sizes = [86400, 3600, 60, 1], words = ["d", "h", "min", "s"];
  const first = Math.max(0, sizes.findIndex((size) => whole >= size || size === 1)), parts = [];
  for (const i of [first, first + 1]) {
    const count = i < 4 ? Math.floor(whole % (sizes[i - 1] ?? Infinity) / sizes[i]) : 0;
    if (i === first || count) parts.push(`${count} ${words[i]}`);
  }
  return parts.join(" ");
}

const plural = (count, word) => `${asCount(count)} ${word}${count === 1 ? "" : "s"}`;
