// One chart: lines over two axes, and below it what each line says where the mouse or the keyboard is.
"use strict";

const EDGE = { left: 54, right: 12, top: 8, bottom: 34 };
const CHART_HEIGHT = 250;

/** A sample of a line, as the chart has it. */
const sampleOf = ({ look }) => drawn("svg", { class: "sample", viewBox: "0 0 30 10", "aria-hidden": "true" },
  drawn("path", { class: `line ${look}`, d: "M1 5H29" }));

/** Build a chart into an element. `name` says what its lines show, asText how their numbers are written. What comes
 * back draws it: draw(series, across, shape), series being [{name, look, points, dots}], across the axis below, {name,
 * whole, asText, from}, and shape the axis beside it, {low, high, log, percent}. */
function chartIn(host, name, asText) {
  const grid = drawn("g", { class: "grid" }), lines = drawn("g", { class: "lines" });
  const cursor = drawn("path", { class: "cursor" });
  const svg = drawn("svg", { tabindex: 0, role: "application", "aria-roledescription": "chart" }, grid, lines, cursor);
  const where = made("p", { class: "where" }), values = made("ul", { class: "values" });
  const readout = made("div", { class: "readout" }, where, values);
  host.append(made("h3", {}, name), svg, readout);
  let drawnLast = null, at = null; // the place on the axis across that is pointed at

  /** What each line says at the place pointed at; at its end where nothing is pointed at. */
  function tell() {
    if (!drawnLast) return;
    const { series, across, placeX, places } = drawnLast, here = at === null ? null : nearest(places, at);
    where.textContent = here === null ? "" : `${across.name} ${across.asText(here)}`;
    series.forEach(({ points }, i) => {
      const point = here === null ? points.at(-1) : pointAt(points, here);
      values.children[i].lastChild.textContent = point && point[1] !== null ? asText(point[1]) : NONE;
    });
    const x = here === null ? null : placeX(here);
    cursor.setAttribute("d", x === null ? "" : `M${x.toFixed(1)} ${EDGE.top}V${CHART_HEIGHT - EDGE.bottom}`);
  }

  function draw(series, across, shape = {}) {
    const width = Math.max(240, svg.clientWidth || 600), { left, right, top, bottom } = EDGE;
    const inner = width - left - right, tall = CHART_HEIGHT - top - bottom;
    const y = axisOf(series.flatMap(({ points }) => points.map((one) => one[1])), shape);
    const x = axisAcross(series, across, inner);
    const placeX = (value) => left + inner * x.place(value);
    const placeY = (value) => {
      const place = value === null ? null : y.place(value);
      return place === null ? null : top + tall * (1 - place);
    };
    svg.setAttribute("viewBox", `0 0 ${width} ${CHART_HEIGHT}`);
    const texts = tickTexts(y.ticks, shape);
    grid.replaceChildren(...y.ticks.flatMap((value, i) => [
      drawn("path", { d: `M${left} ${placeY(value).toFixed(1)}H${width - right}` }),
      drawn("text", { x: left - 6, y: (placeY(value) + 4).toFixed(1), class: "end" }, texts[i]),
    ]), ...x.ticks.map((value) =>
      drawn("text", { x: placeX(value).toFixed(1), y: 16 + top + tall, class: "middle" }, across.asText(value))),
    drawn("text", { x: width - right, y: CHART_HEIGHT - 3, class: "end" }, across.name));
    lines.replaceChildren(...series.flatMap(({ look, points, dots }) => {
      const placed = thinned(points, inner / 2).map(([a, b]) => [placeX(a), placeY(b)]);
      const marks = dots && placed.length <= inner / 8 ? placed.filter((point) => point[1] !== null) : [];
      return [drawn("path", { class: `line ${look}`, d: pathOf(placed) }), ...marks.map(([cx, cy]) =>
        drawn("circle", { class: look, cx: cx.toFixed(1), cy: cy.toFixed(1), r: 2.6 }))];
    }));
    nameValues(series);
    svg.setAttribute("aria-label", `${name}: ${series.map((one) => one.name).join(", ") || "nothing yet"}. ` +
      "The arrow keys move along it, Escape leaves.");
    drawnLast = { series, across, placeX, width, places: placesOf(series) };
    tell();
  }

  /** The list below the chart: a sample, a name and a place for a number for each line. */
  function nameValues(series) {
    const names = series.map((one) => `${one.look} ${one.name}`).join("\n");
    if (values.dataset.names === names) return;
    values.dataset.names = names;
    values.replaceChildren(...series.map((one) =>
      made("li", {}, sampleOf(one), made("span", {}, one.name), made("b", { class: "number" }, NONE))));
  }

  function point(to) {
    at = to;
    readout.setAttribute("aria-live", document.activeElement === svg ? "polite" : "off");
    tell();
  }

  svg.addEventListener("pointermove", (event) => {
    if (!drawnLast) return;
    const box = svg.getBoundingClientRect(), x = (event.clientX - box.left) / box.width * drawnLast.width;
    const { places, placeX } = drawnLast;
    if (!places.length) return;
    const first = places[0], step = places[places.length - 1] - first || 1;
    point(nearest(places, first + step * (x - placeX(first)) / (placeX(first + step) - placeX(first))));
  });
  svg.addEventListener("pointerleave", () => point(null));
  svg.addEventListener("blur", () => point(null));
  svg.addEventListener("keydown", (event) => {
    if (event.key === "Escape") point(null);
    const to = moved(drawnLast?.places ?? [], at, event.key);
    if (to === null) return;
    event.preventDefault();
    point(to);
  });
  return draw;
}

