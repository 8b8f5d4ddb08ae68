// Part of the worker: where one number of a layer comes from. For every kind of call a function gives the terms that add
// up to the number, or what else made it: {rule, terms: [{from, at, x, weight, value}], bias, value}. Places are
// [row, column, channel] of the layer named; of a vector [place].
"use strict";

/** What made number `index` of the layer that `calls` compute. numbers(argument, count) reads working memory or constants;
 * shapes gives the shape of each of the layer's inputs. */
function cameFrom(calls, index, layer, shapes, numbers) {
  const [, what, ...given] = calls[0];
  const [, columns, channels] = layer.shape.length === 3 ? layer.shape : [1, 1, layer.shape[0]];
  const channel = index % channels, column = Math.floor(index / channels) % columns;
  const row = Math.floor(index / channels / columns);
  const place = (shape, i) => shape.length < 3 ? [i]
    : [Math.floor(i / shape[2] / shape[1]), Math.floor(i / shape[2]) % shape[1], i % shape[2]];
  const term = (input, i, x, weight = null, value = x) =>
    ({ from: layer.inputs[input], at: place(shapes[input], i), x, weight, value });

  /** The taps of a window that lie on the image: [row of x, column of x, which tap]. */
  function* taps(h, w, kh, kw, sh, sw, top, left, dh = 1, dw = 1) {
    for (let i = 0; i < kh; i++) {
      for (let j = 0; j < kw; j++) {
        const r = row * sh - top + i * dh, s = column * sw - left + j * dw;
        if (r >= 0 && r < h && s >= 0 && s < w) yield [r, s, i * kw + j];
      }
    }
  }

  const ways = {
    conv([x, h, w, ci, weights, bias, , , , co, kh, kw, sh, sw, top, left, dh, dw, groups]) {
      const inputs = ci / groups, group = Math.floor(channel / (co / groups)), terms = [];
      const all = numbers(x, h * w * ci), kernel = numbers(weights, kh * kw * inputs * co);
      for (const [r, s, tap] of taps(h, w, kh, kw, sh, sw, top, left, dh, dw)) {
        for (let k = 0; k < inputs; k++) {
          const i = (r * w + s) * ci + group * inputs + k, weight = kernel[(tap * inputs + k) * co + channel];
          terms.push(term(0, i, all[i], weight, all[i] * weight));
        }
      }
      return { rule: "sum", terms, bias: bias === null ? 0 : numbers(bias, co)[channel] };
    },
    linear([x, inputs, weights, bias, , outputs]) {
      const all = numbers(x, inputs), kernel = numbers(weights, inputs * outputs);
      const terms = [...all].map((v, i) => term(0, i, v, kernel[i * outputs + channel], v * kernel[i * outputs + channel]));
      return { rule: "sum", terms, bias: bias === null ? 0 : numbers(bias, outputs)[channel] };
    },
    affine([x, pixels, c, scale, shift]) {
      const v = numbers(x, pixels * c)[index], weight = numbers(scale, c)[channel];
      return { rule: "sum", terms: [term(0, index, v, weight, v * weight)], bias: numbers(shift, c)[channel] };
    },
    max_pool([x, h, w, c, , , , ...window]) {
      const all = numbers(x, h * w * c);
      return { rule: "largest", terms: [...taps(h, w, ...window)].map(([r, s]) => (r * w + s) * c + channel)
        .map((i) => term(0, i, all[i])) };
    },
    mean_pool([x, h, w, c, , oh, ow, kh, kw, sh, sw, top, left, factors, norm]) {
      const all = numbers(x, h * w * c), factor = numbers(factors, oh * ow)[row * ow + column];
      return { rule: norm === 1 ? "sum" : "norm", power: norm, terms: [...taps(h, w, kh, kw, sh, sw, top, left)]
        .map(([r, s]) => (r * w + s) * c + channel).map((i) => term(0, i, all[i], factor, all[i] ** norm * factor)) };
    },
    adaptive_pool([x, h, w, c, , oh, ow]) {
      const all = numbers(x, h * w * c), terms = [];
      const from = [Math.floor(row * h / oh), Math.floor(column * w / ow)];
      const to = [Math.ceil((row + 1) * h / oh), Math.ceil((column + 1) * w / ow)];
      const factor = 1 / ((to[0] - from[0]) * (to[1] - from[1]));
      for (let r = from[0]; r < to[0]; r++) {
        for (let s = from[1]; s < to[1]; s++) {
          const i = (r * w + s) * c + channel;
          terms.push(term(0, i, all[i], factor, all[i] * factor));
        }
      }
      return { rule: "sum", terms };
    },
    pointwise([x, count]) {
      return { rule: "function", terms: [term(0, index, numbers(x, count)[index])] };
    },
    copy([x, count]) {
      if (calls.length === 1) return { rule: "same", terms: [term(0, index, numbers(x, count)[index])] };
      const terms = layer.inputs.map((_, input) => {
        const from = input ? calls[input][2] : x;
        return term(input, index, numbers(from, count)[index]);
      });
      return { rule: "sum", terms };
    },
    put_channels() {
      for (const [input, [, , x, pixels, c, , first]] of calls.entries()) {
        if (channel < first || channel >= first + c) continue;
        const i = Math.floor(index / channels) * c + channel - first;
        return { rule: "same", terms: [term(input, i, numbers(x, pixels * c)[i])] };
      }
      return { rule: "same", terms: [] };
    },
    flatten([x, pixels, c]) {
      const i = index % pixels * c + Math.floor(index / pixels);
      return { rule: "same", terms: [term(0, i, numbers(x, pixels * c)[i])] };
    },
    softmax([x, pixels, c]) {
      const all = numbers(x, pixels * c), first = index - channel;
      return { rule: "share", terms: [...all.subarray(first, first + c)].map((v, i) => term(0, first + i, v)) };
    },
  };
  return { bias: 0, ...ways[what](given) };
}
