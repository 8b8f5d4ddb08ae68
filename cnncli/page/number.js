// One number of a layer: what of the image it can see, and the table of terms that add up to it.
"use strict";

const LISTED = 20; // terms; the others as one sum
const RULES = {
  sum: "The sum of these is the number.",
  largest: "The largest of these is the number.",
  same: "The number is this one, at another place.",
  function: "The layer's function makes the number from this one.",
  share: "The exponential of the number's own, as a part of the sum of all exponentials.",
  norm: "The sum of these, and of that the root, is the number.",
};
const dialog = document.getElementById("number");
dialog.querySelector("button").addEventListener("click", () => dialog.close());

/** Where number `index` of a shape lies, as text. */
function placeOf(shape, index) {
  if (shape.length < 3) return `number ${index}`;
  const [, width, channels] = shape;
  return `row ${Math.floor(index / width / channels)}, column ${Math.floor(index / channels) % width}, ` +
    `channel ${index % channels}`;
}

async function showNumber(layer, index) {
  const { rule, terms, bias, value } = await ask("made", layer.name, index);
  const order = [...terms].sort((a, b) => Math.abs(b.value) - Math.abs(a.value));
  const few = order.slice(0, LISTED), rest = order.slice(LISTED);
  const line = (...cells) => made("tr", {}, ...cells.map((cell, i) => made(i ? "td" : "th", { class: i ? "number" : "" }, cell)));
  const rows = few.map(({ from, at, x, weight, value: part }) =>
    line(`${from} ${at.join(", ")}`, shown(x), weight === null ? "" : `x ${shown(weight)}`, shown(part)));
  if (rest.length) {
    rows.push(line(`${rest.length.toLocaleString("en")} others`, "", "",
      rule === "largest" ? "" : shown(rest.reduce((sum, term) => sum + term.value, 0))));
  }
  if (bias) rows.push(line("bias", "", "", shown(bias)));
  rows.push(line("the number", "", "", shown(value)));
  dialog.querySelector("h2").textContent = `${layer.name}: ${shown(value)} at ${placeOf(layer.shape, index)}`;
  dialog.querySelector("p").textContent = RULES[rule];
  dialog.querySelector("tbody").replaceChildren(...rows);
  drawField(layer, index);
  if (!dialog.open) dialog.showModal();
}

/** Outline in the image what one position of a layer can see. */
async function drawField(layer, index) {
  const canvas = dialog.querySelector("canvas"), [h, w] = program.input.shape;
  drawInput(canvas, await ask("values", "input"));
  const { size, step, start, whole } = layer.field;
  const columns = layer.shape.length === 3 ? layer.shape[1] : 1, channels = layer.shape[layer.shape.length - 1];
  const place = layer.shape.length === 3 ? [Math.floor(index / channels / columns), Math.floor(index / channels) % columns] : [0, 0];
  const [top, left] = [0, 1].map((axis) => whole ? 0 : start[axis] + place[axis] * step[axis] - (size[axis] - 1) / 2);
  const context = canvas.getContext("2d");
  context.strokeStyle = "#e8590c";
  context.lineWidth = Math.max(1, w / 112);
  context.strokeRect(left, top, whole ? w : size[1], whole ? h : size[0]);
}
