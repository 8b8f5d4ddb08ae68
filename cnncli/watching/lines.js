// What a run's lines amount to. Lines may come in any order of runs; steps that are trained again, after a resume or
// because the connection began anew, replace those that were there.
"use strict";

const runs = new Map(); // by id, in the order in which they are first heard of

/** What is known of a run; it is there from its first word on. */
function runOf(id) {
  if (!runs.has(id)) {
    runs.set(id, {
      id, number: runs.size, canStop: false, training: null, there: true, begin: null, end: null, notes: [], time: null,
      heard: 0, gap: 0, steps: [], epochs: new Map(), looks: [], latest: null, filters: null, curveLines: 0,
      lookLines: 0 });
  }
  return runs.get(id);
}

/** Take one line of a run. */
function takeLine(run, line) {
  if (isNumber(line.time)) {
    if (line.what !== "begin" && run.time !== null) run.gap = Math.max(line.time - run.time, 0.7 * run.gap);
    run.time = Math.max(line.time, run.time ?? 0);
  }
  run.heard = Date.now() / 1000;
  const take = { begin: takeBegin, step: takeStep, look: takeLook, epoch: takeEpoch, note: takeNote, end: takeEnd };
  if (Object.hasOwn(take, line.what)) take[line.what](run, line);
}

function takeBegin(run, line) {
  const done = numberOr(line.done, 0);
  Object.assign(run, { begin: line, end: null, gap: 0 });
  run.steps = run.steps.filter(({ step }) => step <= done);
  run.looks = run.looks.filter(({ step }) => step <= done);
  run.notes = run.notes.filter(({ step }) => done && step <= done);
  for (const epoch of [...run.epochs.keys()]) if (line.steps && epoch * line.steps > done) run.epochs.delete(epoch);
  if (!done) Object.assign(run, { epochs: new Map(), latest: null, filters: null });
  run.curveLines += 1;
  run.lookLines += 1;
}

function takeStep(run, line) {
  if (!isNumber(line.step)) return;
  again(run.steps, line.step);
  run.steps.push({ step: line.step, epoch: line.epoch, loss: numberOr(line.loss), accuracy: numberOr(line.accuracy),
    rate: numberOr(line.images_per_second), left: numberOr(line.left) });
  run.curveLines += 1;
}

/** Keep what is drawn of a look; all classes and the filters only of the last one, or the page would grow. */
function takeLook(run, line) {
  const step = numberOr(line.step, lastStep(run));
  again(run.looks, step);
  const truth = (run.begin?.examples ?? []).map(({ label }, i) => numberOr(line.probabilities?.[i]?.[label]));
  run.looks.push({ step, rate: numberOr(line.rate), layers: line.layers ?? {}, truth });
  if (line.probabilities) run.latest = { step, probabilities: line.probabilities };
  if (line.filters?.picture) run.filters = { step, ...line.filters };
  run.lookLines += 1;
}

function takeEpoch(run, line) {
  const epoch = Number(line.epoch);
  if (!Number.isInteger(epoch)) return;
  for (const later of [...run.epochs.keys()]) if (later >= epoch) run.epochs.delete(later);
  run.epochs.set(epoch, line);
  run.curveLines += 1;
}

function takeNote(run, line) {
  const sentence = String(line.sentence), step = lastStep(run);
  if (!run.notes.some((note) => note.sentence === sentence && note.step === step)) run.notes.push({ sentence, step });
}

function takeEnd(run, line) {
  run.end = line;
}

/** Take away what comes at this step or later: it was trained again. */
function again(found, step) {
  while (found.length && found[found.length - 1].step >= step) found.pop();
}

const stepsOf = (run) => numberOr(run.begin?.steps) || null; // of an epoch
const epochsDone = (run) => Math.max(0, ...run.epochs.keys());

/** The steps that are done, as far as lines tell. */
function lastStep(run) {
  return Math.max(run.steps.at(-1)?.step ?? 0, epochsDone(run) * (stepsOf(run) ?? 0), numberOr(run.begin?.done, 0));
}

/** The row of history.csv of the best epoch, null before the first. */
function bestOf(run) {
  const rows = [...run.epochs.values()], said = rows.filter((row) => row.best === true).at(-1);
  return said ?? rows.reduce((best, row) =>
    !best || (numberOr(row.val_accuracy, -1) > numberOr(best.val_accuracy, -1)) ? row : best, null);
}

/** Whether steps, examples and layers were recorded, and not only what every run's folder has. */
const isRecorded = (run) => run.steps.length > 0 || (run.begin?.examples ?? []).length > 0;
const nameOf = (run) => String(run.begin?.run ?? run.id);
