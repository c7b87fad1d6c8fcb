// Tells the desk that somebody has this draft open, and when they begin to decide. It says what buttons say too.

const BEAT = 10_000; // how often an open page says that it is open
const PAUSE = 60_000; // after this long without a key, a pointer or a scroll nobody is active
const page = Math.random().toString(36).slice(2, 14) || "0";

let isDeciding = false; // begun here, by going to the reason or to the button that signs
let begins = 0; // the timer of that
let stays = false; // the page gives way to another one of the same draft, which goes on with the claim
let usedAt = Date.now();

const beside = () => document.getElementById("beside");
const holds = () => isDeciding || Boolean(document.querySelector("[data-claim=own]"));
const own = (address) => new URL(address, location.href).pathname.startsWith(beside().dataset.address.replace(/presence\/$/, ""));

function tell(doing, claim = "") {
  const token = JSON.parse(document.body.getAttribute("hx-headers"));
  fetch(beside().dataset.address, {
    method: "POST",
    keepalive: true,
    headers: { ...token, "X-Self-Refresh": "1" },
    body: new URLSearchParams({ page, doing, claim }),
  }).catch(() => {}); // the next beat says it again
}

function beat() {
  if (!beside() || document.hidden) return;
  const isActive = Date.now() - usedAt < PAUSE;
  tell(beside().dataset.doing, isActive && holds() ? "keep" : "");
}

function begin() {
  isDeciding = true;
  beat();
}

for (const used of ["keydown", "pointermove", "pointerdown", "scroll", "input"])
  document.addEventListener(used, () => (usedAt = Date.now()), { capture: true, passive: true });

document.addEventListener("focusin", (event) => {
  const acts = event.target.closest("#decision [name=reason], #decision [data-command=approve]");
  // A press of the button decides at once; only a pause on it is a beginning.
  if (acts && !isDeciding && !begins) begins = setTimeout(begin, 300);
});

document.addEventListener("focusout", () => {
  clearTimeout(begins);
  begins = 0;
});

document.addEventListener("keydown", (event) => {
  const reason = document.querySelector("#decision [name=reason]");
  if (event.key !== "Escape" || !isDeciding || !reason || reason.value.trim()) return;
  isDeciding = false;
  tell(beside().dataset.doing, "release");
});

document.addEventListener("submit", (event) => {
  clearTimeout(begins);
  stay(event.submitter?.getAttribute("formaction") || event.target.getAttribute("action") || "");
});
document.addEventListener("click", (event) => {
  const link = event.target.closest("a[href]");
  if (link) stay(link.href);
});

function stay(address) {
  if (!beside() || !own(address)) return;
  stays = true;
  setTimeout(() => (stays = false), 5000);
}

window.addEventListener("pagehide", () => {
  if (beside()) tell("left", !stays && holds() ? "release" : "");
});
window.addEventListener("pageshow", (event) => {
  stays = false;
  if (event.persisted) beat();
});
document.addEventListener("visibilitychange", beat);

if (beside()?.dataset.doing === "editing") isDeciding = true;
beat();
setInterval(beat, BEAT);
