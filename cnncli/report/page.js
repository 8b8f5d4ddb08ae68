// What moves on the page of `cnn test`: the cells of the confusion matrix show their images, by mouse and by keyboard,
// and the table of classes can be sorted. The images lie in the page as JSON; every text is set as text, never as HTML.
// pictures.js, before it, has span, enlargeable and closable.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const number = new Intl.NumberFormat("en");
  const percent = (share) => (share > 0.9995 && share < 1 ? "99.9" : (100 * share).toFixed(1)) + "\u202f%";
  const plural = (count, word) => `${number.format(count)} ${word}${count === 1 ? "" : "s"}`;

  // ---- the images of a cell ----

  const dialog = document.getElementById("images");
  const gallery = document.getElementById("images-gallery");
  let opener = null;

  function figure([uri, name, label, guess, chance]) {
    const made = document.createElement("figure");
    const image = document.createElement("img");
    image.src = uri;
    image.alt = data.classes[label];
    const caption = document.createElement("figcaption");
    const file = span("", "file"), whole = document.createElement("bdi");
    whole.textContent = name;
    file.append(whole);
    file.title = name;
    caption.append(span(percent(chance), label === guess ? "is-right" : "is-wrong"), file);
    made.append(enlargeable(image), caption);
    return made;
  }

  function describe(row, column) {
    return row === column ? `${data.classes[row]}, recognised`
      : `${data.classes[row]} taken for ${data.classes[column]}`;
  }

  function show(row, column, count, from) {
    const places = data.cells[`${row} ${column}`] || [];
    document.getElementById("images-title").textContent = describe(row, column);
    const order = row === column ? "the least sure first" : "the surest first";
    document.getElementById("images-note").textContent = !count ? "There are no such images."
      : places.length === count ? `${plural(count, "image")}, ${order}.`
      : places.length ? `${number.format(places.length)} of ${plural(count, "image")}, ${order}.`
      : `${plural(count, "image")}. This page holds none of them.`;
    gallery.replaceChildren(...places.map((place) => figure(data.images[place])));
    opener = from;
    dialog.showModal();
    dialog.scrollTop = 0;
  }

  closable(dialog);
  dialog.addEventListener("close", () => { gallery.replaceChildren(); if (opener) opener.focus(); });

  for (const button of document.querySelectorAll(".pairs button")) {
    button.addEventListener("click", () => {
      const row = Number(button.dataset.row), column = Number(button.dataset.column);
      show(row, column, Number(button.dataset.count), button);
    });
  }

  // ---- the matrix: one stop of the Tab key, arrows within ----

  const matrix = document.querySelector(".matrix");
  const rows = [...matrix.tBodies[0].rows];
  const heads = [...matrix.tHead.rows[0].cells];
  const pointed = document.getElementById("pointed");
  let current = rows[0].cells[1];
  current.tabIndex = 0;

  const place = (cell) => [rows.indexOf(cell.parentElement), cell.cellIndex];
  const count = (cell) => Number(cell.textContent);

  function classes(cell) {
    return [Number(cell.parentElement.cells[0].dataset.class), Number(heads[cell.cellIndex].dataset.class)];
  }

  function open(cell) {
    show(...classes(cell), count(cell), cell);
  }

  function point(cell) {
    for (const marked of matrix.querySelectorAll(".here")) marked.classList.remove("here");
    cell.parentElement.cells[0].classList.add("here");
    heads[cell.cellIndex].classList.add("here");
    pointed.textContent = `${describe(...classes(cell))}: ${plural(count(cell), "image")}`;
  }

  function go(row, column) {
    const cell = rows[Math.max(0, Math.min(rows.length - 1, row))].cells[Math.max(1, Math.min(heads.length - 1, column))];
    current.tabIndex = -1;
    current = cell;
    cell.tabIndex = 0;
    cell.focus();
    cell.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  const cellOf = (event) => event.target.closest("tbody td");

  matrix.addEventListener("click", (event) => {
    const cell = cellOf(event);
    if (!cell) return;
    go(...place(cell));
    open(cell);
  });
  matrix.addEventListener("mouseover", (event) => { const cell = cellOf(event); if (cell) point(cell); });
  matrix.addEventListener("focusin", (event) => {
    const cell = cellOf(event);
    if (!cell) return;
    cell.setAttribute("aria-label", `${describe(...classes(cell))}: ${plural(count(cell), "image")}`);
    point(cell);
  });
  matrix.addEventListener("keydown", (event) => {
    const cell = cellOf(event);
    if (!cell || event.altKey || event.metaKey) return;
    const [row, column] = place(cell);
    const all = event.ctrlKey;
    const moves = {
      ArrowUp: [row - 1, column], ArrowDown: [row + 1, column], ArrowLeft: [row, column - 1],
      ArrowRight: [row, column + 1], Home: [all ? 0 : row, 1], End: [all ? rows.length - 1 : row, heads.length - 1],
      PageUp: [row - 10, column], PageDown: [row + 10, column],
    };
    if (event.key in moves) go(...moves[event.key]);
    else if (event.key === "Enter" || event.key === " ") open(cell);
    else return;
    event.preventDefault();
  });

  // ---- sorting ----

  const table = document.querySelector(".classes");
  for (const heading of table.tHead.rows[0].cells) {
    heading.querySelector("button").addEventListener("click", () => {
      const was = heading.getAttribute("aria-sort");
      // The worst class is what one looks for: numbers ascend at first, as names do.
      const sign = was === "ascending" ? -1 : 1;
      for (const other of table.tHead.rows[0].cells) other.setAttribute("aria-sort", "none");
      heading.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
      const value = (row) => Number(row.cells[heading.cellIndex].dataset.value);
      const sorted = [...table.tBodies[0].rows].sort((a, b) => sign * (value(a) - value(b)));
      table.tBodies[0].append(...sorted);
    });
  }
})();
