// What the page was given, and the worker that computes with it.
"use strict";

// The page as it is before anything changes it, without what is large, which stays where it is: saving.js writes it anew.
const blank = document.implementation.createHTMLDocument();
blank.replaceChild(blank.importNode(document.documentElement, true), blank.documentElement);
for (const id of ["given", "engine", "weights"]) blank.getElementById(id).textContent = "";
blank.getElementById("samples")?.remove();

function fromBase64(encoded) {
  const text = atob(encoded), bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

/** Bytes that lie in the page as base64. */
const bytesOf = (id) => fromBase64(byId(id).textContent.trim());

const given = JSON.parse(byId("given").textContent);
const program = given.program;
const called = (name) => name === "input" ? "the image" : name;
const lastLayer = program.layers[program.layers.length - 1];
const layerOf = new Map(program.layers.map((layer) => [layer.name, layer]));
const shapeOf = (name) => name === "input" ? program.input.shape : layerOf.get(name).shape;

const source = `"use strict";${cameFrom}\n(${worker})();`;
const engine = new Worker(URL.createObjectURL(new Blob([source], { type: "text/javascript" })));
const waiting = new Map();
let asked = 0;

engine.onmessage = ({ data: [number, result, reason] }) => {
  const { resolve, reject } = waiting.get(number);
  waiting.delete(number);
  if (reason) reject(new Error(reason));
  else resolve(result);
};

engine.onerror = ({ message }) => {
  for (const { reject } of waiting.values()) reject(new Error(message));
};
document.documentElement.className = "runs"; // until then the page says what it takes

/** Ask the worker; a promise of its answer. */
function ask(what, ...about) {
  asked += 1;
  engine.postMessage([asked, what, ...about]);
  return new Promise((resolve, reject) => waiting.set(asked, { resolve, reject }));
}

const ready = ask("load", bytesOf("engine"), program, bytesOf("weights").buffer);
