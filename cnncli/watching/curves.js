// The curves: loss and accuracy of all runs, by step or by epoch. A run has its colour and its dashes; training is
// thin, validation thick and has a dot at each epoch.
"use strict";

const COLOURS = 8, DASHES = 5;
const curves = { by: null, log: false, drawnAs: "" };
const drawLoss = chartIn(byId("loss"), "Loss", asNumber);
const drawAccuracy = chartIn(byId("accuracy"), "Accuracy", asPercent);
const drawRate = chartIn(byId("rate"), "Learning rate", asNumber);

/** How a run's lines look: as the style sheet names it. */
const lookOf = (run) => `colour${run.number % COLOURS} dash${run.number % DASHES}`;

/** Points of a run's rows of epochs; where steps are counted, an epoch lies at its last step. */
function epochPoints(run, column, by) {
  const size = by === "epoch" ? 1 : stepsOf(run);
  return size ? [...run.epochs].map(([epoch, row]) => [epoch * size, numberOr(row[column])]) : [];
}

/** Points of two lines as one: what is so far at an epoch's last step is its row's number. */
const merged = (...lines) => [...new Map(lines.flat())].sort((a, b) => a[0] - b[0]);

/** The lines of one chart: training's and validation's of every run. */
function seriesOf(what, by) {
  return [...runs.values()].flatMap((run) => {
    const name = (kind) => runs.size > 1 ? `${nameOf(run)}, ${kind}` : kind;
    const steps = by === "step" && run.steps.length > 0, ends = epochPoints(run, `train_${what}`, by);
    const train = steps ? merged(ends, run.steps.map((one) => [one.step, one[what]])) : ends;
    const val = epochPoints(run, `val_${what}`, by);
    return [{ name: name("training"), look: `${lookOf(run)} thin`, points: train, dots: !steps },
      { name: name("validation"), look: `${lookOf(run)} thick`, points: val, dots: true }];
  });
}

/** The learning rate at the ends of epochs and, by step, wherever somebody looked. */
function ratesOf(run, by) {
  const ends = epochPoints(run, "learning_rate", by);
  const seen = run.looks.filter(({ rate }) => rate !== null).map(({ step, rate }) => [step, rate]);
  return by === "epoch" ? ends : merged(seen, ends);
}

function drawCurves() {
  const all = [...runs.values()], steps = all.some((run) => run.steps.length);
  const often = all.some((run) => run.steps.length > run.epochs.size);
  const by = steps ? curves.by ?? (often ? "step" : "epoch") : "epoch";
  byId("curves").hidden = !steps && !all.some((run) => run.epochs.size);
  setText("curves-lack", !byId("curves").hidden ? "" : all.some((run) => run.training)
    ? "The first numbers come with the first steps." : "There are no numbers yet.");
  if (byId("curves").hidden) return;
  const width = byId("loss").clientWidth, log = curves.log;
  const key = [by, log, width, ...all.flatMap((run) => [run.id, run.curveLines, run.lookLines])].join(" ");
  if (key === curves.drawnAs) return;
  curves.drawnAs = key;
  byId("by-step").disabled = !steps;
  for (const what of ["step", "epoch"]) byId(`by-${what}`).setAttribute("aria-pressed", String(what === by));
  byId("log").setAttribute("aria-pressed", String(log));
  byId("step-said").hidden = by !== "step";
  const across = { name: by, asText: asCount, whole: true, from: by === "step" ? 0 : 1 };
  const epochs = all.some((run) => run.epochs.size > 0);
  drawLoss(seriesOf("loss", by), across, { log });
  drawAccuracy(seriesOf("accuracy", by), across, { low: 0, high: 1, percent: true });
  byId("rate").hidden = !epochs;
  if (epochs) {
    drawRate(all.map((run) => ({ name: runs.size > 1 ? nameOf(run) : "learning rate", look: `${lookOf(run)} thick`,
      points: ratesOf(run, by), dots: true })), across);
  }
}

for (const what of ["step", "epoch"]) {
  byId(`by-${what}`).addEventListener("click", () => {
    curves.by = what;
    redraw();
  });
}
byId("log").addEventListener("click", () => {
  curves.log = !curves.log;
  redraw();
});
