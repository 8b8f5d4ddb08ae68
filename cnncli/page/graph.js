// The network as a graph: its layers one below the other, those of a block folded where there are many, and an arc for each
// connection that passes layers over.
"use strict";

const MANY = 24; // layers from which on blocks are folded
const GUTTER = 44; // pixels beside the layers, for arcs
const list = byId("layers"), lines = document.createElementNS("http://www.w3.org/2000/svg", "svg");

/** The block that a layer belongs to by its name, as "layer1.0" of "layer1.0.conv1": "" for none. */
const blockOf = (layer) => layer.name.includes(".") ? layer.name.slice(0, layer.name.lastIndexOf(".")) : "";

/** Layers in a row that are of one block, together. */
function blocks() {
  const found = [];
  for (const layer of program.layers) {
    const block = blockOf(layer), last = found[found.length - 1];
    if (last?.block && layer.name.startsWith(`${last.block}.`)) last.layers.push(layer);
    else found.push({ block, layers: [layer] });
  }
  return found;
}

function articles() {
  const fold = program.layers.length > MANY;
  return blocks().flatMap(({ block, layers }) => {
    const inside = layers.map(articleOf);
    if (!fold || layers.length < 2) return inside;
    const last = layers[layers.length - 1], sum = (what) => layers.reduce((total, layer) => total + layer[what], 0);
    const details = made("details", { class: "block" }, made("summary", {}, made("b", {}, block), " ",
      telling(() => `${layers.length} layers, ${last.shape.join(" x ")}, ` +
        `${sum("parameters").toLocaleString("en")} parameters, ${sum("multiply_adds").toLocaleString("en")} multiply-adds`)),
    ...inside);
    return [details];
  });
}

/** The line of a layer that can be seen: its own, or that of the folded block around it. */
function lineOf(name) {
  const own = byId(`layer-${name}`), block = own.closest(".block");
  return (block && !block.open ? block : own).querySelector("summary");
}

/** Draw an arc for each connection that passes over lines that can be seen. */
function drawArcs() {
  const box = list.getBoundingClientRect();
  const middle = (line) => {
    const own = line.getBoundingClientRect();
    return own.top + Math.min(own.height, 24) / 2 - box.top;
  };
  // Of a block that is open, its layers stand there; of one that is folded, the block.
  const stands = ({ parentElement: own }) =>
    !own.matches(".block[open]") && !own.parentElement.closest(".block:not([open])");
  const visible = [...list.querySelectorAll("summary")].filter(stands), arcs = [];
  for (const layer of program.layers) {
    for (const name of layer.inputs) {
      if (name === "input") continue;
      const [from, to] = [lineOf(name), lineOf(layer.name)];
      if (visible.indexOf(to) - visible.indexOf(from) > 1) arcs.push([middle(from), middle(to)]);
    }
  }
  byId("arcs").hidden = !arcs.length;
  lines.setAttribute("height", String(box.height));
  lines.replaceChildren(...arcs.map(([from, to]) => {
    const path = document.createElementNS("http://www.w3.org/2000/svg", "path"), reach = Math.min(GUTTER - 6, 12 + (to - from) / 6);
    path.setAttribute("d", `M ${GUTTER} ${from} C ${GUTTER - reach} ${from} ${GUTTER - reach} ${to} ${GUTTER} ${to}`);
    return path;
  }));
}

/** Show a layer of a folded block, too. */
function reveal(name) {
  const own = byId(`layer-${name}`), block = own.closest(".block");
  if (block) block.open = true;
  own.open = true;
  return own;
}

lines.setAttribute("class", "arcs");
lines.setAttribute("width", String(GUTTER));
lines.setAttribute("aria-hidden", "true");
list.replaceChildren(lines, ...articles());
new ResizeObserver(drawArcs).observe(list);
