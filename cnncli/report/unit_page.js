// What moves on the page of `cnn explain --units`: the pictures of a filter are one stop of the Tab key, with arrows from
// one to the next, and the filters that speak for a class can be had alone. pictures.js, before it, enlarges pictures.
(() => {
  const filters = [...document.querySelectorAll(".filter")];

  for (const filter of filters) {
    const images = [...filter.querySelectorAll(".gallery img")];
    images.forEach((image, i) => { image.tabIndex = i ? -1 : 0; });
    filter.addEventListener("keydown", (event) => {
      const at = images.indexOf(event.target);
      const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: images.length - 1 }[event.key];
      if (at < 0 || to === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      const next = images[Math.max(0, Math.min(images.length - 1, to))];
      images[at].tabIndex = -1;
      next.tabIndex = 0;
      next.focus();
    });
  }

  const chosen = document.getElementById("class");
  const shown = document.getElementById("shown");

  function choose() {
    let count = 0;
    for (const filter of filters) {
      filter.hidden = chosen.value !== "" && !filter.dataset.classes.split(" ").includes(chosen.value);
      count += !filter.hidden;
    }
    shown.textContent = `${count} of ${filters.length} filters`;
  }

  if (chosen) {
    chosen.parentElement.hidden = false;
    chosen.addEventListener("change", choose);
    choose();
  }
})();
