// Whether this browser says what `cnn predict` says: pictures whose probabilities are known are judged on opening.
"use strict";

async function check() {
  const footer = byId("check");
  try {
    await ready;
    let worst = 0;
    for (const one of given.golden) {
      const pixels = Uint8Array.from(atob(one.pixels), (letter) => letter.charCodeAt(0));
      const { probabilities } = await ask("judgePrepared", pixels);
      one.probabilities.forEach((wanted, i) => { worst = Math.max(worst, Math.abs(wanted - probabilities[i])); });
    }
    if (!given.golden.length) {
      footer.textContent = "This page was saved after learning in a page: what it should say, nobody else knows.";
      return;
    }
    const agrees = worst <= given.tolerance;
    footer.textContent = agrees ? `This page says what cnn predict says: on ${given.golden.length} pictures no ` +
      `probability differs by more than ${worst.toExponential(1)}.`
      : `This page does NOT say what cnn predict says: a probability differs by ${worst.toPrecision(2)}.`;
    footer.className = agrees ? "agrees" : "differs";
  } catch (error) {
    footer.textContent = `This browser cannot run the network (${error.message}); a newer one can.`;
    footer.className = "differs";
  }
  byId("samples")?.querySelector("button").click();
}

check();
