// Elements of a page, and numbers in them: of the page of a model and of the page of a training (watching/).
"use strict";

/** The element with an id; of what kind it is, whoever asks for it knows.
 * @param {string} id
 * @returns {any} */
const byId = (id) => document.getElementById(id);

/** An element with attributes and children; text is always text. */
function made(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children);
  return element;
}

/** A number as people read it. */
function shown(value) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  return (size >= 1000 || size < 0.001 ? value.toExponential(2) : value.toFixed(size >= 100 ? 1 : size >= 10 ? 2 : 3))
    .replace(/-/g, "\u2212");
}
