// Lines as SVG: the path of points, and the small line of a history.
"use strict";

/** An SVG element with attributes. */
function drawn(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** The path through points; where one has no place, the line has a gap. A point between gaps is a dot. */
function pathOf(points) {
  let path = "", pen = false, alone = false;
  for (const [x, y] of [...points, [0, null]]) {
    if (y === null || !isNumber(x) || !isNumber(y)) {
      if (pen && alone) path += "h.01";
      pen = false;
      continue;
    }
    path += `${pen ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`;
    [alone, pen] = [!pen, true];
  }
  return path;
}

const SPARK = { width: 104, height: 18, stretches: 52 };

/** Of a long history as many moments, evenly, as a small line can show, the last one among them. */
function sampled(moments) {
  const every = Math.max(1, Math.floor(moments.length / (2 * SPARK.stretches)));
  return moments.filter((_, i) => (moments.length - 1 - i) % every === 0);
}

/** A small line of a history, without axes; what it says is its name for screen readers. */
function sparkline() {
  const path = drawn("path"), title = drawn("title");
  return drawn("svg", { class: "spark", viewBox: `0 0 ${SPARK.width} ${SPARK.height}`, preserveAspectRatio: "none",
    role: "img" }, title, path);
}

/** Draw values, of which some may be null, from low to high; `log` where they span powers of ten. */
function drawSpark(svg, values, asText, { low = null, high = null, log = false } = {}) {
  const has = (value) => isNumber(value) && (!log || value > 0), known = values.filter(has);
  svg.classList.toggle("none", known.length < 2);
  if (known.length < 2) return;
  const size = log ? Math.log10 : (value) => value;
  let least = Infinity, most = -Infinity;
  for (const value of known) [least, most] = [Math.min(least, value), Math.max(most, value)];
  const from = size(low ?? least), to = size(high ?? most), { width, height } = SPARK;
  const part = (value) => to === from ? 0.5 : Math.max(0, Math.min(1, (size(value) - from) / (to - from)));
  const points = values.map((value, i) => [1 + (width - 2) * i / (values.length - 1),
    has(value) ? height - 2 - (height - 4) * part(value) : null]);
  svg.querySelector("path").setAttribute("d", pathOf(thinned(points, SPARK.stretches)));
  svg.querySelector("title").textContent =
    `${asText(known[0])} at first, ${asText(known.at(-1))} now, between ${asText(least)} and ${asText(most)}`;
}
