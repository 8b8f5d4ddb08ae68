// One number of a layer: what of the image it can see, and the table of terms that add up to it.
"use strict";

const LISTED = 20; // terms; the others as one sum
const RULES = {
  sum: "The number is the sum of these terms.",
  largest: "The number is the largest of these.",
  same: "The number is copied from this one.",
  function: "The layer's function computes the number from this one.",
  share: "The number is the exponential of its own input, divided by the sum of all exponentials.",
  norm: "The number is the square root of the sum of these.",
};
const STEPS_A_SECOND = 4;
const dialog = byId("number"), play = dialog.querySelector(".play"), still = matchMedia("(prefers-reduced-motion: reduce)");
let pointed = null, sliding = null;

/** Where number `index` of a shape lies, as text. */
function placeOf(shape, index) {
  if (shape.length < 3) return `number ${index}`;
  const [row, column, channel] = positionOf(shape, index);
  return `row ${row}, column ${column}, channel ${channel}`;
}

const positionOf = ([, width, channels], index) =>
  [Math.floor(index / width / channels), Math.floor(index / channels) % width, index % channels];

async function showNumber(layer, index) {
  const { rule, terms, bias, value } = await ask("made", layer.name, index);
  pointed = { layer, index };
  const order = [...terms].sort((a, b) => Math.abs(b.value) - Math.abs(a.value));
  if (rule === "largest") order.sort((a, b) => b.value - a.value);
  const few = order.slice(0, LISTED), rest = order.slice(LISTED);
  const line = (kind, ...cells) => made("tr", { class: kind },
    ...cells.map((cell, i) => made(i ? "td" : "th", { class: i ? "number" : "" }, cell)));
  const rows = few.map(({ from, at, x, weight, value: part }, i) =>
    line(rule === "largest" && !i ? "winner" : "", `${from === "input" ? "the image" : from} ${at.join(", ")}`, shown(x),
      weight === null ? "" : `x ${shown(weight)}`, shown(part)));
  if (rest.length) {
    rows.push(line("", `${rest.length.toLocaleString("en")} others`, "", "",
      rule === "largest" ? "" : shown(rest.reduce((sum, term) => sum + term.value, 0))));
  }
  if (bias) rows.push(line("", "bias", "", "", shown(bias)));
  rows.push(line("total", "the number", "", "", shown(value)));
  dialog.querySelector("h2").textContent = `${layer.name}: ${shown(value)} at ${placeOf(layer.shape, index)}`;
  dialog.querySelector(".rule").textContent = RULES[rule];
  dialog.querySelector("tbody").replaceChildren(...rows);
  play.parentElement.hidden = layer.shape.length < 3 || layer.shape[0] * layer.shape[1] === 1;
  if (!dialog.open) dialog[byId("tour").hidden ? "showModal" : "show"]();
  showUnit(layer, index);
  await showFields(layer, index);
}

/** Move on by so many rows and columns; past the last column comes the next row, past the last row the first. */
function move(rows, columns) {
  const { layer: { shape: [height, width, channels] }, index } = pointed, count = height * width;
  const place = Math.floor(index / channels) + rows * width + columns;
  return showNumber(pointed.layer, (place + count) % count * channels + index % channels);
}

function slide(on) {
  clearInterval(sliding);
  sliding = on ? setInterval(() => move(0, 1), 1000 / STEPS_A_SECOND) : null;
  if (on) play.textContent = "Stop";
  else named();
}

// Who wants no motion gets one step for each press.
const named = () => { play.textContent = still.matches ? "Move the window" : "Slide the window"; };
still.addEventListener("change", () => slide(false));
named();
play.addEventListener("click", () => still.matches ? move(0, 1) : slide(!sliding));
dialog.addEventListener("close", () => slide(false));
dialog.querySelector(".close").addEventListener("click", () => dialog.close());
dialog.addEventListener("keydown", (event) => {
  const way = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
  if (!way || play.parentElement.hidden) return;
  event.preventDefault();
  move(...way);
});

// ---- what the number can see ----

const ROWS_OF_FIELDS = 4; // layers between, the nearest first

/** The layers that a layer computes from, the nearest first, each once. */
function before(layer) {
  const found = [], waiting = [...layer.inputs];
  while (waiting.length) {
    const name = waiting.shift();
    if (name === "input" || found.includes(name)) continue;
    found.push(name);
    waiting.push(...layerOf.get(name).inputs);
  }
  return found.map((name) => layerOf.get(name)).filter(({ shape }) => shape.length === 3 && shape[0] * shape[1] > 1);
}

/** What of an earlier layer, or of the image, one position sees: [top, left, height, width] in its positions.
 * @returns {[number, number, number, number]} */
function windowIn(layer, index, earlier) {
  const own = layer.field, its = earlier ? earlier.field : { size: [1, 1], step: [1, 1], start: [0, 0] };
  const shape = earlier ? earlier.shape : program.input.shape;
  if (own.whole || layer.shape.length < 3) return [0, 0, shape[0], shape[1]];
  const at = positionOf(layer.shape, index);
  const size = [0, 1].map((axis) => (own.size[axis] - its.size[axis]) / its.step[axis] + 1);
  const start = [0, 1].map((axis) =>
    (own.start[axis] + at[axis] * own.step[axis] - its.start[axis]) / its.step[axis] - (size[axis] - 1) / 2);
  return [start[0], start[1], size[0], size[1]];
}

/** Outline what the position can see, in the image and in layers between, of which the most active map is drawn. */
async function showFields(layer, index) {
  const image = made("canvas", { role: "img", "aria-label": "the image, with the part that the number can see" });
  const shapes = [made("figure", {}, image, made("figcaption", { class: "faint" }, "in the image"))];
  drawInput(image, input);
  outline(image, windowIn(layer, index, null), 208);
  for (const earlier of before(layer).slice(0, ROWS_OF_FIELDS)) {
    const values = await ask("values", earlier.name), active = activity(values, earlier.shape);
    const canvas = made("canvas", { role: "img", "aria-label": `${earlier.name}, with the part that the number can see` });
    drawMap(canvas, values, earlier.shape, active.indexOf(Math.max(...active)), reachOf(values));
    outline(canvas, windowIn(layer, index, earlier), 100);
    shapes.push(made("figure", {}, canvas, made("figcaption", { class: "faint" }, `in ${earlier.name}`)));
  }
  if (pointed.layer === layer && pointed.index === index) dialog.querySelector(".fields").replaceChildren(...shapes);
}

/** Draw a frame on a canvas, which gets large enough for a fine line, and is shown with that longer side. */
function outline(canvas, [top, left, height, width], side) {
  const times = Math.max(1, Math.ceil(192 / canvas.width)), small = document.createElement("canvas");
  small.width = canvas.width;
  small.height = canvas.height;
  small.getContext("2d").drawImage(canvas, 0, 0);
  canvas.width = small.width * times;
  canvas.height = small.height * times;
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = false;
  context.drawImage(small, 0, 0, canvas.width, canvas.height);
  context.strokeStyle = "#e8590c";
  context.lineWidth = 3;
  context.strokeRect(left * times, top * times, width * times, height * times);
  fit(canvas, side);
}
