// The reason or note on the page of a draft: kept for this person alone, after a pause and on leaving.

const PAUSE = 2500;
let waiting = 0;
let isTouched = false;

const field = () => document.querySelector("#decision[data-keep] [name=reason]");

function data(box) {
  const sent = new FormData();
  sent.set("csrfmiddlewaretoken", box.form.elements.csrfmiddlewaretoken.value);
  sent.set("reason", box.value);
  return sent;
}

async function keep() {
  const box = field();
  if (!box || !isTouched) return;
  isTouched = false;
  try {
    const answer = await fetch(box.form.dataset.keep, { method: "POST", body: data(box), headers: { "HX-Request": "true" } });
    // 401: the session ended; it is kept once somebody signed in again in another window.
    if (answer.status >= 500 || answer.status === 401) throw new Error(answer.statusText);
  } catch {
    isTouched = true;
    waiting = setTimeout(keep, 2 * PAUSE);
  }
}

document.addEventListener("input", (event) => {
  if (event.target !== field()) return;
  isTouched = true;
  clearTimeout(waiting);
  waiting = setTimeout(keep, PAUSE);
});

document.addEventListener("submit", (event) => {
  if (event.target.id !== "decision") return;
  isTouched = false;
  clearTimeout(waiting);
});

window.addEventListener("pagehide", () => {
  const box = field();
  if (box && isTouched) navigator.sendBeacon(box.form.dataset.keep, data(box));
});
