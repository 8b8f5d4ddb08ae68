// The camera, where there is one: its picture is judged again and again. It never leaves the page, which may ask for nothing.
"use strict";

const cameraButton = byId("camera");
const video = document.createElement("video");
const CAMERA = "the camera";
let stream = null;

cameraButton.hidden = !navigator.mediaDevices?.getUserMedia;
cameraButton.addEventListener("click", async () => {
  if (stream) {
    stop();
    return;
  }
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
  } catch (error) {
    say(error.name === "NotAllowedError" ? "The browser does not allow this page to use a camera." : "No camera was found.");
    return;
  }
  byId("draw").close();
  cameraButton.focus(); // not the button of the board, which has closed
  video.muted = video.playsInline = true;
  video.srcObject = stream;
  await video.play();
  cameraButton.textContent = "Stop the camera";
  look();
});

async function look() {
  while (stream) {
    const bitmap = await createImageBitmap(video);
    if (stream) await judgeBitmap(bitmap, CAMERA);
    bitmap.close();
    await new Promise(requestAnimationFrame);
  }
}

function stop() {
  for (const track of stream?.getTracks() ?? []) track.stop();
  stream = null;
  cameraButton.textContent = "Use the camera";
}
