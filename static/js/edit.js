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
  said.className = made.querySelector("#preview-said").className;
  // The line that is read out stays, so that it is read again only when it says something else.
  made.querySelector("#preview-said").replaceWith(said);
  if (said.textContent !== words) said.textContent = words;
  shown.replaceWith(made);
  document.dispatchEvent(new CustomEvent("checked"));
}

form.addEventListener("input", () => ask());
