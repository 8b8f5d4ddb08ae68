// The runs: what each does now, and of several a table of what differs. One of them is chosen; its images, filters and
// layers are shown.
"use strict";

const QUIET = 30; // seconds after which it is said that nothing was heard
const SETTLED = 5; // seconds that a training may take to its end when it has told it
const ENDS = { "finished": "Finished", "Ctrl-C": "Stopped by Ctrl-C and saved",
  "SIGTERM": "Stopped by SIGTERM and saved", "the page": "Stopped from this page and saved",
  "an error": "Ended by an error; what was saved before it is there" };
const SHOWN = new Set(["arch", "epochs"]); // settings that have a column in any case
const NOTHING = new Set(["0", "false", NONE]);
const chosen = { id: null, drawnAs: "", settings: "", notes: "" };

/** The run whose details are shown: until one is chosen, the last that is trained. */
function chosenRun() {
  const all = [...runs.values()];
  return runs.get(chosen.id) ?? all.filter((run) => run.training).at(-1) ?? all[0];
}

/** What a run does now: a word for its sign, and a sentence. */
function stateOf(run) {
  const cause = run.end?.cause;
  if (run.end && run.training && Date.now() / 1000 - run.end.time > SETTLED) {
    return { sign: "training", words: "Training again without --live: nothing more is recorded" };
  }
  if (run.end) return { sign: cause === "finished" ? "done" : "ended", words: ENDS[cause] ?? `Ended: ${cause}` };
  if (!run.begin) return { sign: "waiting", words: "Nothing is recorded yet" };
  if (!run.there) return { sign: "ended", words: "Its folder is gone" };
  if (!run.training && !isRecorded(run)) { // whether it was stopped early or interrupted is not known
    const all = numberOr(run.begin.epochs);
    return all && epochsDone(run) >= all ? { sign: "done", words: "Finished" } : { sign: "ended", words: "Ended" };
  }
  if (run.training === false) return { sign: "ended", words: "Interrupted" };
  const quiet = Date.now() / 1000 - (isRecorded(run) ? Math.max(run.time, run.canStop ? run.heard : 0) : run.heard);
  if (quiet > Math.max(QUIET, 3 * run.gap)) return { sign: "quiet", words: `No news for ${asTime(quiet)}` };
  return { sign: "training", words: "Training" };
}

/** Where a run is: epoch, step, how fast, how much longer. */
function placeOf(run, state) {
  const all = numberOr(run.begin?.epochs), steps = lastStep(run), size = stepsOf(run);
  const last = run.steps.at(-1), parts = [];
  const epoch = Math.max(epochsDone(run), numberOr(last?.epoch, 0));
  if (epoch) parts.push(`epoch ${asCount(epoch)}${all ? ` of ${asCount(all)}` : ""}`);
  if (steps) parts.push(`step ${asCount(steps)}${size && all ? ` of ${asCount(size * all)}` : ""}`);
  if (state.sign === "training" && last) {
    if (isNumber(last.rate)) parts.push(`${asCount(last.rate)} images a second`);
    const since = Math.max(0, Math.min(run.gap, Date.now() / 1000 - run.time));
    if (isNumber(last.left)) parts.push(`${asTime(last.left - since)} left`);
  }
  return parts.join(", ");
}

/** Settings by their names, those inside others as "augment.flip". */
function settingsOf(recipe, before = "") {
  const nested = (value) => value && typeof value === "object" && !Array.isArray(value);
  return Object.entries(recipe ?? {}).flatMap(([name, value]) =>
    nested(value) ? settingsOf(value, `${before}${name}.`) : [[before + name, asSetting(value, name)]]);
}

const asSetting = (value, name = "") =>
  Array.isArray(value) ? value.join(name === "size" ? " x " : ", ")
    : String(value ?? NONE).replace(/^([0-9a-f]{8})[0-9a-f]{56}$/, "$1…"); // the fingerprint of a list or a table

/** The settings that differ between runs, and each run's by name. What a run has not is the same as what does nothing. */
function differences(all) {
  const settings = all.map(({ begin }) =>
    new Map([["architecture", asSetting(begin?.architecture)], ...settingsOf(begin?.recipe)]));
  for (const one of settings) if (!Number(one.get("augment.randaugment"))) one.delete("augment.magnitude");
  const every = new Set(settings.flatMap((one) => [...one.keys()]));
  const groups = new Set([...every].filter((name) => name.includes(".")).map((name) => name.split(".")[0]));
  const valueOf = (one, name) => one.get(name) ?? one.get(name.replace(/\.kind$/, "")) ?? NONE;
  const names = [...every].filter((name) => {
    const values = settings.map((one) => valueOf(one, name)), lacking = settings.some((one) => !one.has(name));
    return !SHOWN.has(name) && !groups.has(name) &&
      new Set(values.map((value) => lacking && NOTHING.has(value) ? NONE : value)).size > 1;
  });
  return { names, values: settings.map((one) => names.map((name) => valueOf(one, name))) };
}

