// What a number is made of, in its place: of a convolution the window's numbers, the weights and their products, and the sum
// of each input channel's products; of a sum of maps these maps.
"use strict";

const WIDEST = 7; // numbers beside each other that can be read
const CHANNELS = 6; // whose sums are listed; the others as one

async function showGrids(layer, index, found) {
  const box = dialog.querySelector(".grids");
  box.replaceChildren();
  if (found.kernel) showWindow(box, layer, found);
  else if (layer.kind === "Add" && layer.shape.length === 3) await showAddition(box, layer, index);
}

/** Three grids of one input channel, or else of that with the largest sum, and the sums of all. */
function showWindow(box, layer, found, channel = null) {
  const { terms, kernel, bias, value } = found, [rows, columns] = kernel, count = terms.length / rows / columns;
  if (rows * columns === 1) return; // each channel has one product, and the table below has them
  const sums = new Float64Array(count);
  terms.forEach((term, i) => { sums[i % count] += term.value; });
  const order = [...sums.keys()].sort((a, b) => Math.abs(sums[b]) - Math.abs(sums[a])), chosen = channel ?? order[0];
  const own = terms.filter((_, i) => i % count === chosen);
  const apart = [own[columns], own[1]].map((next, axis) => kernel[axis] > 1 ? next.at[axis] - own[0].at[axis] : 1);
  const dilated = Math.max(...apart) > 1, room = (far) => `${12 * Math.min(far - 1, 2)}px`;
  const grid = (words, of) => {
    const values = own.map((term) => term[of]), scale = 3 * reachOf(values); // three times: text stands out from paler colours
    const grid = made("table", { class: "window" }, made("caption", { class: "faint" }, words), ...Array.from({ length: rows }, (_, row) =>
      made("tr", {}, ...Array.from({ length: columns }, (_, column) => {
        const i = row * columns + column, cell = made("td", {}, short(values[i]));
        cell.style.background = `rgb(${colourOf(values[i], scale).join(" ")})`;
        if (own[i].outside && of === "x") cell.className = "outside";
        return cell;
      }))));
    if (dilated) Object.assign(grid.style, { borderCollapse: "separate", borderSpacing: `${room(apart[1])} ${room(apart[0])}` });
    return grid;
  };
  const from = called(layer.inputs[0]), readable = Math.max(rows, columns) <= WIDEST;
  box.replaceChildren();
  if (readable) {
    box.append(grid(count > 1 ? `${from}, channel ${own[0].at[2]}` : from, "x"), made("span", {}, "x"),
      grid("weights", "weight"), made("span", {}, "="), grid(`products, ${shown(sums[chosen])} in all`, "value"));
  }
  if (count > 1) {
    const rest = order.slice(CHANNELS);
    const line = (name, sum, kind = "") =>
      made("tr", { class: kind }, made("th", { scope: "row" }, name), made("td", { class: "number" }, shown(sum)));
    const choice = (k) => made("button", { type: "button", class: "plain", "aria-pressed": String(k === chosen),
      title: "show the products of this channel", onclick: () => {
        showWindow(box, layer, found, k);
        box.querySelector("[aria-pressed=true]")?.focus();
      } }, `channel ${terms[k].at[2]}`);
    const lines = order.slice(0, CHANNELS).map((k) => line(choice(k), sums[k]));
    if (rest.length) lines.push(line(`${rest.length} others`, rest.reduce((all, k) => all + sums[k], 0)));
    if (bias) lines.push(line("bias", bias));
    box.append(made("table", { class: "sums" }, made("caption", { class: "faint" }, `sums of the ${count} channels`),
      ...lines, line("the number", value, "total")));
  }
  if (readable && dilated) {
    box.append(made("p", { class: "faint" }, `The gaps are dilation: the numbers under the weights lie ${bySide(...apart)} pixels apart.`));
  }
  if (readable && own.some(({ outside }) => outside)) {
    box.append(made("p", { class: "faint" }, "Dashed: outside the image, where numbers count as 0."));
  }
}

const short = (value) => value === 0 ? "0"
  : value.toFixed(Math.abs(value) < 99.5 ? 2 : 0).replace("-0.00", "0.00").replace("-", "\u2212");

/** The maps that are added, and their sum, on one scale, with the number framed. */
async function showAddition(box, layer, index) {
  const names = [...layer.inputs, layer.name], [row, column, channel] = positionOf(layer.shape, index);
  const values = await Promise.all(names.map((name) => ask("values", name)));
  if (pointed.layer !== layer || pointed.index !== index) return; // somebody has moved on
  const scale = Math.max(...values.map(reachOf));
  box.replaceChildren(...names.flatMap((name, i) => {
    const canvas = made("canvas", { role: "img", "aria-label": `${called(name)}, channel ${channel}` });
    drawMap(canvas, values[i], layer.shape, channel, scale);
    outline(canvas, Array.from({ length: layer.shape[0] * layer.shape[1] }, (_, i) => i === row * layer.shape[1] + column), 100);
    return [...(i ? [made("span", {}, i < names.length - 1 ? "+" : "=")] : []),
      made("figure", {}, canvas, made("figcaption", { class: "faint" }, called(name)))];
  }));
}
