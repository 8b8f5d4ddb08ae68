// Pictures on canvases: what the network sees, and the maps of its layers.
"use strict";

/** The colour of a number in all maps: white at 0, red above, blue below, the darkest at `scale`. */
function colourOf(value, scale) {
  const { colours } = given, at = 4 + 4 * Math.max(-1, Math.min(1, value / scale || 0)), i = Math.min(7, Math.floor(at));
  return colours[i].map((channel, c) => Math.round(channel + (colours[i + 1][c] - channel) * (at - i)));
}

/** Show a canvas so large that its longer side has so many pixels. */
function fit(canvas, side) {
  canvas.style.width = `${Math.max(4, side * Math.min(1, canvas.width / canvas.height))}px`;
  canvas.style.height = `${Math.max(4, side * Math.min(1, canvas.height / canvas.width))}px`;
}

/** Give a canvas a size, and each of its pixels a colour: pixelOf(i) is [red, green, blue, opacity]. */
function paint(canvas, [height, width], pixelOf) {
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d"), image = context.createImageData(width, height);
  for (let i = 0; i < height * width; i++) image.data.set(pixelOf(i), 4 * i);
  context.putImageData(image, 0, 0);
}

/** Draw one channel of values (height, width, channels). */
function drawMap(canvas, values, shape, channel, scale) {
  paint(canvas, shape, (i) => [...colourOf(values[i * shape[2] + channel], scale), 255]);
}

/** Draw a map (height, width) whose colours cover what is below them as far as they are strong. */
function drawOverlay(canvas, values, shape, scale) {
  paint(canvas, shape, (i) => [...colourOf(values[i], scale), 230 * Math.abs(values[i]) / (scale || 1)]);
}

/** Prepared numbers as the bytes that they were. */
function preparedBytes(values) {
  const { shape: [, , channels], mean, std } = program.input;
  return Uint8Array.from(values, (value, i) => Math.round(255 * (value * std[i % channels] + mean[i % channels])));
}

/** Draw the network's input as a picture again. */
function drawInput(canvas, values) {
  const bytes = preparedBytes(values), { shape } = program.input, colours = shape[2] === 1 ? [0, 0, 0] : [0, 1, 2];
  paint(canvas, shape, (i) => [...colours.map((colour) => bytes[i * shape[2] + colour]), 255]);
}

/** The largest distance from 0. */
const reachOf = (values) => values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
