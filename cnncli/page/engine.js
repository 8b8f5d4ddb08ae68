// The worker of the page: holds the network's numbers and calls the engine's functions, one after the other, so that the
// page itself never waits. It is sent messages [number, what, ...]; it answers [number, result], or [number, null, reason].
"use strict";

/** The worker; it is sent as text, with cameFrom of products.js, so that nothing else outside can be meant here. */
function worker() {
  let engine, program, constants, at, mean, std, own = null;

  const floats = (place, count) => new Float32Array(engine.memory.buffer, at + 4 * place, count);
  const size = (shape) => shape.reduce((product, side) => product * side, 1);

  /** An argument of a call: "@n" is the nth number of working memory, "#n" the nth constants. */
  function argument(given) {
    if (typeof given !== "string") return given ?? 0;
    return given[0] === "@" ? at + 4 * Number(given.slice(1)) : constants[Number(given.slice(1))];
  }

  function taken(bytes) {
    const place = engine.malloc(bytes);
    if (!place) throw new Error("there is not enough memory");
    return place;
  }

  function copied(array) {
    const place = taken(array.byteLength);
    new Uint8Array(engine.memory.buffer).set(new Uint8Array(array.buffer, array.byteOffset, array.byteLength), place);
    return place;
  }

  /** Make everything ready: the engine's bytes, the program and the weights' bytes. */
  function load(bytes, described, weights) {
    engine = new WebAssembly.Instance(new WebAssembly.Module(bytes), {}).exports;
    program = described;
    constants = program.constants.map((one) => {
      const stored = new Uint8Array(weights, one.at, one.count * (one.half ? 2 : 4));
      if (!one.half) return copied(stored);
      const wide = taken(4 * one.count), mark = engine.taken();
      engine.widen(copied(stored), one.count, wide);
      engine.give_back_to(mark);
      return wide;
    });
    mean = copied(Float64Array.from(program.input.mean));
    std = copied(Float64Array.from(program.input.std));
    at = taken(4 * program.floats);
    for (const call of program.calls) call.ready = [engine[call[1]], call.slice(2).map(argument)];
  }

  /** Run the network on what lies at its input. */
  function run() {
    const begun = performance.now();
    for (const { ready: [compute, values] } of program.calls) compute(...values);
    const last = program.layers[program.layers.length - 1], count = size(last.shape), mark = engine.taken();
    const found = taken(4 * count);
    engine.softmax(at + 4 * last.at, 1, count, program.temperature, found);
    const probabilities = new Float32Array(engine.memory.buffer, found, count).slice();
    engine.give_back_to(mark);
    const milliseconds = performance.now() - begun;
    return { probabilities, logits: floats(last.at, count).slice(), milliseconds, input: values("input") };
  }

  /** Judge an image of any size: bytes are red, green, blue and one that is not read, for each pixel. */
  function judge(bytes, height, width) {
    const [h, w, c] = program.input.shape, mark = engine.taken(), pixels = height * width, place = taken(3 * pixels);
    const rgb = new Uint8Array(engine.memory.buffer, place, 3 * pixels);
    for (let i = 0, from = 0, to = 0; i < pixels; i++, from += 4) {
      rgb[to++] = bytes[from];
      rgb[to++] = bytes[from + 1];
      rgb[to++] = bytes[from + 2];
    }
    const input = at + 4 * program.input.at;
    const [ih, iw] = program.input.grey === null ? [h, w] : fitting(height, width, h, w);
    const done = engine.prepare(place, height, width, program.input.crop, mean, std, input, ih, iw, c);
    engine.give_back_to(mark);
    if (!done) throw new Error("there is not enough memory for an image of this size");
    if (program.input.grey !== null) pad(ih, iw);
    return run();
  }

  /** The rows and columns that a whole image fits into, of h x w. */
  function fitting(height, width, h, w) {
    if (width * h >= height * w) return [Math.max(1, Math.floor((2 * height * w + width) / (2 * width))), w];
    return [h, Math.max(1, Math.floor((2 * width * h + height) / (2 * height)))];
  }

  /** Put the ih x iw pixels that the input begins with in its middle, and grey beside them. From the last to the first,
   * each is moved to its place, which is never before where it was. */
  function pad(ih, iw) {
    const [h, w, c] = program.input.shape, to = floats(program.input.at, h * w * c);
    const top = Math.floor((h - ih) / 2), left = Math.floor((w - iw) / 2);
    const { mean: means, std: stds, grey } = program.input;
    for (let i = h - 1; i >= 0; i--) {
      for (let j = w - 1; j >= 0; j--) {
        const inside = i >= top && i < top + ih && j >= left && j < left + iw;
        for (let k = c - 1; k >= 0; k--) {
          to[(i * w + j) * c + k] = inside ? to[((i - top) * iw + j - left) * c + k] : (grey / 255 - means[k]) / stds[k];
        }
      }
    }
  }

  /** Judge an image that is prepared: bytes of the network's size. */
  function judgePrepared(bytes) {
    const mark = engine.taken(), [h, w, c] = program.input.shape;
    engine.normalise(copied(bytes), h * w * c, c, mean, std, at + 4 * program.input.at);
    engine.give_back_to(mark);
    return run();
  }

  /** What a layer, or "input", yields for the image that was judged last. */
  function values(name) {
    const layer = name === "input" ? program.input : program.layers.find((one) => one.name === name);
    return floats(layer.at, size(layer.shape)).slice();
  }

  /** The largest distance from 0 that any layer has. */
  function reach() {
    let most = 0;
    for (const layer of program.layers) {
      for (const value of floats(layer.at, size(layer.shape))) most = Math.max(most, Math.abs(value));
    }
    return most;
  }

  /** Where number `index` of a layer comes from (products.js), and that number. */
  function made(name, index) {
    const layer = program.layers.find((one) => one.name === name);
    const shapes = layer.inputs.map((input) =>
      input === "input" ? program.input.shape : program.layers.find((one) => one.name === input).shape);
    const numbers = (place, count) => new Float32Array(engine.memory.buffer, place, count);
    const calls = program.calls.filter((call) => call[0] === name)
      .map((call) => [call[0], call[1], ...call.ready[1].map((value, i) => call[i + 2] === null && !value ? null : value)]);
    return { ...cameFrom(calls, index, layer, shapes, numbers), value: floats(layer.at, size(layer.shape))[index] };
  }

  /** What each position of the last layer that has any adds to a class's logit: HiResCAM (Draelos and Carin 2020), where
   * a network ends with an average and one dense layer, which makes it exact. Else null. */
  function evidence(number) {
    const calls = [...program.calls], last = calls.pop();
    if (last[1] !== "linear") return null;
    let wanted = last[2];
    for (let call = calls.pop(); call; call = calls.pop()) {
      const [, what, x, h, w, c, , oh, ow] = call, writes = { adaptive_pool: 6, copy: 4, flatten: 5 }[what];
      if (call[writes] !== wanted) return null;
      if (what === "adaptive_pool" && oh === 1 && ow === 1) {
        const values = floats(Number(x.slice(1)), h * w * c), classes = last[7];
        const weights = new Float32Array(engine.memory.buffer, last.ready[1][2], c * classes);
        const map = new Float32Array(h * w);
        for (let i = 0; i < h * w * c; i++) map[Math.floor(i / c)] += values[i] * weights[(i % c) * classes + number] / (h * w);
        return { map, layer: call[0] };
      }
      if (what === "flatten" && h !== 1) return null; // of more than one position
      wanted = x;
    }
    return null;
  }

  /** The last layer's features of an image of any size, and the image as the network has it. */
  function features(bytes, height, width) {
    const { input } = judge(bytes, height, width), last = program.calls[program.calls.length - 1];
    return { features: floats(Number(last[2].slice(1)), last[3]).slice(), input };
  }

  /** Fit a last layer to features (n, d) and labels, and judge by it from now on. */
  function learn(x, labels, classes, strength) {
    const begun = performance.now(), last = program.calls[program.calls.length - 1], d = last[3];
    const [weights, bias, output] = [taken(4 * d * classes), taken(4 * classes), taken(4 * classes)];
    const mark = engine.taken(), features = copied(x);
    if (!engine.fit_head(features, copied(labels), labels.length, d, classes, strength, weights, bias)) {
      throw new Error("there is not enough memory to learn");
    }
    engine.give_back_to(mark);
    const layer = program.layers[program.layers.length - 1], [input] = last.ready[1];
    own ??= { at: layer.at, ready: last.ready[1], temperature: program.temperature };
    layer.at = (output - at) / 4;
    layer.shape = [classes];
    last[7] = classes;
    last.ready[1] = [input, d, weights, bias, output, classes];
    program.temperature = 1;
    let right = 0;
    const logits = () => new Float32Array(engine.memory.buffer, output, classes);
    for (let i = 0; i < labels.length; i++) {
      new Float32Array(engine.memory.buffer, input, d).set(x.subarray(i * d, (i + 1) * d));
      engine.linear(...last.ready[1]);
      const found = logits();
      right += Number(found.indexOf(Math.max(...found)) === labels[i]);
    }
    return { right, milliseconds: performance.now() - begun };
  }

  /** Judge by the model's own last layer again. */
  function forget() {
    const last = program.calls[program.calls.length - 1], layer = program.layers[program.layers.length - 1];
    last.ready[1] = own.ready;
    last[7] = own.ready[5];
    layer.at = own.at;
    layer.shape = [last[7]];
    program.temperature = own.temperature;
  }

  /** The last layer as it is now: weights (in, out) and bias. */
  function head() {
    const [, d, weights, bias, , classes] = program.calls[program.calls.length - 1].ready[1];
    const numbers = (place, count) => new Float32Array(engine.memory.buffer, place, count).slice();
    return { weights: numbers(weights, d * classes), bias: bias ? numbers(bias, classes) : new Float32Array(classes) };
  }

  /** The numbers of constants, by their place in the program. */
  const constantsOf = (index) =>
    new Float32Array(engine.memory.buffer, constants[index], program.constants[index].count).slice();

  const known = { features, learn, forget, head, constants: constantsOf, evidence, load, judge, judgePrepared, values, reach, made };
  onmessage = ({ data: [number, what, ...given] }) => {
    try {
      postMessage([number, known[what](...given)]);
    } catch (error) {
      postMessage([number, null, String(error.message || error)]);
    }
  };
}
