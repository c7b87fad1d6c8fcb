// Counts a running hold down once a second. The server decides when it ends; this only shows it.

function show(bar) {
  // The browser's clock may be wrong: the bar says what time it was when it was made.
  bar.dataset.skew ||= Date.now() - Date.parse(bar.dataset.now);
  const end = Date.parse(bar.dataset.ends) + Number(bar.dataset.skew);
  const left = Math.max(0, Math.ceil((end - Date.now()) / 1000));
  const words = bar.querySelector("[data-left]");
  if (words) words.textContent = left;
  const drain = bar.querySelector("progress");
  if (drain) drain.value = left;
  if (left === 0) bar.dataset.over = "yes";
}

function tick() {
  for (const bar of document.querySelectorAll("[data-ends]:not([data-over])")) show(bar);
}

tick();
setInterval(tick, 1000);
