// The lesson: what convolution, stride, padding, dilation, batch norm, activation, pooling, a skip connection, a dense layer,
// softmax and the receptive field are, and where the weights come from, each shown on this network and the picture that it judged last. It opens with ?tour, or by its button.
"use strict";

const RELU = "It turns numbers below 0 into 0 and leaves the others. The map still says where its filter found something, " +
  "but no longer where it found the opposite.";
const BENDS = { ReLU: RELU, ReLU6: `${RELU} Numbers above 6 become 6.`,
  LeakyReLU: "It makes numbers below 0 small and leaves the others. What a filter found counts more than the opposite.",
  SiLU: "It turns numbers far below 0 into nearly 0, and hardly changes numbers far above 0. It is a ReLU without a corner.",
  Sigmoid: "It brings all numbers between 0 and 1.", Tanh: "It brings all numbers between \u22121 and 1." };
const panel = byId("tour");
let steps = [], at = -1;

/** The first layer that a function of the engine computes: its call, and the layer. */
function firstOf(...functions) {
  const call = program.calls.find(([, what]) => functions.includes(what));
  return call && { call, layer: layerOf.get(call[0]) };
}

const times = (count, word) => `${count.toLocaleString("en")} ${word}${count === 1 ? "" : "s"}`;
const bySide = (a, b) => a === b ? `${a}` : `${a} and ${b}`;

/** Open a layer and show where a number comes from: the one that `picked` gives for its most active map, or
 * else the strongest one there. */
async function pointAt(layer, picked = null) {
  reveal(layer.name).scrollIntoView({ block: "start" });
  const values = await ask("values", layer.name), shape = layer.shape.length === 3 ? layer.shape : [1, 1, layer.shape[0]];
  const active = activity(values, shape), channel = layer.shape.length === 3 ? active.indexOf(Math.max(...active))
    : values.indexOf(Math.max(...values));
  await showNumber(layer, picked ? picked(channel) : strongest(values, shape, channel));
}

/** Show an activation at its lowest number: there its effect is seen. */
async function pointAtLowest(layer) {
  const before = await ask("values", layer.inputs[0]);
  const lowest = before.reduce((best, value, i) => value < before[best] ? i : best, 0);
  await pointAt(layer, before[lowest] < 0 ? () => lowest : null);
}

/** The first convolution that sums over several channels of maps, or else of the image; null where none does. */
function firstOverChannels() {
  const over = program.calls.filter(([, what, , , , ci, , , , , , , kh, kw, , , , , , , groups]) =>
    what === "conv" && ci > groups && kh * kw > 1);
  return over.find(([name]) => layerOf.get(name).inputs[0] !== "input") ?? over[0] ?? null;
}

/** Steps on a convolution over channels, a batch norm, a sum and a flattening, where the network has one. */
function stepsOfLayers() {
  const over = firstOverChannels(), norm = program.layers.find(({ kind }) => kind === "BatchNorm2d");
  const sum = program.layers.find(({ kind }) => kind === "Add"), flat = program.calls.find(([, what, , pixels]) => what === "flatten" && pixels > 1);
  const steps = { over: null, norm: null, sum: null, flat: null };
  if (over) {
    const [name, , , , , ci, , bias, , , , , kh, kw] = over, inputs = ci / over[20], layer = layerOf.get(name);
    steps.over = {
      title: "Several channels",
      words: [`Each number of ${name} sums over ${inputs} channels of ${called(layer.inputs[0])}. The filter has a grid of ${kh} x ${kw} ` +
        `weights for each of them. The products of each channel are added up, and then the ${inputs} sums` +
        `${bias === null ? "" : " and the bias"}.`,
      "The list has the sums, the largest first. Click a channel to see its numbers, weights and products."],
      show: () => pointAt(layer),
    };
  }
  if (norm) {
    steps.norm = {
      title: "Batch norm",
      words: [`${norm.name} brings the numbers of each channel to a similar size, which makes training steadier. It subtracts the ` +
        "channel's mean and divides by its standard deviation. Then it multiplies by a weight and adds a bias, which were learnt.",
      "In training, mean and standard deviation are those of the images at hand. Afterwards their running averages stand for them. " +
        "So now these numbers are fixed: the line above the table has them. " +
        "A program may multiply them into the weights of a convolution before, which is called folding. This page does not."],
      show: () => pointAt(norm),
    };
  }
  if (sum) {
    steps.sum = {
      title: "Skip connection",
      words: [`${sum.name} adds the maps of ${sum.inputs.map(called).join(" and ")}, number by number. So one way through the network ` +
        "skips layers of the other. These layers need not compute everything anew: they learn what to add. " +
        "Networks with many layers learn much better this way."],
      show: () => pointAt(sum),
    };
  }
  if (flat) {
    const [name, , , pixels, channels] = flat, next = program.calls.slice(program.calls.indexOf(flat)).find(([, what]) => what === "linear");
    steps.flat = {
      title: "From maps to one row of numbers",
      words: [`${name} writes the numbers of all maps into one row, channel by channel: ${channels} x ${pixels} = ` +
        `${times(channels * pixels, "number")}. The line above the table says which number goes where.`,
      next ? `Then ${next[0]} has a weight for each of these numbers and each of its ${times(next[7], "output")}: ` +
        `${times(next[3] * next[7], "weight")}.` : ""],
      show: () => pointAt(layerOf.get(name)),
    };
  }
  return steps;
}

