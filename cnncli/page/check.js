// Whether this browser says what `cnn predict` says: pictures whose probabilities are known are judged on opening.
"use strict";

async function check() {
  const footer = byId("check");
  try {
    await ready;
    let worst = 0, known = 0, found = null;
    for (const { pixels, probabilities } of given.golden) {
      found = await ask("judgePrepared", Uint8Array.from(atob(pixels), (letter) => letter.charCodeAt(0)));
      known += probabilities ? 1 : 0;
      probabilities?.forEach((wanted, i) => { worst = Math.max(worst, Math.abs(wanted - found.probabilities[i])); });
    }
    const agrees = worst <= given.tolerance;
    footer.className = !known ? "" : agrees ? "agrees" : "differs";
    footer.textContent = !known ? "This page was saved after learning in a page: what it should say, nobody else knows."
      : agrees ? `This page says what cnn predict says: on ${times(known, "picture")} no probability differs by more than ` +
        `${worst.toExponential(1)}.`
      : `This page does NOT say what cnn predict says: a probability differs by ${worst.toPrecision(2)}.`;
    const first = byId("samples")?.querySelector("button");
    if (first) first.click();
    else if (found) {
      await showAnswer(found);
      say("This picture was made up to check the page with. Give it one of your own.");
    }
  } catch (error) {
    document.documentElement.className = "";
    byId("unable").append(` It says: ${error.message}`);
  }
}

check();
