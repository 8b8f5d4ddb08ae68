// Saving what was learnt in the page: the page itself, and a model file that `cnn predict` reads.
"use strict";

const asBase64 = (bytes) => {
  let text = "";
  for (let i = 0; i < bytes.length; i += 32768) text += String.fromCharCode(...bytes.subarray(i, i + 32768));
  return btoa(text);
};
const inScript = (value) => JSON.stringify(value).replace(/[<>&]/g,
  (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`);

/** Arrays of bytes one after the other, of that length in all. */
function joined(pieces, length) {
  const all = new Uint8Array(length);
  let at = 0;
  for (const piece of pieces) {
    all.set(piece, at);
    at += piece.length;
  }
  return all;
}

function download(parts, name, type) {
  const link = made("a", { href: URL.createObjectURL(new Blob(parts, { type })), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

/** The page with the classes and the last layer as they are now. Its check goes: of these nobody else has said anything. */
async function savedPage() {
  const { weights, bias } = await ask("head"), stored = bytesOf("weights"), constants = [], pieces = [];
  const old = head[5] === null ? [...program.constants, { name: `${head[0]}.bias` }] : program.constants;
  const places = [Number(head[4].slice(1)), head[5] === null ? old.length - 1 : Number(head[5].slice(1))];
  let end = 0;
  old.forEach((one, i) => {
    const own = [weights, bias][places.indexOf(i)];
    const bytes = own ? new Uint8Array(own.buffer) : stored.subarray(one.at, one.at + one.count * (one.half ? 2 : 4));
    const padding = new Uint8Array(-end & 15);
    pieces.push(padding, bytes);
    constants.push({ ...one, at: end + padding.length, ...(own ? { count: own.length, half: false } : {}) });
    end += padding.length + bytes.length;
  });
  const calls = program.calls.map((call) => [...call]);
  calls[calls.length - 1][5] = `#${places[1]}`;
  const floats = lastLayer.at + Math.max(program.floats - lastLayer.at, lastLayer.shape[0]);
  const all = joined(pieces, end);
  const units = given.units && { ...given.units, names: unitNames }, golden = given.golden.map(({ pixels }) => ({ pixels }));
  const saved = { ...given, units, golden, program: { ...program, calls, constants, floats } };
  const texts = { given: inScript(saved), engine: byId("engine").textContent, weights: asBase64(all) };
  for (const [id, text] of Object.entries(texts)) blank.getElementById(id).textContent = text;
  const page = `<!DOCTYPE html>\n${blank.documentElement.outerHTML}`;
  for (const id of Object.keys(texts)) blank.getElementById(id).textContent = "";
  return page;
}

/** The bytes of a model file, as cnncli/model/modelfile.py reads them. */
async function savedModel() {
  const { metadata, network, arrays } = program.file, learnt = await ask("head");
  const [classes, inputs] = [program.classes.length, head[3]], contents = [], table = {};
  let end = 0;
  for (const { name, shape, type, constants, bytes } of arrays) {
    let content, own = shape;
    if (name === `${head[0]}.weight`) {
      own = [classes, inputs];
      content = reordered(learnt.weights, own);
    } else if (name === `${head[0]}.bias`) {
      own = [classes];
      content = learnt.bias;
    } else if (constants === undefined) {
      content = fromBase64(bytes);
    } else {
      content = reordered(await ask("constants", constants), shape);
    }
    const part = new Uint8Array(content.buffer, content.byteOffset, content.byteLength);
    table[name] = { data_offsets: [end, end + part.length], dtype: type, shape: own };
    contents.push(part);
    end += part.length;
  }
  const layers = network.layers.map((layer) => layer.name === head[0] ? { ...layer, out_features: classes } : layer);
  const described = { ...metadata, classes: JSON.stringify(program.classes),
    network: JSON.stringify({ ...network, layers }), digest: "0".repeat(64) };
  const start = headerOf({ __metadata__: described, ...table }), whole = joined([start, ...contents], start.length + end);
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", whole));
  described.digest = [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  whole.set(headerOf({ __metadata__: described, ...table }));
  return whole;
}

/** A header's length and the header, filled up to a multiple of eight bytes. */
function headerOf(value) {
  const text = new TextEncoder().encode(JSON.stringify(value)), length = text.length + (-text.length & 7);
  const bytes = new Uint8Array(8 + length).fill(32);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(length), true);
  bytes.set(text, 8);
  return bytes;
}

/** Weights in the order of a model file: (in, out) to (out, in), (kh, kw, in, out) to (out, in, kh, kw). */
function reordered(values, shape) {
  if (shape.length < 2) return values;
  const out = shape[0], ins = shape[1], taps = values.length / out / ins, found = new Float32Array(values.length);
  for (let tap = 0; tap < taps; tap++) {
    for (let i = 0; i < ins; i++) {
      for (let o = 0; o < out; o++) found[(o * ins + i) * taps + tap] = values[(tap * ins + i) * out + o];
    }
  }
  return found;
}

byId("save-page").addEventListener("click", async () =>
  download([await savedPage()], "page.html", "text/html"));
byId("save-model").addEventListener("click", async () =>
  download([await savedModel()], "model.safetensors", "application/octet-stream"));
