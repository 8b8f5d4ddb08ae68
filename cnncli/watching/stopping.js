// The button that stops the training: it asks once, then says what happened.
"use strict";

const STOPS = "The training stops after this step, and is saved \u2026";
const stopping = { asked: false, said: "" };

function drawStopping() {
  const run = chosenRun(), can = Boolean(run?.canStop && run.begin && !run.end);
  byId("stop-part").hidden = !can && !stopping.said;
  byId("stop").hidden = !can || stopping.asked || Boolean(stopping.said);
  byId("stop-sure").hidden = !can || !stopping.asked;
  if (run?.end && stopping.said) {
    stopping.said = run.end.cause === "finished" ? "The training had finished before it could be stopped."
      : "The training has stopped and everything is saved. Its terminal shows the command that continues it.";
  }
  setText("stop-said", stopping.said === STOPS && !run.end && connection.lost
    ? "The connection ended while the training stopped. Its terminal shows the command that continues it." : stopping.said);
}

/** Ask the server, which answers when the training has heard it; it stops after the step it is at. */
async function stopTraining() {
  Object.assign(stopping, { asked: false, said: STOPS });
  redraw();
  try {
    const token = location.pathname.split("/")[1];
    const answer = await fetch("stop", { method: "POST", headers: { "X-Token": token } });
    if (!answer.ok) stopping.said = await answer.text();
  } catch {
    stopping.said = "The training could not be reached. Press Ctrl-C in its terminal instead.";
  }
  redraw();
}

byId("stop").addEventListener("click", () => {
  stopping.asked = true;
  drawStopping();
  byId("stop-no").focus();
});
byId("stop-yes").addEventListener("click", stopTraining);
function goOn() {
  stopping.asked = false;
  drawStopping();
  byId("stop").focus();
}
byId("stop-no").addEventListener("click", goOn);
byId("stop-sure").addEventListener("keydown", (event) => { if (event.key === "Escape") goOn(); });