/** The steps that this network has something to show for: {title, words, show}. */
function lesson() {
  const [height, width, channels] = program.input.shape;
  const ofLayers = stepsOfLayers(), parameters = program.layers.reduce((all, layer) => all + layer.parameters, 0);
  const made = [{
    title: "An image is numbers",
    words: [`For the network this image is ${height} rows of ${width} pixels. Each pixel is ` +
      `${channels === 1 ? "one number: how bright it is" : "three numbers: how much red, green and blue it has"}.`,
    "The numbers from 0 to 255 become numbers around 0: the mean of the training images is subtracted, and the rest is " +
      "scaled. The network gets nothing else.",
    "Point at the image: below it stand the pixel's value and the network's number."],
    show: () => byId("judge").scrollIntoView({ block: "start" }),
  }];
  const conv = firstOf("conv"), activation = firstOf("pointwise"), pool = firstOf("max_pool", "mean_pool");
  if (conv) {
    const [, , , h, w, ci, , bias, , oh, ow, co, kh, kw, sh, sw, top, left, dh, dw, groups] = conv.call;
    const layer = conv.layer, taps = kh * kw * ci / groups;
    const below = (oh - 1) * sh + (kh - 1) * dh - top >= h || (ow - 1) * sw + (kw - 1) * dw - left >= w;
    const first = top > 0 || left > 0, padded = first || below, same = oh === h && ow === w;
    const corner = (channel) => (first ? 0 : (oh * ow - 1) * co) + channel;
    made.push({
      title: "Convolution",
      words: [`${layer.name} has ${times(co, "filter")}. A filter is a small grid of weights, here ${kh} x ${kw}` +
        `${ci / groups > 1 ? ` for each of ${ci / groups} channels` : ""}. It is laid on the image. Each number under it ` +
        `is multiplied by its weight. The sum of these ${times(taps, "product")}` +
        `${bias === null ? "" : ", plus one fixed number, the bias,"} is one number of the filter's map.`,
      "The table lists the products, the largest first. Press “Slide the window”: the same weights go over the whole image. " +
        "So a filter finds what it looks for, wherever that is."],
      show: () => pointAt(layer),
    }, {
      title: "Stride",
      words: [sh === 1 && sw === 1
        ? "The stride is how far the window moves from one number of the map to the next. Here it is 1: it moves to the next pixel."
        : `The stride is how far the window moves from one number of the map to the next. Here it is ${bySide(sh, sw)}.`,
      (!same ? `So ${h} x ${w} positions become ${oh} x ${ow}.` : padded
        ? "The map is as large as the image. This is due to the padding, which the next step shows."
        : "The map is as large as the image.") + " A stride of 2 halves each side and leaves a quarter of the numbers."],
      show: () => pointAt(layer),
    }, {
      title: "Padding",
      words: [padded
        ? `Here the window is at row ${first ? 0 : oh - 1}, column ${first ? 0 : ow - 1}. A part of it lies outside the image. ` +
          "There the numbers count as 0, which is called padding. For the network, 0 stands for the mean " +
          `${channels === 1 ? "brightness" : "colour"} of the training images.`
        : same ? "The window is one pixel: this layer needs no padding."
          : "This layer has no padding: the window stays inside the image. The map is smaller than its input: " +
          `${oh} x ${ow} instead of ${h} x ${w}. With zeros around the image it would keep its size.`],
      show: () => pointAt(layer, padded ? corner : null),
    });
  }
  const wide = program.calls.find(([, what, ...given]) => what === "conv" &&
    ((given[10] > 1 && given[16] > 1) || (given[11] > 1 && given[17] > 1)));
  if (wide) {
    made.push({
      title: "Dilation",
      words: ["Dilation means that the weights of a filter lie further apart, with gaps between them. The weights of " +
        `${wide[0]} lie ${bySide(wide[18], wide[19])} pixels apart.`,
      "With gaps a filter sees more of the image for the same number of products."],
      show: () => pointAt(layerOf.get(wide[0])),
    });
  }
  if (ofLayers.norm) made.push(ofLayers.norm);
  if (activation) {
    made.push({
      title: "Activation",
      words: [`${activation.layer.name} (${activation.layer.kind}) is applied to each number alone. ` +
        `${BENDS[activation.layer.kind] ?? ""} Without activations, all layers together could do no more than a single one.`],
      show: () => pointAtLowest(activation.layer),
    });
  }
  if (pool) {
    const largest = pool.call[1] === "max_pool";
    made.push({
      title: "Pooling",
      words: [`${pool.layer.name} takes ${largest ? "the largest number" : "the mean"} of each window. ` +
        `So ${pool.call[3]} x ${pool.call[4]} numbers become ${pool.layer.shape[0]} x ${pool.layer.shape[1]}. ` +
        (largest ? "The largest one is in the first line of the table. " : "") +
        "A small shift of the image now makes little difference, and the next layer has less to compute."],
      show: () => pointAt(pool.layer),
    });
  }
  for (const step of [ofLayers.over, ofLayers.sum]) if (step) made.push(step);
  // The last one that sees less than all, where there is one that sees more than a filter.
  const maps = program.layers.filter(({ shape }) => shape.length === 3 && shape[0] * shape[1] > 1);
  const part = maps.filter(({ field }) => !field.whole && field.size[0] < height && field.size[1] < width);
  const deep = part[part.length - 1] ?? maps[maps.length - 1];
  if (deep) {
    made.push({
      title: "What a number can see",
      words: [`Each number of ${deep.name} is computed from numbers that are computed from others, and so on back to the image. ` +
        `The part of the image that a number depends on is its receptive field. Here it is ${!part.length ? "all of it"
          : `${deep.field.size[0]} x ${deep.field.size[1]} pixels`}, framed in orange. At the image's border the frame is cut: beyond it is padding. Early layers see edges` +
        `${channels === 1 ? "" : " and colours"}, late layers see large parts.`],
      show: () => pointAt(deep),
    });
  }
  const dense = program.calls.filter(([, what]) => what === "linear").pop();
  if (ofLayers.flat) made.push(ofLayers.flat);
  if (dense) {
    made.push({
      title: "The dense layer",
      words: [`${dense[0]} has a weight for each class and each of ${times(dense[3], "number")}. The logit of a class is the sum of ` +
        `these numbers times the class's weights${dense[5] === null ? "" : ", plus the class's bias"}. The table lists the terms ` +
        "for the class with the largest logit: positive ones speak for the class, negative ones against it."],
      show: () => pointAt(layerOf.get(dense[0])),
    });
  }
  made.push({
    title: "Probabilities",
    words: [`Softmax turns ${times(lastLayer.shape[0], "logit")} of any size into probabilities, in the columns of the table. ` +
      `${program.temperature === 1 ? "" : `First each logit is divided by the temperature, ${shown(program.temperature)}. ` +
        "This is no part of softmax: it comes from calibration. If you calculate by hand, divide first. "}The largest of ` +
      "these numbers is subtracted from each. Then e is raised to each. At last each result is divided by the sum of all results."],
    show: () => {
      dialog.close();
      byId("softmax").open = true;
      document.querySelector("#softmax .scroll").scrollIntoView({ block: "start" });
    },
  }, {
    title: "Where the weights come from",
    words: [`The ${times(parameters, "weight")} and biases of this network were not written by anybody. They began as random numbers, or ` +
      `as the weights of an earlier training.${program.learnt ? " Only the last layer was fitted to images in a page." : ""}`,
    "In training the network answered for a few labelled images at a time. The loss measures how wrong its answers were. The gradient says " +
      "for each weight how the loss changes with it. Each weight was moved a little, to where the loss gets smaller. This was " +
      "repeated many times. So the network knows only what its training images show."],
    show: () => dialog.close(),
  }, {
    title: "Your turn",
    words: ["Drag over the image to cover parts of it, and see which parts the answer needs. Then choose an image of your own: one " +
      "that the network should know, and one that it cannot know. It always answers, and is often sure."],
    show: () => byId("judge").scrollIntoView({ block: "start" }),
  });
  return made;
}

