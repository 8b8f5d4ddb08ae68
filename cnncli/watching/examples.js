// The fixed validation images: what the network says of them now, and how the probability of the true class moved.
"use strict";

const LIKELIEST = 3; // classes with a bar; the true one is always there
const examples = { begin: null, drawnAs: "", cards: [] };

/** Build a card for each image; they stay, and only what is in them changes. */
function buildExamples(run) {
  examples.begin = run.begin;
  examples.cards = (run.begin?.examples ?? []).map(({ name, label, picture }) => {
    const says = made("p", { class: "says" }), bars = made("ul", { class: "bars" }), line = sparkline();
    const truth = String(run.begin.classes?.[label] ?? label);
    const image = made("img", { alt: truth });
    if (String(picture).startsWith("data:image/")) image.src = picture;
    const figure = made("figure", { title: String(name ?? "") }, image,
      made("figcaption", {}, made("b", {}, truth), says, bars, line));
    return { figure, says, bars, line };
  });
  byId("examples").replaceChildren(...examples.cards.map(({ figure }) => figure));
}

function drawExamples() {
  const run = chosenRun(), key = run && `${run.id} ${run.lookLines} ${run.training}`;
  if (!run || key === examples.drawnAs) return;
  examples.drawnAs = key;
  if (examples.begin !== run.begin) buildExamples(run);
  const some = run.begin?.examples ?? [], probabilities = run.latest?.probabilities;
  byId("examples-said").hidden = !some.length;
  setText("examples-lack", !some.length ? lacks("pictures") : probabilities ? "" : unseen(run));
  const looks = sampled(run.looks);
  let right = 0;
  examples.cards.forEach((card, i) => {
    const history = looks.map(({ truth }) => truth[i] ?? null);
    right += Number(drawCard(card, run, some[i].label, probabilities?.[i], history));
  });
  setText("examples-right", probabilities ? `Now ${right} of ${some.length} are right.` : "");
}

/** Draw a card; whether the network is right. */
function drawCard({ figure, says, bars, line }, run, label, given, history) {
  const found = Array.isArray(given) ? given.map((value) => numberOr(value)) : [];
  figure.classList.toggle("waiting", !found.length);
  if (!found.length) return false;
  const order = [...found.keys()].sort((a, b) => (found[b] ?? -1) - (found[a] ?? -1)), right = order[0] === label;
  const told = order.slice(0, LIKELIEST), known = found[order[0]] !== null;
  if (!told.includes(label)) told[LIKELIEST - 1] = label;
  says.className = `says ${right && known ? "right" : "wrong"}`;
  says.textContent = !known ? "\u2717 its probabilities are no numbers" : right ? "\u2713 right" : "\u2717 wrong";
  bars.replaceChildren(...told.map((i) => {
    const name = String(run.begin.classes?.[i] ?? i);
    const bar = made("span", { class: "bar" });
    bar.style.width = `${100 * (found[i] ?? 0)}%`;
    return made("li", { class: i === label ? "truth" : null },
      made("span", { class: "name", title: name }, name),
      made("span", { class: "number" }, asPercent(found[i], 0)), made("span", { class: "track" }, bar));
  }));
  drawSpark(line, history, (share) => asPercent(share), { low: 0, high: 1 });
  return right && known;
}

/** What is said where nobody has looked yet. */
const unseen = (run) => run.training ? "They are looked at for the first time during the first steps."
  : "The training was too short to look at them.";

/** What is said where a run has no record of something. */
function lacks(what) {
  const run = chosenRun();
  return !run?.begin || isRecorded(run) ? `The recording has no ${what}.`
    : `The ${what} of this run were not recorded. "cnn train --live" records them.`;
}
