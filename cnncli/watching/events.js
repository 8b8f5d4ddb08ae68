// The connection: the server's events, and what is said while there are none. The browser itself connects anew after a
// break and goes on where it was; where it gives up, this begins again, and lines that come twice change nothing.
"use strict";

const AGAIN = 5000; // milliseconds until it is tried again
const connection = { lost: false };

/** Hear the server: `hear` gets each message, `lost` whether there is no connection. */
function connect(hear, lost) {
  const source = new EventSource("events");
  source.addEventListener("open", () => lost(false));
  source.addEventListener("message", ({ data }) => hear(parsed(data)));
  source.addEventListener("error", () => {
    lost(true);
    if (source.readyState !== EventSource.CLOSED) return;
    source.close();
    setTimeout(() => connect(hear, lost), AGAIN);
  });
}

/** JSON, in which Python's NaN and Infinity may stand: null for them, and null for what is no JSON. */
function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    const mended = text.replace(/"(?:[^"\\]|\\.)*"|-?\b(?:NaN|Infinity)\b/g,
      (found) => found[0] === '"' ? found : "null");
    try {
      return JSON.parse(mended);
    } catch {
      return null;
    }
  }
}

/** Take a message: how a run stands, one line of it, or why runs cannot be compared. */
function takeMessage(message) {
  if (typeof message?.unlike === "string") setText("unlike", message.unlike);
  if (!message || typeof message.id !== "string") return;
  const run = runOf(message.id);
  if ("can_stop" in message) {
    Object.assign(run, { canStop: message.can_stop === true, training: message.training, there: message.there });
  }
  if (message.line && typeof message.line === "object") takeLine(run, message.line);
}