/** The axis below, so many pixels wide. */
function axisAcross(series, across, width) {
  let from = Infinity, to = -Infinity;
  for (const { points } of series) {
    if (!points.length) continue;
    [from, to] = [Math.min(from, points[0][0]), Math.max(to, points[points.length - 1][0])];
  }
  if (from > to) [from, to] = [0, 1];
  from = across.from ?? from;
  if (from >= to) to = from + 1;
  const count = Math.max(2, Math.floor(width / (24 + 8 * across.asText(to).length)));
  return { ticks: ticks(from, to, count, across.whole).filter((value) => value >= from && value <= to),
    place: (value) => (value - from) / (to - from) };
}

/** The places that points have across, in order. */
const placesOf = (series) =>
  [...new Set(series.flatMap(({ points }) => points.map((one) => one[0])))].sort((a, b) => a - b);

/** What a line says at a place across: its last point there or before; null where none is near, as beyond its end. */
function pointAt(points, x) {
  let low = 0, high = points.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (points[middle][0] <= x) low = middle + 1;
    else high = middle;
  }
  const found = points[low - 1];
  if (!found) return null;
  const space = points.length > 1 ? (points[points.length - 1][0] - points[0][0]) / (points.length - 1) : 0;
  return x - found[0] <= Math.max(space, 1) ? found : null;
}

/** The place nearest to x. */
const nearest = (places, x) => places.reduce((best, one) =>
  best === null || Math.abs(one - x) < Math.abs(best - x) ? one : best, null);

/** Where a key leads from a place; null where it leads nowhere. */
function moved(places, at, key) {
  if (!places.length) return null;
  const last = places.length - 1, found = at === null ? -1 : places.findIndex((place) => place >= at);
  const now = found < 0 ? (at === null && key === "ArrowRight" ? -1 : last + (at === null ? 1 : 0)) : found;
  const far = Math.max(1, Math.round(places.length / 20));
  const steps = { ArrowLeft: now - 1, ArrowRight: now + 1, PageUp: now - far, PageDown: now + far, Home: 0, End: last };
  return key in steps ? places[Math.max(0, Math.min(last, steps[key]))] : null;
}
