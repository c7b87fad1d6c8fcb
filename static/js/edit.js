// Edit mode: after each pause in typing the desk is asked what its checks say, and nothing is kept by asking.

const form = document.getElementById("edit");
const PAUSE = 600; // milliseconds
const AGAIN = 5000;

let waiting = 0;
let asking = null;

function ask(after = PAUSE) {
  clearTimeout(waiting);
  waiting = setTimeout(check, after);
}

async function check() {
  asking?.abort();
  const mine = (asking = new AbortController());
  const shown = document.getElementById("preview");
  shown.setAttribute("aria-busy", "true");
  try {
    const answer = await fetch(form.dataset.check, {
      method: "POST",
      body: new FormData(form),
      headers: { "HX-Request": "true" },
      signal: mine.signal,
    });
    if (!answer.ok) throw new Error(answer.statusText);
    show(await answer.text());
  } catch {
    if (mine.signal.aborted) return;
    shown.removeAttribute("aria-busy");
    document.getElementById("preview-said").textContent = form.dataset.unasked;
    ask(AGAIN);
  }
}

function show(html) {
  // Made by our own templates, which escape every text of a mail; parsed here it can neither run nor load anything.
  const made = new DOMParser().parseFromString(html, "text/html").getElementById("preview");
  const shown = document.getElementById("preview");
  const said = shown.querySelector("#preview-said");
  const words = made.querySelector("#preview-said").textContent;
  // The line that is read out stays, so that it is read again only when it says something else.
  made.querySelector("#preview-said").replaceWith(said);
  if (said.textContent !== words) said.textContent = words;
  shown.replaceWith(made);
  document.dispatchEvent(new CustomEvent("checked"));
}

form.addEventListener("input", () => ask());

// What is typed is kept on the server for this person alone, after a pause and on leaving.

const KEEP_PAUSE = 2500;
const kept = document.getElementById("kept-said");
let keeping = 0;
let isTouched = false;

async function keep() {
  clearTimeout(keeping);
  if (!isTouched) return;
  isTouched = false;
  try {
    const answer = await fetch(form.dataset.keep, {
      method: "POST",
      body: new FormData(form),
      headers: { "HX-Request": "true" },
    });
    // A page of an error is no line to show.
    const isLine = answer.headers.get("Content-Type")?.startsWith("text/plain");
    kept.textContent = isLine ? await answer.text() : form.dataset.unkept;
    if (answer.status >= 500 || answer.status === 401) throw new Error(answer.statusText);
  } catch {
    isTouched = true;
    kept.textContent = form.dataset.unkept;
    keeping = setTimeout(keep, AGAIN);
  }
}

form.addEventListener("input", () => {
  isTouched = true;
  clearTimeout(keeping);
  keeping = setTimeout(keep, KEEP_PAUSE);
});

form.addEventListener("submit", () => {
  isTouched = false;
  clearTimeout(keeping);
});

window.addEventListener("pagehide", () => {
  // Browsers send 64 kB at most from a page that is left; what is longer was kept at the last pause.
  if (isTouched) navigator.sendBeacon(form.dataset.keep, new FormData(form));
});

for (const link of form.querySelectorAll("[data-switch]")) {
  link.addEventListener("click", async (event) => {
    event.preventDefault();
    await keep();
    location.assign(link.href);
  });
}
