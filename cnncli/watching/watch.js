// The lines of the runs as they come.
"use strict";

new EventSource("events").addEventListener("message", ({ data }) => {
  document.getElementById("lines").append(`${data.slice(0, 300)}\n`);
});
