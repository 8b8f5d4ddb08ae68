// The layers: sizes of weights and gradients, how far a step moves the weights, dead ReLUs, each with its history and
// in words; and the first filters.
"use strict";

const HARDLY = 1e-5, JUMPS = 1e-1, HALF = 0.5; // of update to weights, and of dead channels
const COLUMNS = [
  { name: "weights", asText: asNumber, spark: {} }, { name: "gradients", asText: asNumber, spark: { log: true } },
  { name: "update", asText: asPower, spark: { log: true, low: 1e-6, high: 1 } },
  { name: "dead", asText: (share) => asPercent(share, 0), spark: { low: 0, high: 1 } }];
const layerTable = { drawnAs: "", names: "", rows: [] };

/** A ratio with its power of ten, as "1.2e-3". */
function asPower(value) {
  return value === 0 ? "0" : value.toExponential(1).replace("-", "\u2212");
}

/** How many times as high the learning rate once was as it is now: it is meant to fall, and updates with it. */
function fallen(looks) {
  const rates = looks.map(({ rate }) => rate).filter((rate) => rate > 0), now = looks.at(-1)?.rate;
  return now === 0 ? Infinity : now > 0 ? rates.reduce((most, rate) => Math.max(most, rate), 0) / now : 1;
}

/** In words whether a layer is healthy, and whether that is a cause for doubt. It hardly learns where its update would
 * be too small at the highest learning rate, `times` that of now. */
function healthOf({ gradients, update, dead }, times) {
  const said = [];
  if (update === 0 && !isNumber(gradients)) return { words: "frozen", doubt: false };
  if (isNumber(update)) {
    if (update === 0 && times < Infinity) said.push("does not learn");
    else if (update * times < HARDLY) said.push("hardly learns");
    if (update > JUMPS) said.push("jumps");
  }
  if (isNumber(dead) && dead > HALF) said.push(dead === 1 ? "all dead" : "mostly dead");
  if (said.length) return { words: said.join(", "), doubt: true };
  return { words: [gradients, update, dead].some(isNumber) ? "healthy" : "", doubt: false };
}

/** The rows of the table: each layer of which there are numbers, and the ReLU behind it with it. */
function rowsOf(run) {
  const last = run.looks.at(-1)?.layers ?? {}, rows = [];
  const kinds = new Map((run.begin?.layers ?? []).map((layer) => [layer.name, layer]));
  for (const name of new Set([...kinds.keys(), ...Object.keys(last)])) {
    const has = COLUMNS.filter((column) => isNumber(last[name]?.[column.name])).map((column) => column.name);
    const before = rows.at(-1);
    if (has.join() === "dead" && before && !before.rectified && kinds.has(name)) before.rectified = name;
    else if (has.length) rows.push({ name, rectified: has.includes("dead") ? name : null, ...kinds.get(name) });
  }
  return rows;
}

/** What a look says of a row. */
const seenOf = ({ name, rectified }, look) => ({ ...look?.layers[name], dead: look?.layers[rectified]?.dead });

function buildLayers(rows) {
  byId("layer-rows").replaceChildren(...rows.map((row) => {
    row.cells = COLUMNS.map(() => ({ text: made("span"), line: sparkline() }));
    row.health = made("td", { class: "health" });
    const about = [row.kind, row.parameters ? asCount(row.parameters) : ""].filter(Boolean).join(", ");
    row.line = made("tr", {}, made("th", { scope: "row" }, ...breakable(row.name), " ",
      made("span", { class: "faint" }, about)),
    row.health,
    ...row.cells.map(({ text, line }, i) => made("td", { class: `number ${COLUMNS[i].name}` }, text, line)));
    return row.line;
  }));
}

function drawLayers() {
  const run = chosenRun(), key = run && `${run.id} ${run.lookLines} ${run.training}`;
  if (!run || key === layerTable.drawnAs) return;
  layerTable.drawnAs = key;
  const rows = rowsOf(run), names = JSON.stringify([run.id, rows]);
  if (layerTable.names !== names) {
    layerTable.names = names;
    layerTable.rows = rows;
    buildLayers(rows);
  }
  const looks = sampled(run.looks), seen = layerTable.rows.map((row) => seenOf(row, looks.at(-1)));
  const times = fallen(run.looks);
  let told = false, doubts = 0;
  for (const { name } of COLUMNS) {
    const some = seen.some((one) => isNumber(one[name]));
    byId("layer-table").classList.toggle(`no-${name}`, !some);
    told ||= some && name !== "weights";
  }
  byId("layer-table").classList.toggle("no-health", !told);
  layerTable.rows.forEach((row, i) => {
    COLUMNS.forEach(({ name, asText, spark }, k) => {
      row.cells[k].text.textContent = isNumber(seen[i][name]) ? asText(seen[i][name]) : "";
      drawSpark(row.cells[k].line, looks.map((look) => seenOf(row, look)[name]), asText, spark);
    });
    const { words, doubt } = healthOf(seen[i], times);
    row.health.textContent = `${doubt ? "\u26a0 " : words ? "\u2713 " : ""}${words}`;
    row.line.classList.toggle("doubt", doubt);
    doubts += Number(doubt);
  });
  byId("layer-table").hidden = !rows.length;
  sayOfLayers(run, told, doubts);
  drawFilters(run);
}

/** In a sentence: how many layers give cause for doubt, or why nothing is known of them. */
function sayOfLayers(run, told, doubts) {
  const all = layerTable.rows.length, give = doubts === 1 ? "gives" : "give";
  setText("layers-health", !told ? "" : doubts ? `${doubts} of ${plural(all, "layer")} ${give} cause for doubt.`
    : "All layers are healthy.");
  const lack = () => !all && isRecorded(run) ? unseen(run) : lacks("gradients and updates of the layers");
  setText("layers-lack", told ? "" : lack());
}

/** A name that may go to the next line behind its dots and lines. */
const breakable = (name) => name.split(/(?<=[._])/).flatMap((part) => [part, made("wbr")]);

function drawFilters(run) {
  const image = byId("filters"), found = run.filters, picture = String(found?.picture ?? "");
  byId("filters-part").hidden = !picture.startsWith("data:image/");
  if (byId("filters-part").hidden || image.getAttribute("src") === picture) return;
  image.src = picture;
  image.alt = `the filters of ${found.layer}`;
  setText("filters-said", `Each square is a filter of ${found.layer}, the first convolution, after step ` +
    `${asCount(found.step)}. Of filters of 5 x 5 pixels and more, those that have learnt something show edges and spots. ` +
    `Filters of 3 x 3 pixels are too small to show that.`);
}
byId("filters").addEventListener("load", ({ target }) => {
  target.style.width = `${target.naturalWidth * Math.max(1, Math.round(480 / target.naturalWidth))}px`;
});
