// Drawing a picture, for networks whose training pictures are grey strokes on an even ground: what is drawn is scaled and
// moved as theirs are, or the network would meet something that it has never seen.
"use strict";

const SIDE = 280, PEN = 0.07, STEP = 10; // pixels of the board, the pen's width as a part of it, pixels of a step by key
const board = byId("board");

if (given.drawing) {
  const { ground, ink, extent, centre } = given.drawing, dialogOf = byId("draw");
  const tone = (part) => `rgb(${Array(3).fill(Math.round(part)).join(" ")})`;
  const context = board.getContext("2d", { willReadFrequently: true });
  const clear = () => {
    context.fillStyle = tone(ground);
    context.fillRect(0, 0, SIDE, SIDE);
  };
  board.width = board.height = SIDE;
  Object.assign(context, { strokeStyle: tone(ink), lineWidth: PEN * SIDE, lineCap: "round", lineJoin: "round" });
  clear();
  let last = null;
  const at = (event) => {
    const box = board.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width * SIDE, (event.clientY - box.top) / box.height * SIDE];
  };
  board.addEventListener("pointerdown", (event) => {
    board.setPointerCapture(event.pointerId);
    last = at(event);
    stroke(last);
  });
  board.addEventListener("pointermove", (event) => { if (event.buttons === 1 && last) stroke(at(event)); });
  board.addEventListener("pointerup", () => {
    last = null;
    judgeDrawing();
  });

  // By keyboard: the arrow keys move the pen, and with Shift it draws.
  const pen = byId("pen"), place = [SIDE / 2, SIDE / 2];
  board.addEventListener("keydown", (event) => {
    const way = ARROWS[event.key];
    if (!way) return;
    event.preventDefault();
    last = [...place];
    place.forEach((one, i) => { place[i] = Math.max(0, Math.min(SIDE, one + way[1 - i] * STEP)); });
    pen.style.left = `${place[0]}px`;
    pen.style.top = `${place[1]}px`;
    pen.hidden = false;
    if (event.shiftKey) {
      stroke([...place]);
      judgeDrawing();
    }
  });
  board.addEventListener("blur", () => { pen.hidden = true; });

  function stroke(to) {
    context.beginPath();
    context.moveTo(...last);
    context.lineTo(...to);
    context.stroke();
    last = to;
  }

  /** Judge what is on the board, as large and where the training pictures have what they show. */
  async function judgeDrawing() {
    const data = context.getImageData(0, 0, SIDE, SIDE).data;
    let top = SIDE, left = SIDE, bottom = -1, right = -1, mass = 0, row = 0, column = 0;
    for (let i = 0; i < SIDE * SIDE; i++) {
      const strength = Math.abs(data[4 * i] - ground), r = Math.floor(i / SIDE), s = i % SIDE;
      if (strength < 64) continue;
      [top, left, bottom, right] = [Math.min(top, r), Math.min(left, s), Math.max(bottom, r), Math.max(right, s)];
      [mass, row, column] = [mass + strength, row + strength * r, column + strength * s];
    }
    if (!mass) return;
    const scale = extent * SIDE / Math.max(bottom - top + 1, right - left + 1), placed = document.createElement("canvas");
    placed.width = placed.height = SIDE;
    const onto = placed.getContext("2d", { willReadFrequently: true });
    onto.fillStyle = tone(ground);
    onto.fillRect(0, 0, SIDE, SIDE);
    onto.imageSmoothingQuality = "high";
    // The middle of its mass comes to where theirs is, as far as nothing of it leaves the picture.
    const shift = (middle, mean, first, last) =>
      Math.max(-first * scale, Math.min(SIDE - (last + 1) * scale, middle * SIDE - (mean + 0.5) * scale));
    onto.drawImage(board, shift(centre[1], column / mass, left, right), shift(centre[0], row / mass, top, bottom),
      SIDE * scale, SIDE * scale);
    await judgeBitmap(placed, "your drawing");
  }

  const open = byId("drawer");
  open.hidden = false;
  open.addEventListener("click", () => {
    stop();
    dialogOf.show();
  });
  dialogOf.addEventListener("keydown", (event) => { if (event.key === "Escape") dialogOf.close(); });
  dialogOf.addEventListener("close", () => stream || open.focus());
  byId("clear").addEventListener("click", clear);
  dialogOf.querySelector(".close").addEventListener("click", () => dialogOf.close());
}
