// What moves on every page: a picture of a gallery, large, by mouse and by keyboard. page.js comes behind it.
"use strict";

function span(words, kind) {
  const made = document.createElement("span");
  made.textContent = words;
  if (kind) made.className = kind;
  return made;
}

const large = document.getElementById("picture");

function enlarge(image) {
  const made = document.createElement("img");
  made.src = image.src;
  made.alt = image.alt;
  made.addEventListener("click", () => large.close());
  large.lastElementChild.replaceChildren(made);
  const words = [...image.parentElement.querySelectorAll("figcaption span")];
  document.getElementById("picture-words").replaceChildren(
    ...words.map((each) => span(each.title || each.textContent, each.className)));
  large.showModal();
}

function enlargeable(image) {
  image.tabIndex = 0;
  image.setAttribute("role", "button");
  image.addEventListener("click", () => enlarge(image));
  image.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    enlarge(image);
  });
  return image;
}

function closable(dialog) {
  dialog.querySelector(".close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
}

closable(large);
for (const image of document.querySelectorAll(".gallery img")) enlargeable(image);
