// Pictures on canvases: what the network sees, and the maps of its layers.
"use strict";

const BELOW = [33, 102, 172], ABOVE = [178, 24, 43]; // blue and red, which every kind of colour sight tells apart

/** The colour of a number: paper at 0, red above, blue below, full at `scale`. */
function colourOf(value, scale) {
  const part = scale > 0 ? Math.min(1, Math.abs(value) / scale) : 0, end = value < 0 ? BELOW : ABOVE;
  return end.map((channel) => Math.round(247 + (channel - 247) * part));
}

/** Show a canvas so large that its longer side has so many pixels. */
function fit(canvas, side) {
  canvas.style.width = `${Math.max(4, side * Math.min(1, canvas.width / canvas.height))}px`;
  canvas.style.height = `${Math.max(4, side * Math.min(1, canvas.height / canvas.width))}px`;
}

/** Draw one channel of values (height, width, channels). */
function drawMap(canvas, values, [height, width, channels], channel, scale) {
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d"), image = context.createImageData(width, height);
  for (let i = 0; i < height * width; i++) {
    const [red, green, blue] = colourOf(values[i * channels + channel], scale);
    image.data.set([red, green, blue, 255], 4 * i);
  }
  context.putImageData(image, 0, 0);
}

/** Draw a map (height, width) whose colours cover what is below them as far as they are strong. */
function drawOverlay(canvas, values, [height, width], scale) {
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d"), image = context.createImageData(width, height);
  for (let i = 0; i < height * width; i++) {
    image.data.set([...(values[i] < 0 ? BELOW : ABOVE), 230 * Math.abs(values[i]) / (scale || 1)], 4 * i);
  }
  context.putImageData(image, 0, 0);
}

/** Draw the network's input as a picture again. */
function drawInput(canvas, values) {
  const { shape: [height, width, channels], mean, std } = program.input;
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d"), image = context.createImageData(width, height);
  for (let i = 0; i < height * width; i++) {
    for (let k = 0; k < 3; k++) {
      const c = k % channels;
      image.data[4 * i + k] = Math.round(255 * (values[i * channels + c] * std[c] + mean[c]));
    }
    image.data[4 * i + 3] = 255;
  }
  context.putImageData(image, 0, 0);
}

/** The largest distance from 0. */
const reachOf = (values) => values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
