// One number of a layer: what of the image it can see, and the table of terms that add up to it.
"use strict";

const LISTED = 20; // terms; the others as one sum
const RULES = {
  largest: "The number is the largest of these.",
  same: "The number is copied from this one.",
  share: "The number is the exponential of its own input, divided by the sum of all exponentials.",
  norm: "The number is the square root of the sum of these.",
};
const STEPS_A_SECOND = 4;
const dialog = byId("number"), play = dialog.querySelector(".play"), still = matchMedia("(prefers-reduced-motion: reduce)");
let pointed = null, sliding = null;

/** What number `index` of a layer is, as text. */
function told(layer, index, value) {
  if (layer === lastLayer && layer.shape.length === 1) {
    return `the logit of \u2068${program.classes[index]}\u2069 is ${shown(value)}`;
  }
  if (layer.shape.length < 3) return `${shown(value)} at number ${index}`;
  const [row, column, channel] = positionOf(layer.shape, index);
  return `${shown(value)} at row ${row}, column ${column}, channel ${channel}`;
}

/** How the number comes from its terms: all of it in one line, for the table below may be long. */
function ruleOf(layer, index, { rule, terms, bias, value }) {
  const { kind } = layer, x = shown(terms[0]?.x ?? 0), y = shown(value);
  if (kind === "BatchNorm2d") {
    const { mean, deviation, weight, shift } = normOf(layer, index % layer.shape[layer.shape.length - 1]);
    const normal = (terms[0].x - mean) / deviation;
    return `In training the mean of this channel was ${shown(mean)} and its standard deviation ${shown(deviation)}: ` +
      `(${x} \u2212 ${bracketed(mean)}) / ${shown(deviation)} = ${shown(normal)}. With the weight ${shown(weight)} and the bias ${shown(shift)}: ` +
      `${shown(normal)} x ${bracketed(weight)} + ${bracketed(shift)} = ${y}. The table does the same with one product and one bias.`;
  }
  if (kind === "Flatten" && terms[0].at.length === 3) {
    const [row, column, channel] = terms[0].at, [height, width] = shapeOf(terms[0].from);
    return `Row ${row}, column ${column} of channel ${channel} becomes number ${channel} x ${height * width} + ${row} x ${width} + ${column} = ${index}.`;
  }
  if (rule === "function") {
    return kind === "ReLU" ? `max(0, ${x}) = ${y}` : kind === "ReLU6" ? `min(6, max(0, ${x})) = ${y}`
      : `The layer computes ${y} from ${x}.`;
  }
  if (kind === "Dropout") {
    return "In training, dropout turns numbers into 0 at random, so that the network does not rely on single ones. " +
      "Here it does nothing: the number is copied from this one.";
  }
  if (rule !== "sum") return RULES[rule];
  if (kind.includes("AvgPool")) {
    const count = Math.round(1 / terms[0].weight), outside = count - terms.length;
    return `The number is the mean of ${times(count, "number")}: each counts 1 / ${count.toLocaleString("en")} = ` +
      `${shown(terms[0].weight)}.${outside ? ` ${outside} of them lie outside the image and are 0.` : ""}`;
  }
  const sum = shown(terms.reduce((all, term) => all + term.value, 0));
  const parts = times(terms.length, terms[0].weight === null ? "number" : "product");
  return `${terms.length > 1 ? `The sum of these ${parts}` : "The product"} is ${sum}` +
    `${bias ? `. Plus the bias, ${shown(bias)}, it is ${shown(value)}` : ""}.`;
}

/** A number behind an operator. */
const bracketed = (value) => value < 0 ? `(${shown(value)})` : shown(value);

/** What a batch norm does to a channel, as the model file has it. */
function normOf({ name }, channel) {
  const number = (what, missing) => {
    const array = program.file.arrays.find((one) => one.name === `${name}.${what}`);
    return array ? new Float32Array(fromBase64(array.bytes).buffer)[channel] : missing;
  };
  const { eps } = program.file.network.layers.find((one) => one.name === name);
  return { mean: number("running_mean", 0), deviation: Math.sqrt(number("running_var", 1) + eps),
    weight: number("weight", 1), shift: number("bias", 0) };
}

const positionOf = ([, width, channels], index) =>
  [Math.floor(index / width / channels), Math.floor(index / channels) % width, index % channels];

