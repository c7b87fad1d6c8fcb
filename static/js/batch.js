// A page of several letters: the approval rests until each letter was in view to its end, and says how many it is about.

const approve = document.querySelector("[data-batch-approve]");
const line = document.querySelector("[data-batch-read]");
const endOf = (letter) => letter.querySelector(".signs");
const letters = [...document.querySelectorAll(".batch__letter:not(.is-alone)")];
const read = new Set();

const isOut = (letter) => letter.querySelector("[name=leave_out]").checked;
const wanted = () => letters.filter((letter) => !isOut(letter));

function show() {
  if (!approve) return;
  // What is taken out need not be read.
  for (const letter of letters) endOf(letter).toggleAttribute("data-letter-end", !isOut(letter));
  const chosen = wanted();
  const done = chosen.filter((letter) => read.has(letter)).length;
  const isRead = chosen.length > 0 && done === chosen.length;
  approve.disabled = !isRead;
  approve.querySelector("[data-count]").textContent = chosen.length;
  line.textContent = isRead ? line.dataset.done : `${line.dataset.unread} ${done} ${line.dataset.of} ${chosen.length}.`;
}

const watcher = new IntersectionObserver((entries) => {
  for (const entry of entries) if (entry.isIntersecting) read.add(entry.target.closest(".batch__letter"));
  show();
});

for (const letter of letters) watcher.observe(endOf(letter));
document.addEventListener("change", (event) => {
  if (event.target.name === "leave_out") show();
});
show();
