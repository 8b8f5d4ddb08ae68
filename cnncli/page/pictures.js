// The pictures that the network judges: those of the page, and what is chosen, dropped or pasted.
"use strict";

/** @type {ImageBitmapOptions} */
const OPTIONS = { colorSpaceConversion: "none", premultiplyAlpha: "none", imageOrientation: "from-image" };
const say = (words) => { byId("said").textContent = words; };

/** A picture's pixels at its full size, on white: [bytes, height, width]. */
function pixelsOf(bitmap) {
  const canvas = document.createElement("canvas");
  canvas.width = bitmap.width;
  canvas.height = bitmap.height;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.fillStyle = "#fff";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(bitmap, 0, 0);
  return [context.getImageData(0, 0, canvas.width, canvas.height).data, canvas.height, canvas.width];
}

/** Judge a file, and show the answer; what is no picture is said. */
async function judgeFile(file, name) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, OPTIONS);
  } catch {
    say(`${name} is no picture that this browser can read.`);
    return;
  }
  await judgeBitmap(bitmap, name);
}

async function judgeBitmap(bitmap, name) {
  const [bytes, height, width] = pixelsOf(bitmap);
  await ready;
  try {
    showAnswer(await ask("judge", bytes, height, width));
    say(`${name}, ${width} x ${height} pixels.`);
  } catch (error) {
    say(`${name}: ${error.message}.`);
  }
}

function firstFile(transfer) {
  return [...transfer.items].find((item) => item.kind === "file")?.getAsFile();
}

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
});
addEventListener("paste", (event) => {
  const file = firstFile(event.clipboardData);
  if (file) judgeFile(file, "the picture pasted");
});

for (const button of byId("samples")?.querySelectorAll("button") ?? []) {
  button.addEventListener("click", () => {
    const picture = button.querySelector("img");
    for (const other of byId("samples").querySelectorAll("button")) other.setAttribute("aria-pressed", String(other === button));
    createImageBitmap(picture, OPTIONS).then((bitmap) => judgeBitmap(bitmap, button.dataset.name));
  });
}