async function showNumber(layer, index) {
  pointed = { layer, index };
  const found = await ask("made", layer.name, index), { rule, terms, bias, value } = found;
  if (pointed.layer !== layer || pointed.index !== index) return; // somebody has moved on
  const weighed = terms.some(({ weight }) => weight !== null), outside = terms.filter((term) => term.outside).length;
  const order = terms.filter((term) => !term.outside).sort((a, b) => Math.abs(b.value) - Math.abs(a.value));
  if (rule === "largest") order.sort((a, b) => b.value - a.value);
  const few = order.slice(0, LISTED), rest = order.slice(LISTED);
  // Only where there are weights there are columns of weights and products.
  const line = (kind, ...cells) => made("tr", { class: kind }, ...(weighed ? cells : [cells[0], cells[cells.length - 1]])
    .map((cell, i) => made(i ? "td" : "th", { class: i ? "number" : "" }, cell)));
  const rows = few.map(({ from, at, x, weight, value: part }, i) =>
    line(rule === "largest" && !i ? "winner" : "", `${called(from)} ${at.join(", ")}`, shown(x),
      `x ${shown(weight ?? 1)}`, shown(part)));
  if (rest.length) {
    rows.push(line("", `${rest.length.toLocaleString("en")} others`, "", "",
      rule === "largest" ? "" : shown(rest.reduce((sum, term) => sum + term.value, 0))));
  }
  if (outside) rows.push(line("", `${outside.toLocaleString("en")} outside the image`, "0", "", "0"));
  if (bias) rows.push(line("", "bias", "", "", shown(bias)));
  rows.push(line("total", "the number", "", "", shown(value)));
  dialog.querySelector("h2").textContent = `${layer.name}: ${told(layer, index, value)}`;
  dialog.querySelector(".rule").textContent = ruleOf(layer, index, found);
  for (const head of dialog.querySelectorAll(".weighed")) head.hidden = !weighed;
  dialog.querySelector("tbody").replaceChildren(...rows);
  play.parentElement.hidden = layer.shape.length < 3 || layer.shape[0] * layer.shape[1] === 1;
  if (!dialog.open) dialog[byId("tour").hidden ? "showModal" : "show"]();
  showUnit(layer, index);
  await showGrids(layer, index, found);
  await showFields(layer, index);
}

/** Move by so many rows and columns, as far as the border. */
function move(rows, columns) {
  const { layer, index } = pointed, [height, width, channels] = layer.shape, [row, column] = positionOf(layer.shape, index);
  const to = [[row + rows, height], [column + columns, width]].map(([at, count]) => Math.max(0, Math.min(count - 1, at)));
  return showNumber(layer, (to[0] * width + to[1]) * channels + index % channels);
}

/** Move on by one: past the last column comes the next row, past the last row the first. */
function moveOn() {
  const { layer, index } = pointed, [height, width, channels] = layer.shape;
  return showNumber(layer, (index + channels) % (height * width * channels));
}

function slide(on) {
  clearInterval(sliding);
  sliding = on ? setInterval(moveOn, 1000 / STEPS_A_SECOND) : null;
  if (on) play.textContent = "Stop";
  else named();
}

