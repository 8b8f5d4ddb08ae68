// Where it comes together: messages are taken as they come, and the page is drawn anew at most five times a second,
// less often where drawing takes long, and not at all while nobody sees it.
"use strict";

const PAUSE = 200; // milliseconds between drawings
const SECOND = 1000;
const drawing = { timer: 0, last: -PAUSE, pause: PAUSE };

function drawAll() {
  drawing.timer = 0;
  if (document.hidden) return;
  const start = performance.now();
  byId("waiting").hidden = runs.size > 0;
  byId("watched").hidden = !runs.size;
  for (const draw of [drawHeader, drawStopping, drawCurves, drawExamples, drawLayers]) draw();
  drawing.last = performance.now();
  drawing.pause = Math.max(PAUSE, 4 * (drawing.last - start));
}

/** Have the page drawn soon. */
function redraw() {
  const wait = drawing.pause - (performance.now() - drawing.last);
  if (!drawing.timer) drawing.timer = setTimeout(drawAll, Math.max(0, wait));
}

function sayLost(lost) {
  connection.lost = lost;
  const ended = runs.size > 0 && [...runs.values()].every((run) => run.end);
  setText("connection", !lost ? "" : ended
    ? "The training has ended, and so has the connection. \"cnn watch\" with the run's folder shows it again."
    : "The connection is lost. The page tries again, and shows what came before.");
}

document.addEventListener("visibilitychange", redraw);
new ResizeObserver(redraw).observe(document.body);
setInterval(redraw, SECOND); // for times, and for what is not heard of
connect((message) => {
  takeMessage(message);
  redraw();
}, (lost) => {
  sayLost(lost);
  redraw();
});
