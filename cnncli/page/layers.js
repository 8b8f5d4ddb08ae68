// The network, layer by layer: what each computes from, and its maps, the most active first.
"use strict";

const FEW = 16; // maps at first
const opened = new Set(), overall = byId("overall");

/** How active each channel is: the mean distance from 0. */
function activity(values, [height, width, channels]) {
  const sums = new Float64Array(channels);
  for (let i = 0; i < height * width * channels; i++) sums[i % channels] += Math.abs(values[i]);
  return sums.map((sum) => sum / (height * width));
}

const tellers = []; // what writes the facts of each layer: again after the last one has learnt

/** An element with text that may change. */
function telling(words) {
  const span = made("span", { class: "faint" }), tell = () => { span.textContent = words(); };
  tellers.push(tell);
  tell();
  return span;
}

function factsOf(layer) {
  const facts = [layer.shape.join(" x ")];
  if (layer.parameters) facts.push(`${layer.parameters.toLocaleString("en")} parameters`);
  if (layer.multiply_adds) facts.push(`${layer.multiply_adds.toLocaleString("en")} multiply-adds`);
  return facts.join(", ");
}

function articleOf(layer) {
  const maps = made("div", { class: "maps" });
  const details = made("details", { id: `layer-${layer.name}` },
    made("summary", {}, made("b", {}, layer.name), " ", made("span", { class: "kind" }, layer.kind), " ",
      telling(() => factsOf(layer))),
    made("p", { class: "faint" }, `from ${layer.inputs.map(called).join(" and ")}`),
    maps);
  details.addEventListener("toggle", () => {
    if (details.open) opened.add(layer.name);
    else opened.delete(layer.name);
    if (details.open) showMaps(layer);
  });
  return details;
}

/** Draw a layer's maps for the image that was judged last. */
async function showMaps(layer, all = maps(layer).dataset.all === "yes") {
  const values = await ask("values", layer.name), scale = overall.checked ? await ask("reach") : reachOf(values);
  const shape = layer.shape.length === 3 ? layer.shape : [1, layer.shape[0], 1];
  const active = activity(values, shape);
  const order = [...active.keys()].sort((a, b) => active[b] - active[a]);
  const tiles = order.slice(0, all ? order.length : FEW).map((channel) => {
    const canvas = made("canvas", { tabindex: 0, role: "button",
      "aria-label": `${layer.name}, channel ${channel}: where its strongest number comes from` });
    drawMap(canvas, values, shape, channel, scale);
    fit(canvas, layer.shape.length < 3 ? Math.min(600, 12 * shape[1])
      : Math.max(64, Math.min(160, 3 * Math.max(shape[0], shape[1]))));
    if (layer.shape.length < 3) canvas.style.height = "24px";
    canvas.addEventListener("click", (event) => {
      const box = canvas.getBoundingClientRect();
      const along = (place, begin, length, count) =>
        Math.max(0, Math.min(count - 1, Math.floor((place - begin) / length * count)));
      const column = along(event.clientX, box.left, box.width, shape[1]);
      const row = along(event.clientY, box.top, box.height, shape[0]);
      showNumber(layer, (row * shape[1] + column) * shape[2] + channel);
    });
    canvas.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      showNumber(layer, strongest(values, shape, channel));
    });
    return made("figure", {}, canvas, made("figcaption", {}, layer.shape.length === 3 ? `${channel}` : "all"));
  });
  const more = order.length > FEW && !all ? [made("button", { type: "button", onclick: () => {
    maps(layer).dataset.all = "yes";
    showMaps(layer, true).then(() => /** @type {HTMLElement} */ (maps(layer).querySelectorAll("canvas")[FEW]).focus());
  } }, `show all ${order.length.toLocaleString("en")} maps`)] : [];
  maps(layer).replaceChildren(...tiles, made("p", { class: "faint" },
    `White is 0, red is above 0, blue is below 0. The darkest colour stands for ${shown(scale)} on all maps of ${overall.checked ? "all layers" : "this layer"}.`), ...more);
}

const maps = (layer) => byId(`layer-${layer.name}`).querySelector(".maps");

/** The place of a channel's largest number. */
function strongest(values, [height, width, channels], channel) {
  let best = channel;
  for (let i = channel; i < height * width * channels; i += channels) if (values[i] > values[best]) best = i;
  return best;
}

const showOpened = () => { for (const name of opened) showMaps(layerOf.get(name)); };
onAnswer(showOpened);
overall.addEventListener("change", showOpened);
