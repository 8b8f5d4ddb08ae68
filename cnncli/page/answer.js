// What the network says: the picture as it sees it, the probability of each class, and where what speaks for one lies.
"use strict";

const LIKELY = 10, PICTURE = 240; // classes shown, and the pixels of a picture's longer side
const listeners = [];
/** @type {Float32Array | null} */
let input = null; // the picture that the last answer is about, as the network has it

/** Have a function called with each new answer. */
const onAnswer = (listener) => listeners.push(listener);

async function showAnswer(found) {
  input = found.input;
  const order = [...found.probabilities.keys()].sort((a, b) => found.probabilities[b] - found.probabilities[a]);
  drawInput(byId("seen"), input);
  fit(byId("seen"), PICTURE);
  const tells = await showEvidence(order[0]);
  const rows = order.slice(0, LIKELY).map((i) => {
    const share = 100 * found.probabilities[i];
    const bar = made("div", { class: "bar" }, made("div", { class: "part" }));
    bar.firstChild.style.width = `${share}%`;
    const name = !tells ? program.classes[i] : made("button", { type: "button", class: "plain",
      title: "show the evidence for this class", onclick: () => showEvidence(i) }, program.classes[i]);
    return made("tr", {}, made("th", { scope: "row" }, name), made("td", {}, bar),
      made("td", { class: "number" }, share > 99.95 && share < 100 ? "> 99.9 %" : `${share.toFixed(1)} %`));
  });
  byId("answers").replaceChildren(...rows);
  byId("answer").textContent = program.classes[order[0]];
  byId("time").textContent = `Computed in ${found.milliseconds.toFixed(1)} ms.`;
  for (const listener of listeners) listener(found);
}

/** The table of how logits become probabilities, the likeliest class first. */
onAnswer(({ logits, probabilities }) => {
  const top = Math.max(...logits), temperature = program.temperature;
  const exponents = [...logits].map((logit) => (logit - top) / temperature), powers = exponents.map(Math.exp);
  const sum = powers.reduce((all, power) => all + power, 0);
  const order = [...probabilities.keys()].sort((a, b) => probabilities[b] - probabilities[a]).slice(0, LIKELY);
  const warm = temperature !== 1, only = (...cells) => warm ? cells : []; // a division by 1 is none
  const line = (name, ...numbers) => made("tr", {}, made("th", { scope: "row" }, name),
    ...numbers.map((number) => made("td", { class: "number" }, number)));
  byId("warm").hidden = !warm;
  document.querySelector("#softmax thead").replaceChildren(made("tr", {}, made("th", { scope: "col" }, "class"),
    ...["logit", ...only(`divided by ${shown(temperature)}`), "minus the largest", "e raised to it", "divided by the sum"]
      .map((name) => made("th", { scope: "col", class: "number" }, name))));
  document.querySelector("#softmax tbody").replaceChildren(
    ...order.map((i) => line(program.classes[i], shown(logits[i]), ...only(shown(logits[i] / temperature)),
      shown(exponents[i]), shown(powers[i]), shown(powers[i] / sum))),
    line(`the sum of all ${logits.length.toLocaleString("en")}`, "", ...only(""), "", shown(sum), "1"));
});

/** Draw where what speaks for a class lies, on the picture in pale grey; whether the network tells that. */
async function showEvidence(number) {
  const found = await ask("evidence", number), figure = byId("evidence");
  figure.hidden = !found;
  if (!found) return false;
  const canvas = figure.querySelector("canvas"), [height, width] = program.input.shape;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  drawInput(canvas, input);
  fit(canvas, PICTURE);
  const under = context.getImageData(0, 0, width, height);
  for (let i = 0; i < under.data.length; i += 4) {
    const grey = 0.3 * under.data[i] + 0.6 * under.data[i + 1] + 0.1 * under.data[i + 2];
    under.data.fill(150 + 0.4 * grey, i, i + 3);
  }
  context.putImageData(under, 0, 0);
  const before = layerOf.get(layerOf.get(found.layer).inputs[0]), { start, step } = before.field;
  const [rows, columns] = before.shape, map = document.createElement("canvas");
  const scale = reachOf(found.map);
  drawOverlay(map, found.map, [rows, columns], scale);
  // The middle of each position lies where its receptive field has its middle.
  context.imageSmoothingQuality = "high";
  context.drawImage(map, start[1] + 0.5 - step[1] / 2, start[0] + 0.5 - step[0] / 2, columns * step[1], rows * step[0]);
  figure.querySelector("figcaption").replaceChildren(
    "The evidence for ", made("b", {}, program.classes[number]), ": red speaks for the class, blue against it. The full ",
    `colour adds ${shown(scale)} to its logit.`);
  return true;
}
