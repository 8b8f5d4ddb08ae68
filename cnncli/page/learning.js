// Learning in the page: pictures of classes of one's own, the features that the network makes of them, and a last layer that
// is fitted to these, as `cnn train --probe` does. All of it happens here, and what was learnt can be saved.
"use strict";

const STRENGTH = 0.03; // how strongly weights are held down, as --probe has it where no images are held out
const MOST_PICTURES = 50; // of a class
const head = program.calls[program.calls.length - 1][1] === "linear" ? program.calls[program.calls.length - 1] : null;
const school = byId("school"), pupils = [], relearn = school.querySelector(".learn");
// What the page says of the classes that it opened with.
const modelsOwn = { classes: program.classes, temperature: program.temperature, parameters: lastLayer.parameters,
  about: byId("about").textContent, title: document.title, learnt: program.learnt, checked: null };

/** A class to be learnt: its name, its pictures' features, and its part of the page. */
function addClass(name) {
  const pupil = { features: [] };
  const count = made("span", { class: "faint" }, "no images"), strip = made("div", { class: "strip" });
  const title = made("input", { value: name, maxlength: 60, "aria-label": "the name of a class" });
  const files = made("input", { type: "file", accept: "image/*", multiple: true, onchange: async () => {
    for (const file of [...files.files]) await learnFrom(file, file.name);
    files.value = "";
  } });
  const shoot = made("button", { type: "button", hidden: cameraButton.hidden, onclick: () =>
    stream ? learnFrom(video, "the camera") : say("Press “Use the camera” first.") }, "From the camera");

  async function learnFrom(picture, from) {
    if (pupil.features.length >= MOST_PICTURES) {
      say(`${title.value} takes ${MOST_PICTURES} images at most; the others are left out.`);
      return;
    }
    const bitmap = await pictureIn(picture, from), small = made("canvas", { role: "img", "aria-label": from });
    if (!bitmap) return;
    try {
      const found = await ask("features", ...pixelsOf(bitmap));
      pupil.features.push(found.features);
      drawInput(small, found.input);
    } catch (error) {
      say(`${from} cannot be used: ${error.message}.`);
      return;
    }
    strip.append(small);
    count.textContent = times(pupil.features.length, "image");
  }

  const takeAll = (event) => {
    const dropped = [...event.dataTransfer.files];
    if (!dropped.length) return;
    event.preventDefault();
    event.stopPropagation(); // no picture to be judged
    dropped.reduce((before, file) => before.then(() => learnFrom(file, file.name)), Promise.resolve());
  };
  Object.assign(pupil, { title, learnFrom });
  pupils.push(pupil);
  school.querySelector(".classes").append(made("fieldset", { ondrop: takeAll }, made("label", {}, "Class ", title), " ", count,
    made("p", {}, made("label", { class: "choose" }, "Add images", files), " ", shoot), strip));
}

async function learn() {
  const named = pupils.filter(({ features }) => features.length), names = named.map(({ title }) => title.value.trim());
  if (named.length < 2 || new Set(names).size < names.length || names.includes("")) {
    byId("learnt").textContent = "Give images to at least two classes, and give each class a name of its own.";
    return;
  }
  const size = named[0].features[0].length, total = named.reduce((sum, { features }) => sum + features.length, 0);
  const x = new Float32Array(total * size), labels = new Int32Array(total);
  let row = 0;
  named.forEach(({ features }, label) => features.forEach((one) => {
    x.set(one, row * size);
    labels[row++] = label;
  }));
  const { right, milliseconds } = await ask("learn", x, labels, names.length, STRENGTH);
  modelsOwn.checked ??= [byId("check").className, byId("check").textContent];
  await takeClasses({ classes: names, temperature: 1, parameters: (size + 1) * names.length,
    about: modelsOwn.about.replace(/ for [\d,]+ classes(, learnt in a page)?\./, ` for ${names.length} classes, learnt in a page.`),
    learnt: true, title: given.own_title ? document.title : titleOf(names),
    checked: ["", "The last layer was learnt in this page. There is no answer of cnn predict to compare it with."] });
  byId("learnt").textContent = `Learnt ${names.length} classes in ${(milliseconds / 1000).toFixed(1)} s: ` +
    `the page recognises ${right} of these ${times(total, "image")}. Try it on others to see how good it is.`;
}

/** What the page tells apart, in the words of writing.py. */
function titleOf(names) {
  const few = names.length > 4 ? names.slice(0, 3) : names;
  const told = few.map((name) => /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]/.test(name) ? `\u2068${name}\u2069` : name);
  if (few.length < names.length) told.push(`${(names.length - few.length).toLocaleString("en")} more`);
  return `Tells ${told.slice(0, -1).join(", ")} and ${told[told.length - 1]} apart`;
}

/** Judge by the classes that the page opened with again. What was learnt goes; the images of the classes stay. */
async function unlearn() {
  await ask("forget");
  await takeClasses(modelsOwn);
  byId("learnt").textContent = `The page answers with the model's own ${modelsOwn.classes.length} classes again.`;
  relearn.focus();
}

/** The page's classes from now on, and what it says of them. */
async function takeClasses(taken) {
  const { classes, temperature, parameters, about, title, learnt, checked: [state, words] } = taken;
  const others = taken !== modelsOwn, check = byId("check");
  Object.assign(program, { classes, temperature, learnt });
  Object.assign(lastLayer, { shape: [classes.length], parameters, multiply_adds: head[3] * classes.length });
  head[7] = classes.length;
  for (const each of [document, blank]) {
    each.title = each.querySelector("h1").textContent = title;
    each.getElementById("about").textContent = about;
  }
  check.className = state;
  check.textContent = words;
  for (const id of ["save-page", "save-model", "unlearn"]) byId(id).hidden = !others || (id === "save-model" && !crypto.subtle);
  document.body.classList.toggle("taught", others); // labels are of the classes that the page opened with
  if (dialog.open) dialog.close();
  if (at >= 0) tellStep();
  for (const tell of tellers) tell();
  if (uncovered) await showAnswer(await ask("judgePrepared", uncovered)); // the picture that is there
}

if (head) {
  school.hidden = false;
  for (const name of ["one", "two", "three"]) addClass(name);
  school.querySelector(".more").addEventListener("click", () => addClass(`class ${pupils.length + 1}`));
  relearn.addEventListener("click", learn);
  byId("unlearn").addEventListener("click", unlearn);
}
