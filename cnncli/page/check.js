// Whether this browser says what `cnn predict` says: pictures whose probabilities are known are judged on opening.
"use strict";

async function check() {
  const footer = byId("check");
  try {
    await ready;
    let worst = 0, known = 0, found = null;
    for (const { pixels, probabilities } of given.golden) {
      found = await ask("judgePrepared", fromBase64(pixels));
      known += probabilities ? 1 : 0;
      probabilities?.forEach((wanted, i) => { worst = Math.max(worst, Math.abs(wanted - found.probabilities[i])); });
    }
    const agrees = worst <= given.tolerance;
    footer.className = !known ? "" : agrees ? "agrees" : "differs";
    footer.textContent = !known
      ? "This page was saved after it had learnt classes. There is no answer of cnn predict to compare it with."
      : agrees ? `This page gives the same answers as cnn predict: on ${times(known, "image")} no probability differs by ` +
        `more than ${worst.toExponential(1)}.`
      : `This page does NOT give the same answers as cnn predict: a probability differs by ${worst.toPrecision(2)}.`;
    const first = byId("samples")?.querySelector("button");
    if (first) first.click();
    else if (found) {
      await showAnswer(found);
      say("This image was made up to check the page. Choose one of your own.");
    }
  } catch (error) {
    document.documentElement.className = "";
    byId("unable").append(` The browser says: ${error.message}`);
  }
}

check();
