// What the filter looks for that a number is of: the images that excite it most, among those that lie in the page, and the
// classes that it speaks for, as `cnn explain --units` finds them (units.py).
"use strict";

const PATCH = [48, 100]; // pixels of the shorter side, and of the longer one, at most
const unitNames = given.units?.names ?? program.classes; // what is learnt later in the page changes nothing of them

/** What is known of a filter, and the layer whose numbers tell it: its own, or that behind or before it. */
function unitOf(layer, channel) {
  const learnt = unitNames !== program.classes; // so the weights of the last layer, and what it finds, are others
  if (!given.units || (learnt && layer === lastLayer)) return null;
  const by = layerOf.get(given.units.layers[layer.name] ? layer.name : given.units.by[layer.name]);
  const found = by && given.units.layers[by.name], row = found?.channels ? found.channels.indexOf(channel) : channel;
  return found && row >= 0 ? { by, top: found.top[row], most: found.most[row], classes: learnt && found.weights ? [] : found.classes[row],
    weights: found.weights } : null;
}

/** Draw the part of an image that a position of a layer sees; what lies outside of it is grey. */
function patchOf(by, channel, image, place) {
  const { columns, size, tile } = given.units, [, , channels] = by.shape.length === 3 ? by.shape : [1, 1, by.shape[0]];
  const part = windowIn(by, place * channels + channel, null).map((one, i) => one * size[i % 2] / program.input.shape[i % 2]);
  const [top, left, height, width] = part[2] >= size[0] || part[3] >= size[1] ? [0, 0, ...size] : part;
  const canvas = made("canvas", { role: "img", "aria-label": "a part of an image" });
  const times = Math.min(PATCH[0] / Math.min(height, width), PATCH[1] / Math.max(height, width));
  canvas.width = Math.round(width * times);
  canvas.height = Math.round(height * times);
  const context = canvas.getContext("2d"), first = [Math.max(0, top), Math.max(0, left)];
  const last = [Math.min(size[0], top + height), Math.min(size[1], left + width)];
  context.fillStyle = "#808080";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.imageSmoothingEnabled = times < 2;
  context.drawImage(byId("sheet"), image % columns * tile[1] + first[1], Math.floor(image / columns) * tile[0] + first[0],
    last[1] - first[1], last[0] - first[0], (first[1] - left) * times, (first[0] - top) * times,
    (last[1] - first[1]) * times, (last[0] - first[0]) * times);
  return canvas;
}

function showUnit(layer, index) {
  const channel = index % layer.shape[layer.shape.length - 1], found = unitOf(layer, channel);
  const box = dialog.querySelector(".unit");
  box.replaceChildren();
  if (!found) return;
  const { by, top, most, classes, weights } = found, { looked_at, count, answered } = given.units;
  const side = program.layers.indexOf(by) < program.layers.indexOf(layer) ? "before" : "behind";
  const name = by === lastLayer && by.shape.length === 1 ? `the logit of \u2068${unitNames[channel]}\u2069 is largest`
    : `filter ${channel}${by === layer ? "" : ` of ${by.name} (${side} this layer)`} gives its largest numbers`;
  const dead = most <= 0 && by.kind.startsWith("ReLU"), patches = [];
  for (let i = 0; i < top.length && !dead; i += 2) patches.push(patchOf(by, channel, top[i], top[i + 1]));
  const speaks = classes.flatMap((number, i) => i % 2 ? [] : [`\u2068${unitNames[number]}\u2069 (+${classes[i + 1]})`]);
  box.append(made("h3", {}, `Parts of images for which ${name}`), made("div", { class: "maps" }, ...patches),
    made("p", { class: "faint" }, dead ? `Nothing: its number is never above 0 in ${looked_at} images.`
      : `They come from the ${count} images in this page. Its largest number in all ${looked_at} images is ${shown(most)}.`));
  if (speaks.length && !dead) {
    box.append(made("p", { class: "faint" }, `It speaks for ${speaks.join(", ")}: ${weights
      ? "it adds this much to their logits, by the weights of the last layer." : "images of these classes excite it more than others do, " +
      `in standard deviations: 0.2 is little, 1 is much${answered ? " (classes as the model answers)" : ""}.`}`));
  }
}
