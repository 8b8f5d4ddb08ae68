// Part of the worker: where one number of a layer comes from. For every kind of call a function gives the terms that add
// up to the number, or what else made it: {rule, terms: [{from, at, x, weight, value}], bias, value}. Places are
// [row, column, channel] of the layer named; of a vector [place]. A convolution tells its kernel's sides, too; its terms are
// in the order of the kernel, and those of zeros outside of the image are `outside`.
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

  /** The taps of a window that lie on the image, or all: [row of x, column of x, which tap, 1 where it lies there]. */
  function* taps(h, w, kh, kw, sh, sw, top, left, dh = 1, dw = 1, every = false) {
    for (let i = 0; i < kh; i++) {
      for (let j = 0; j < kw; j++) {
        const r = row * sh - top + i * dh, s = column * sw - left + j * dw;
        const inside = r >= 0 && r < h && s >= 0 && s < w;
        if (inside || every) yield [r, s, i * kw + j, Number(inside)];
      }
    }
  }

  const ways = {
    conv([x, h, w, ci, weights, bias, , , , co, kh, kw, sh, sw, top, left, dh, dw, groups]) {
      const inputs = ci / groups, group = Math.floor(channel / (co / groups)), terms = [];
      const all = numbers(x, h * w * ci), kernel = numbers(weights, kh * kw * inputs * co);
      for (const [r, s, tap, inside] of taps(h, w, kh, kw, sh, sw, top, left, dh, dw, true)) {
        for (let k = 0; k < inputs; k++) {
          const from = group * inputs + k, i = (r * w + s) * ci + from, weight = kernel[(tap * inputs + k) * co + channel];
          terms.push(inside ? term(0, i, all[i], weight, all[i] * weight)
            : { from: layer.inputs[0], at: [r, s, from], x: 0, weight, value: 0, outside: true });
        }
      }
      return { rule: "sum", terms, bias: bias === null ? 0 : numbers(bias, co)[channel], kernel: [kh, kw] };
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