/** Write the step's words, of the last layer as it is now. */
function tellStep() {
  steps = lesson();
  const { title, words } = steps[at];
  panel.querySelector("h2").textContent = `${at + 1} of ${steps.length}: ${title}`;
  panel.querySelector(".words").replaceChildren(...words.map((each) => made("p", {}, each)));
}

async function go(to) {
  at = to;
  tellStep();
  if (dialog.open) dialog.close();
  panel.querySelector(".back").disabled = at === 0;
  panel.querySelector(".next").textContent = at === steps.length - 1 ? "End" : "Next";
  panel.hidden = false;
  document.body.classList.add("lesson"); // where there is room, the page, the steps and the numbers stand beside each other
  await steps[at].show();
  dialog.scrollTop = 0;
  panel.querySelector(".next").focus({ preventScroll: true });
  panel.scrollTop = 0;
}

function end() {
  panel.hidden = true;
  document.body.classList.remove("lesson");
  at = -1;
  if (dialog.open) dialog.close();
  byId("begin").focus({ preventScroll: true });
}

panel.querySelector(".back").addEventListener("click", () => go(at - 1));
panel.querySelector(".next").addEventListener("click", () => at === steps.length - 1 ? end() : go(at + 1));
panel.querySelector(".close").addEventListener("click", end);
addEventListener("keydown", (event) => { if (event.key === "Escape" && at >= 0) end(); });

async function begin() {
  await ready;
  go(0);
}

byId("begin").addEventListener("click", begin);
if (new URLSearchParams(location.search).has("tour")) onAnswer(() => { if (!steps.length) begin(); });
