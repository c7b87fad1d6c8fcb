// What the page does while the desk is asked: a form is sent once, a lost connection is said.

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method !== "post") return;
  if (form.dataset.sent) {
    event.preventDefault();
    return;
  }
  form.dataset.sent = "yes";
  // Buttons rest only after the browser has read which of them was pressed.
  setTimeout(() => {
    for (const button of form.querySelectorAll("button")) button.setAttribute("aria-disabled", "true");
  });
});

// A page that comes back from the browser's memory must be usable again.
window.addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) wake(form);
});

document.addEventListener("htmx:afterRequest", (event) => {
  const form = event.target.closest("form");
  if (form) wake(form);
  const lost = document.getElementById("lost");
  if (lost) lost.hidden = event.detail.successful || event.detail.xhr.status in { 409: 1, 422: 1 };
});

function wake(form) {
  delete form.dataset.sent;
  for (const button of form.querySelectorAll("button[aria-disabled]")) button.removeAttribute("aria-disabled");
}
