// The pictures that the network judges: those of the page, and what is chosen, dropped or pasted.
"use strict";

/** @type {ImageBitmapOptions} */
const OPTIONS = { colorSpaceConversion: "none", premultiplyAlpha: "none", imageOrientation: "from-image" };
const MOST_PIXELS = 100e6; // as cnn predict takes
const say = (words) => { byId("said").textContent = words; };

/** A picture's pixels at its full size, on white: [bytes, height, width]. */
function pixelsOf(bitmap) {
  const { width, height } = bitmap;
  if (width * height > MOST_PIXELS) throw new Error(`its ${width} x ${height} pixels are more than 100 megapixels`);
  const canvas = made("canvas", { width, height }), context = canvas.getContext("2d", { willReadFrequently: true });
  context.fillStyle = "#fff";
  context.fillRect(0, 0, width, height);
  context.drawImage(bitmap, 0, 0);
  return [context.getImageData(0, 0, width, height).data, height, width];
}

/** What a file shows; null where that is no picture, which is said. */
async function pictureIn(file, name) {
  try {
    return await createImageBitmap(file, OPTIONS);
  } catch {
    say(`${name} is no image that this browser can read; choose a PNG, JPEG, WebP or GIF file.`);
    return null;
  }
}

async function judgeFile(file, name) {
  const bitmap = await pictureIn(file, name);
  if (bitmap) await judgeBitmap(bitmap, name);
}

/** Judge a picture; of an example, the button that shows it. */
async function judgeBitmap(bitmap, name, button = null) {
  if (name !== CAMERA) stop(); // or its next picture would take the place of this one
  try {
    const [bytes, height, width] = pixelsOf(bitmap);
    await showAnswer(await ask("judge", bytes, height, width));
    byId("label").hidden = !button?.dataset.label;
    byId("label").textContent = `Its label is ${button?.dataset.label}.`;
    for (const other of byId("samples")?.querySelectorAll("button") ?? []) other.setAttribute("aria-pressed", String(other === button));
    say(`${name}, ${width} x ${height} pixels.`);
  } catch (error) {
    say(`${name} cannot be judged: ${error.message}.`);
  }
}

const firstFile = (transfer) => [...transfer.items].find((item) => item.kind === "file")?.getAsFile();

const chooser = byId("chooser");
chooser.addEventListener("change", () => {
  if (chooser.files.length) judgeFile(chooser.files[0], chooser.files[0].name);
  chooser.value = "";
});
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", (event) => {
  event.preventDefault();
  const file = firstFile(event.dataTransfer);
  if (file) judgeFile(file, file.name);
  else say("This is no image file. Drop an image file.");
});
addEventListener("paste", (event) => {
  const file = firstFile(event.clipboardData);
  if (file) judgeFile(file, "the pasted image");
});

for (const button of byId("samples")?.querySelectorAll("button") ?? []) {
  button.addEventListener("click", () => {
    const picture = button.querySelector("img");
    createImageBitmap(picture, OPTIONS).then((bitmap) => judgeBitmap(bitmap, button.dataset.name, button));
  });
}
