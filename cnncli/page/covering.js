// Covering parts of the picture: dragging over it greys what is there, and the answer is computed anew. What it was that
// the answer came from shows by its going.
"use strict";

const ARROWS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }; // rows and columns
const BRUSH = Math.max(1, 0.08 * Math.max(...program.input.shape.slice(0, 2))); // pixels around the pointer
const seen = byId("seen");
const whole = byId("whole");
let covered = null, uncovered = null, busy = false, again = false;

onAnswer((found) => {
  if (found.covered) return;
  uncovered = preparedBytes(found.input);
  covered = uncovered.slice();
  whole.hidden = true;
});

function cover(row, column) {
  const { shape: [height, width, channels], mean } = program.input;
  for (let r = Math.max(0, Math.floor(row - BRUSH)); r <= Math.min(height - 1, row + BRUSH); r++) {
    for (let s = Math.max(0, Math.floor(column - BRUSH)); s <= Math.min(width - 1, column + BRUSH); s++) {
      if ((r - row) ** 2 + (s - column) ** 2 > BRUSH ** 2) continue;
      for (let k = 0; k < channels; k++) covered[(r * width + s) * channels + k] = Math.round(255 * mean[k]);
    }
  }
  judgeCovered();
}

/** Judge what is left; while that lasts, whatever more is covered waits for the next time. */
async function judgeCovered() {
  again = busy;
  if (busy) return;
  busy = true;
  const found = await ask("judgePrepared", covered);
  whole.hidden = false;
  await showAnswer({ ...found, covered: true });
  busy = false;
  if (again) judgeCovered();
}

/** Say what a pixel's value is, from 0 to 255, and what number the network gets for it. */
function tellPixel(row, column) {
  const { shape, mean, std } = program.input, [, width, channels] = shape;
  const [r, s] = [row, column].map((at, i) => Math.max(0, Math.min(shape[i] - 1, Math.round(at))));
  const numbers = input.slice((r * width + s) * channels, (r * width + s + 1) * channels), bytes = preparedBytes(numbers);
  byId("pixel").textContent = `Row ${r}, column ${s}: ${channels === 1 ? bytes[0] : `red ${bytes[0]}, green ${bytes[1]}, blue ${bytes[2]}`}. ` +
    `The network gets${channels === 1 ? "" : " for red"} (${bytes[0]} / 255 \u2212 ${shown(mean[0])}) / ${shown(std[0])} = ${shown(numbers[0])}.`;
}

onAnswer(() => tellPixel(program.input.shape[0] / 2, program.input.shape[1] / 2));
seen.addEventListener("pointermove", (event) => { if (input) tellPixel(...placeAt(event)); });

/** Where the pointer is: row and column, which may lie between pixels.
 * @returns {[number, number]} */
function placeAt({ clientX, clientY }) {
  const box = seen.getBoundingClientRect(), [height, width] = program.input.shape;
  return [(clientY - box.top) / box.height * height - 0.5, (clientX - box.left) / box.width * width - 0.5];
}

function coverAt(event) {
  if (!covered || event.buttons !== 1) return;
  event.preventDefault();
  cover(...placeAt(event));
}

seen.addEventListener("pointerdown", (event) => {
  seen.setPointerCapture(event.pointerId);
  coverAt(event);
});
seen.addEventListener("pointermove", coverAt);
// By keyboard a frame is moved over the picture with the arrow keys, and Enter covers what is in it.
const hand = { row: program.input.shape[0] / 2, column: program.input.shape[1] / 2 };
seen.addEventListener("keydown", (event) => {
  const [down, right] = ARROWS[event.key] ?? [0, 0];
  if (!covered || !(down || right || event.key === "Enter")) return;
  event.preventDefault();
  hand.row = Math.max(0, Math.min(program.input.shape[0] - 1, hand.row + down * BRUSH));
  hand.column = Math.max(0, Math.min(program.input.shape[1] - 1, hand.column + right * BRUSH));
  if (event.key === "Enter") cover(hand.row, hand.column);
  else frame();
});

function frame() {
  const context = seen.getContext("2d");
  drawInput(seen, input);
  tellPixel(hand.row, hand.column);
  context.strokeStyle = "#e8590c";
  context.lineWidth = Math.max(1, program.input.shape[1] / 112);
  context.beginPath();
  context.arc(hand.column + 0.5, hand.row + 0.5, BRUSH, 0, 2 * Math.PI);
  context.stroke();
}

whole.addEventListener("click", () => {
  covered = uncovered.slice();
  seen.focus({ preventScroll: true });
  judgeCovered().then(() => { whole.hidden = true; });
});