// Who wants no motion gets one step for each press.
const named = () => { play.textContent = still.matches ? "Move the window" : "Slide the window"; };
still.addEventListener("change", () => slide(false));
named();
play.addEventListener("click", () => still.matches ? moveOn() : slide(!sliding));
dialog.addEventListener("close", () => slide(false));
dialog.querySelector(".close").addEventListener("click", () => dialog.close());
dialog.addEventListener("keydown", (event) => {
  const way = ARROWS[event.key];
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

// Where a call has its window: the kernel, then stride, padding and dilation, each of rows and of columns.
const WINDOWS = { conv: 12, max_pool: 9, mean_pool: 9 };

/** Which positions of the image and of the layers before a number depends on: by name, a mark for each position. Unlike
 * windowIn, this leaves out the gaps of dilation, and what lies outside. */
function usedBy(layer, index) {
  const sidesOf = (name) => shapeOf(name).length < 3 ? [1, 1] : shapeOf(name);
  const marksOf = (name) => new Uint8Array(sidesOf(name)[0] * sidesOf(name)[1]), found = new Map([[layer.name, marksOf(layer.name)]]);
  found.get(layer.name)[layer.shape.length < 3 ? 0 : Math.floor(index / layer.shape[2])] = 1;
  for (const { name, inputs } of [...program.layers].reverse()) {
    const marks = found.get(name), sides = sidesOf(name), call = program.calls.find(([of]) => of === name);
    for (const input of marks ? inputs : []) {
      const its = found.get(input) ?? marksOf(input);
      // Without a window all positions share those of the input: one each, or all of them for a mean or a vector.
      const [rows, columns] = [0, 1].map((axis) => Array.from({ length: sides[axis] }, (_, i) => {
        const from = WINDOWS[call[1]], size = sidesOf(input)[axis], first = Math.floor(i * size / sides[axis]);
        const [count, , step, , start, , gap] = from ? call.slice(from + axis)
          : [Math.ceil((i + 1) * size / sides[axis]) - first, 0, 0, 0, -first];
        return Array.from({ length: count }, (_, k) => i * step - start + k * (Number(gap) || 1)).filter((at) => at >= 0 && at < size);
      }));
      found.set(input, its);
      marks.forEach((on, i) => {
        for (const row of on ? rows[Math.floor(i / sides[1])] : []) {
          for (const column of columns[i % sides[1]]) its[row * sidesOf(input)[1] + column] = 1;
        }
      });
    }
  }
  return found;
}

/** A picture of the image or of an earlier layer, with the part that a number can see, and words on that part. */
function fieldOf(canvas, earlier, layer, index, marks) {
  const name = called(earlier?.name ?? "input"), [top, left, height, width] = windowIn(layer, index, earlier), { width: columns, height: rows } = canvas, used = [...marks.keys()].filter((i) => marks[i]);
  const reach = (places) => Math.max(...places) - Math.min(...places) + 1;
  const [high, wide] = [reach(used.map((i) => Math.floor(i / columns))), reach(used.map((i) => i % columns))];
  const gaps = used.length < high * wide, cut = top < 0 || left < 0 || top + height > rows || left + width > columns;
  canvas.role = "img";
  canvas.ariaLabel = `${name}, with the part that the number can see`;
  outline(canvas, marks, earlier ? 100 : 208, gaps);
  return made("figure", {}, canvas, made("figcaption", { class: "faint" }, `in ${name}` +
    `${gaps ? `: ${used.length} of ${high} x ${wide} pixels` : ""}${cut ? `, cut at the border${earlier ? "" : ": beyond it is padding"}` : ""}`));
}

/** Outline what the position can see, in the image and in layers between, of which the most active map is drawn. */
async function showFields(layer, index) {
  const image = made("canvas"), used = usedBy(layer, index);
  drawInput(image, input);
  const shapes = [fieldOf(image, null, layer, index, used.get("input"))];
  for (const earlier of before(layer).slice(0, ROWS_OF_FIELDS)) {
    const values = await ask("values", earlier.name), active = activity(values, earlier.shape);
    const canvas = made("canvas");
    drawMap(canvas, values, earlier.shape, active.indexOf(Math.max(...active)), reachOf(values));
    shapes.push(fieldOf(canvas, earlier, layer, index, used.get(earlier.name)));
  }
  if (pointed.layer === layer && pointed.index === index) dialog.querySelector(".fields").replaceChildren(...shapes);
}

/** Frame the marked positions on a canvas, which gets large enough for a fine line, and is shown with that longer side. */
function outline(canvas, marks, side, gaps = false) {
  const times = Math.max(1, Math.ceil(192 / canvas.width)), small = document.createElement("canvas"), columns = canvas.width;
  small.width = canvas.width;
  small.height = canvas.height;
  small.getContext("2d").drawImage(canvas, 0, 0);
  canvas.width = small.width * times;
  canvas.height = small.height * times;
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = false;
  context.drawImage(small, 0, 0, canvas.width, canvas.height);
  context.strokeStyle = "#e8590c";
  context.lineWidth = gaps ? Math.max(1, Math.min(3, times / 3)) : 3;
  context.lineCap = "square";
  marks.forEach((on, i) => {
    for (const [down, right] of on ? Object.values(ARROWS) : []) { // an edge where the neighbour has no mark
      const row = Math.floor(i / columns), column = i % columns, beside = column + right;
      if (beside >= 0 && beside < columns && marks[i + down * columns + right]) continue;
      const [top, left] = [row + Math.max(0, down), column + Math.max(0, right)];
      context.moveTo(left * times, top * times);
      context.lineTo((left + Math.abs(down)) * times, (top + Math.abs(right)) * times);
    }
  });
  context.stroke();
  fit(canvas, side);
}
