// What is typed and not saved is kept on the server for its writer alone: after a pause in typing and on leaving.
//
// The form of the page names the address in data-keep, and in data-keep-only the one field that is sent, if it is one.

const PAUSE = 2500; // milliseconds
const AGAIN = 5000;

let waiting = 0;
let isTouched = false;

// Looked for each time: the page may have put another in its place.
const form = () => document.querySelector("form[data-keep]");

function data(from) {
  const all = new FormData(from);
  const only = from.dataset.keepOnly;
  if (!only) return all;
  const sent = new FormData();
  for (const name of ["csrfmiddlewaretoken", only]) sent.set(name, all.get(name));
  return sent;
}

function say(words) {
  const line = document.getElementById("kept-said");
  if (line) line.textContent = words;
}

async function keep() {
  clearTimeout(waiting);
  const from = form();
  if (!from || !isTouched) return;
  isTouched = false;
  try {
    const answer = await fetch(from.dataset.keep, { method: "POST", body: data(from), headers: { "HX-Request": "true" } });
    // A page of an error is no line to show.
    const isLine = answer.headers.get("Content-Type")?.startsWith("text/plain");
    say(isLine ? await answer.text() : from.dataset.unkept);
    // 401: the session ended; it is kept once somebody signed in again in another window.
    if (answer.status >= 500 || answer.status === 401) throw new Error(answer.statusText);
  } catch {
    isTouched = true;
    say(from.dataset.unkept);
    waiting = setTimeout(keep, AGAIN);
  }
}

// In the first phase, because what other scripts tell a form of does not rise from it.
document.addEventListener(
  "input",
  (event) => {
    const from = form();
    if (!from?.contains(event.target)) return;
    if (from.dataset.keepOnly && event.target.name !== from.dataset.keepOnly) return;
    isTouched = true;
    clearTimeout(waiting);
    waiting = setTimeout(keep, PAUSE);
  },
  true,
);

document.addEventListener("submit", (event) => {
  if (event.target !== form()) return;
  isTouched = false;
  clearTimeout(waiting);
});

window.addEventListener("pagehide", () => {
  const from = form();
  // Browsers send 64 kB at most from a page that is left; what is longer was kept at the last pause.
  if (from && isTouched) navigator.sendBeacon(from.dataset.keep, data(from));
});

for (const link of document.querySelectorAll("form[data-keep] [data-switch]")) {
  link.addEventListener("click", async (event) => {
    event.preventDefault();
    await keep();
    location.assign(link.href);
  });
}