function drawHeader() {
  const run = chosenRun();
  if (!run) return;
  const state = stateOf(run), best = bestOf(run), part = partOf(run);
  setText("title", nameOf(run));
  setText("about", aboutOf(run));
  setText("state", state.words);
  byId("state").dataset.sign = state.sign;
  setText("place", placeOf(run, state));
  setText("best", isNumber(best?.val_accuracy) ? `Best so far: ${asPercent(best.val_accuracy)} of the validation ` +
    `images are right, after epoch ${asCount(Number(best.epoch))}.` : "");
  setText("trouble", run.steps.length && run.steps.at(-1).loss === null
    ? "\u26a0 The loss is no longer a finite number. A lower learning rate helps." : "");
  byId("progress").hidden = part === null;
  byId("progress").value = part ?? 0;
  const going = state.sign === "training" && part !== null;
  document.title = `${going ? `${Math.floor(100 * part)} %` : state.words} \u00b7 ${nameOf(run)}`;
  drawNotes(run);
  drawSettings(run);
  drawTable();
}

/** How much of a run is done, 0 to 1; null where it is not known. */
function partOf(run) {
  const all = numberOr(run.begin?.epochs), size = stepsOf(run);
  return all ? Math.min(1, size ? lastStep(run) / (size * all) : epochsDone(run) / all) : null;
}

function aboutOf({ begin }) {
  const classes = begin?.classes?.length, { train, val } = begin?.images ?? {}, parts = [];
  if (begin?.architecture) parts.push(String(begin.architecture));
  if (classes) parts.push(classes === 1 ? "1 class" : `${asCount(classes)} classes`);
  if (isNumber(train)) parts.push(`${plural(train, "training image")}, ${asCount(val)} for validation`);
  return parts.join(", ");
}

function drawNotes(run) {
  const list = byId("notes"), key = JSON.stringify([run.id, run.notes]);
  setText("notes-none", run.notes.length ? "" : "There are none.");
  if (chosen.notes === key) return;
  chosen.notes = key;
  list.replaceChildren(...run.notes.map(({ sentence }) => made("li", {}, sentence)));
}

/** All settings of the chosen run. */
function drawSettings(run) {
  const list = document.querySelector("#settings dl"), settings = settingsOf(run.begin?.recipe);
  const key = JSON.stringify(settings);
  byId("settings").hidden = !settings.length;
  if (chosen.settings === key) return;
  chosen.settings = key;
  list.replaceChildren(...settings.map(([name, value]) =>
    made("div", {}, made("dt", {}, name), made("dd", {}, value))));
}

/** Set a text only where it changed, for screen readers read what changes. */
function setText(id, text) {
  const element = byId(id);
  if (element.textContent !== text) element.textContent = text;
}

/** The table of several runs. */
function drawTable() {
  const all = [...runs.values()];
  byId("several").hidden = all.length < 2;
  if (all.length < 2) return;
  const { names, values } = differences(all);
  const rows = all.map((run, i) => {
    const best = bestOf(run);
    return { run, cells: [stateOf(run).words, `${asCount(epochsDone(run))} of ${asCount(run.begin?.epochs)}`,
      asPercent(numberOr(best?.val_accuracy)), best ? asCount(Number(best.epoch)) : NONE,
      ...values[i]] };
  });
  const key = JSON.stringify([names, chosenRun().id, rows.map(({ run, cells }) => [run.id, nameOf(run), cells])]);
  if (key === chosen.drawnAs) return;
  chosen.drawnAs = key;
  const focused = document.activeElement?.closest("#several") ? document.activeElement.getAttribute("value") : null;
  byId("several-head").replaceChildren(made("th", { scope: "col" }, "run"),
    ...["state", "epochs", "best accuracy", "after epoch", ...names].map((name) => made("th", { scope: "col" }, name)));
  byId("several-rows").replaceChildren(...rows.map(({ run, cells }) => made("tr", {}, made("th", { scope: "row" },
    made("label", {}, made("input", { type: "radio", name: "run", value: run.id, checked: run === chosenRun(),
      onchange: () => choose(run.id) }), sampleOf({ look: `${lookOf(run)} thick` }), nameOf(run))),
  ...cells.map((text) => made("td", {}, text)))));
  if (focused !== null) {
    const inputs = /** @type {NodeListOf<HTMLInputElement>} */ (document.querySelectorAll("#several input"));
    [...inputs].find((input) => input.value === focused)?.focus({ preventScroll: true });
  }
}

function choose(id) {
  chosen.id = id;
  redraw();
}
