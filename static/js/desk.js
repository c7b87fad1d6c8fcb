// What every page does: it sends a form once, says a lost connection, and acts on keys. One file is one request less.

// On a phone the places scroll sideways: the one that is open shall be in view.

const here = document.querySelector(".places [aria-current]");
if (here) here.parentElement.scrollLeft = here.offsetLeft - here.parentElement.offsetLeft;

// While the desk is asked: a form is sent once, a lost connection is said.

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

// Keys, their overlay and the palette. A key presses, follows or focuses what the page offers by its data-command;
// which key stands for which command is written in the overlay.

const overlay = document.getElementById("keys");
const palette = document.getElementById("palette");
const field = document.getElementById("palette-find");
const list = document.getElementById("palette-list");
const none = document.getElementById("palette-none");
const line = document.getElementById("keysaid");

const commands = [...overlay.querySelectorAll("[data-id]")].map((row) => ({
  ...row.dataset,
  row,
  word: row.firstElementChild.textContent,
}));

let begun = ""; // the first key of a sequence
let armed = null; // the button that the next press of its key presses
let explained = null; // the command whose reason is being written
let marked = { id: "", at: 0 }; // the row marked last

const isShown = (element) => element.checkVisibility({ visibilityProperty: true });
const offered = (id) => [...document.querySelectorAll(`[data-command="${id}"]`)].filter(isShown);

function target(command) {
  // The draft that is open comes before the others of the queue.
  const found = offered(command.id);
  return found.find((element) => element.closest("#decide")) || found[0];
}

function say(text) {
  line.textContent = text;
}

// What a command does

const acts = {
  press: (command) => press(target(command)),
  sign: (command) => sign(target(command)),
  explain: (command) => explain(command, target(command)),
  confirm: () => press(target(explained)),
  focus: (command) => inside(target(command)).focus(),
  next: () => mark(1),
  previous: () => mark(-1),
  open: () => offered("open")[place()].click(),
  choose: () => choice(place()).click(),
  help: showOverlay,
  palette: showPalette,
};

function applies(command) {
  if (command.does === "help" || command.does === "palette") return true;
  if (command.does === "next" || command.does === "previous") return offered("open").length > 0;
  if (command.does === "open") return place() >= 0;
  if (command.does === "choose") return Boolean(choice(place()));
  if (command.does === "confirm") return commands.some((other) => other.does === "explain" && target(other));
  return Boolean(target(command));
}

function run(command) {
  say("");
  const element = target(command);
  if (command.does !== "open" && element && isOfAnotherDraft(element)) return say(line.dataset.elsewhere);
  acts[command.does](command);
}

function press(button) {
  const why = button.disabled && document.getElementById(button.getAttribute("aria-describedby"));
  if (why) say(why.textContent);
  else button.click();
}

function sign(button) {
  const ends = [...document.querySelectorAll("[data-letter-end]")];
  const unseen = ends.find((end) => !seen.has(end));
  if (button.disabled) {
    // Of several letters, the button rests until each was in view: show the next one.
    if ("untilRead" in button.dataset) unseen?.scrollIntoView({ block: "center" });
    return press(button);
  }
  if (!ends.length) return say(line.dataset.unshown);
  if (armed === button && document.activeElement === button && !unseen) return button.click();
  unseen?.scrollIntoView({ block: "center" });
  button.focus({ preventScroll: true });
  armed = button;
  say(line.dataset.armed);
}

function explain(command, button) {
  button.form.elements.reason.focus();
  explained = command;
  say(`${command.word}: ${line.dataset.explain}`);
}

// A kept reason is written into the field of its form, behind what stands there, and can be changed.

function fill(element, text) {
  const box = element.closest("form").elements.reason;
  box.value = [box.value.trimEnd(), text].filter(Boolean).join("\n");
  box.dispatchEvent(new Event("input", { bubbles: true }));
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-fill]");
  if (button) fill(button, button.dataset.fill);
});
document.addEventListener("change", (event) => {
  if (event.target.name !== "kept" || !event.target.value) return;
  fill(event.target, event.target.value);
  event.target.value = "";
});

const inside = (element) => element.querySelector("input:not([type=hidden]), textarea, select") || element;

// The row that is marked is the one with the focus, or that had it last, or that of the open draft.

function place() {
  const rows = offered("open");
  const at = [(row) => row === document.activeElement, (row) => row.id === marked.id, (row) => row.closest("[aria-current]")]
    .map((is) => rows.findIndex(is))
    .find((index) => index >= 0);
  return at ?? -1;
}

function mark(step) {
  const rows = offered("open");
  const decided = document.activeElement.closest(".row--done");
  if (decided) return beside(decided, step)?.focus();
  const at = place();
  const next = at >= 0 ? at + step : marked.id ? marked.at : 0;
  rows[Math.max(0, Math.min(next, rows.length - 1))].focus();
}

// The box of a row takes its draft into what is read together.

const choice = (at) => offered("open")[at]?.closest("li, article").querySelector("[data-command=select]");

function tick(at) {
  const box = choice(at);
  if (box && !box.checked) box.click();
}

function extend(step) {
  tick(place());
  mark(step);
  tick(place());
}

function count() {
  const word = document.querySelector("[data-chosen]");
  if (word) word.textContent = document.querySelectorAll("[name=draft]:checked").length || "";
}

document.addEventListener("change", (event) => {
  if (event.target.name === "draft") count();
});
document.addEventListener("htmx:afterSettle", count);
count();

function beside(row, step) {
  const all = rowsOf(document);
  const waiting = offered("open");
  for (let at = all.indexOf(row) + step; all[at]; at += step) {
    const link = waiting.find((one) => all[at].contains(one));
    if (link) return link;
  }
  return null;
}

function isOfAnotherDraft(element) {
  const row = document.activeElement.closest("[data-row]");
  return row && element.closest("#decide") && !row.matches("[aria-current]");
}

document.addEventListener("focusin", (event) => {
  if (event.target.matches("[data-command=open]")) marked = { id: event.target.id, at: offered("open").indexOf(event.target) };
  if (event.target === armed || (explained && event.target.name === "reason") || event.target.closest("dialog")) return;
  if (armed || explained) say("");
  armed = explained = null;
});

// A letter counts as seen to its end once its two signature lines were in view.

const seen = new WeakSet();
const watcher = new IntersectionObserver((entries) => {
  for (const entry of entries) if (entry.isIntersecting) seen.add(entry.target);
});

function watch() {
  for (const end of document.querySelectorAll("[data-letter-end]")) watcher.observe(end);
  if (armed && !armed.isConnected) say("");
}

watch();
document.addEventListener("htmx:afterSettle", watch);

// Pressing

const isTyping = (element) =>
  element.isContentEditable || element.matches("textarea, select, input:not([type=checkbox], [type=radio])");

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.isComposing || event.keyCode === 229) return;
  if (document.querySelector("dialog[open]")) return;
  if (event.key === "Escape") return leave();
  const command = event.ctrlKey || event.metaKey ? chord(event) : single(event);
  if (!command) return;
  event.preventDefault();
  run(command);
});

function chord(event) {
  if (event.altKey || event.shiftKey || event.repeat) return null;
  const command = commands.find((one) => one.keys.toLowerCase() === `ctrl+${event.key}`.toLowerCase());
  const isWriting = explained && document.activeElement.name === "reason" && target(explained);
  return command && applies(command) && (command.does !== "confirm" || isWriting) ? command : null;
}

function single(event) {
  if (event.altKey || event.key.length !== 1 || isTyping(event.target)) return null;
  // Shift makes another character of a key; Caps Lock does not.
  const key = event.shiftKey ? event.key : event.key.toLowerCase();
  const moves = event.shiftKey && !begun && commands.find((one) => ["next", "previous"].includes(one.does) && one.keys === key.toLowerCase());
  if (moves && applies(moves)) {
    extend(moves.does === "next" ? 1 : -1);
    return null;
  }
  const keys = begun ? `${begun} ${key}` : key;
  if (begun) say("");
  begun = "";
  const usable = commands.filter((one) => one.keys && applies(one));
  const command = usable.find((one) => one.keys === keys);
  if (command) return event.repeat && !["next", "previous"].includes(command.does) ? null : command;
  if (usable.some((one) => one.keys.startsWith(`${keys} `))) {
    begun = keys;
    say(`${keys} …`);
  }
  return null;
}

function leave() {
  say("");
  begun = "";
  const focused = document.activeElement;
  if (focused === armed || isTyping(focused) || focused.matches("[data-command=open]")) focused.blur();
  armed = explained = null;
}

// The overlay and the palette list what applies on this page, as it is now.

function showOverlay() {
  for (const command of commands) command.row.hidden = !applies(command);
  for (const group of overlay.querySelectorAll("section")) group.hidden = !group.querySelector("li:not([hidden])");
  overlay.showModal();
}

function showPalette() {
  list.replaceChildren(
    ...commands
      .filter((command) => !["palette", "confirm"].includes(command.does) && applies(command))
      .map((command) => {
        const option = document.createElement("li");
        option.append(...[...command.row.children].map((part) => part.cloneNode(true)));
        option.id = `palette-${command.id}`;
        option.setAttribute("role", "option");
        option.onclick = () => choose(command);
        return option;
      }),
  );
  field.value = "";
  filter();
  palette.showModal();
}

const options = () => [...list.children].filter((option) => !option.hidden);
const selected = () => list.querySelector("[aria-selected=true]");

function filter() {
  const words = field.value.toLowerCase().split(/\s+/);
  for (const option of list.children) {
    const text = option.firstElementChild.textContent.toLowerCase();
    option.hidden = !words.every((word) => text.includes(word));
  }
  select(options()[0]);
  none.textContent = options().length ? "" : none.dataset.none;
}

function select(option) {
  for (const one of list.children) one.setAttribute("aria-selected", one === option);
  if (option) {
    field.setAttribute("aria-activedescendant", option.id);
    option.scrollIntoView({ block: "nearest" });
  } else field.removeAttribute("aria-activedescendant");
}

function choose(command) {
  palette.close();
  run(command);
}

field.addEventListener("input", filter);
field.addEventListener("keydown", (event) => {
  if (event.isComposing) return;
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!step && event.key !== "Enter") return;
  event.preventDefault();
  const shown = options();
  if (step) select(shown[(shown.indexOf(selected()) + step + shown.length) % shown.length]);
  else selected()?.click();
});

for (const dialog of [overlay, palette])
  dialog.addEventListener("click", (event) => {
    // A press beside the window is one on the dialog itself.
    if (event.target === dialog || event.target.closest("[data-close]")) dialog.close();
  });

// What refreshes itself rests while nobody sees the page, and catches up once somebody does.

document.addEventListener("htmx:beforeRequest", (event) => {
  if (document.hidden && event.detail.requestConfig.headers["X-Self-Refresh"]) event.preventDefault();
});

document.addEventListener("visibilitychange", () => {
  if (document.hidden) return;
  for (const region of document.querySelectorAll("[hx-get][hx-trigger]")) region.dispatchEvent(new Event("shown"));
});

// The list of drafts while it refreshes: nothing moves under the pointer or the focus. What was decided elsewhere
// says so in its place and at its height, and what is new waits behind a line on top.

const news = document.getElementById("queue-news");
let fresh = null; // the list as the desk gave it last, while the page shows another one
let heights = null; // of the rows before a swap
let held = null; // what of the draft is kept in its place over a swap

function rowsOf(root) {
  return [...root.querySelectorAll("[data-row]")];
}

function isFree(body) {
  if (body.matches(":hover") || body.contains(document.activeElement)) return false;
  const top = Math.max(0, body.closest(".queue").getBoundingClientRect().top);
  return body.querySelector(".queue__list").getBoundingClientRect().top >= top;
}

document.addEventListener("htmx:beforeSwap", (event) => {
  const { detail } = event;
  if (!detail.shouldSwap || detail.xhr.status !== 200) return;
  if (detail.target.id === "matter") held = anchorIn(detail.target);
  if (detail.target.id !== "queue-list") return;
  fresh = null;
  tell(0);
  if (isFree(detail.target)) return;
  const given = new DOMParser().parseFromString(detail.serverResponse, "text/html");
  const body = given.getElementById("queue-list");
  if (!body) return;
  for (const bar of body.querySelectorAll("[data-ends]")) bar.dataset.skew = Date.now() - Date.parse(bar.dataset.now);
  fresh = document.importNode(body, true);
  heights = new Map(rowsOf(detail.target).map((row) => [row.dataset.row, row.offsetHeight]));
  tell(keepPlaces(detail.target, body));
  detail.serverResponse = given.body.innerHTML;
});

document.addEventListener("htmx:afterSwap", (event) => {
  if (event.target.id === "matter" && held) settle();
  if (event.target.id !== "queue-list" || !heights) return;
  for (const row of rowsOf(event.target)) {
    const height = heights.get(row.dataset.row);
    if (height && row.offsetHeight !== height) row.style.height = `${height}px`;
  }
  heights = null;
});

// Put the rows of a new list into the order of the old one; how many there are that the old one does not show.
function keepPlaces(shown, body) {
  const list = body.querySelector(".queue__list");
  const given = new Map(rowsOf(list).map((row) => [row.dataset.row, row]));
  const old = rowsOf(shown);
  if (!old.length) return 0;
  const kept = old.map((row) => given.get(row.dataset.row) || gone(row, shown.dataset.gone));
  const order = [...given.keys()];
  const last = Math.max(-1, ...old.map((row) => order.indexOf(row.dataset.row)));
  const added = order.filter((id) => !old.some((row) => row.dataset.row === id));
  const below = added.filter((id) => order.indexOf(id) > last);
  list.replaceChildren(...kept, ...below.map((id) => given.get(id)));
  return added.length - below.length;
}

function gone(row, word) {
  const copy = row.cloneNode(true);
  if (row.matches(".row--done")) return copy;
  const link = copy.querySelector(".row__who");
  const name = document.createElement("span");
  name.className = link.className;
  name.id = link.id;
  name.tabIndex = -1;
  name.append(...link.childNodes);
  link.replaceWith(name);
  for (const part of copy.querySelectorAll("a, button, form, input, label, .row__choice, .row__risk")) part.remove();
  copy.querySelector(".row__marks").textContent = word;
  copy.classList.add("row--done");
  return copy;
}

function tell(count) {
  if (!news) return;
  news.hidden = !count;
  news.previousElementSibling.hidden = Boolean(count);
  news.textContent = count === 1 ? news.dataset.one : news.dataset.many.replace("0", count);
}

function showFresh() {
  const body = document.getElementById("queue-list");
  if (!fresh || !body) return null;
  const shown = fresh;
  fresh = null;
  tell(0);
  for (const part of shown.querySelectorAll("[hx-preserve]")) {
    const kept = document.getElementById(part.id);
    if (kept) part.replaceWith(kept);
  }
  body.replaceWith(shown);
  window.htmx.process(shown);
  return shown;
}

news?.addEventListener("click", () => {
  const known = new Set(rowsOf(document).map((row) => row.dataset.row));
  const shown = showFresh();
  if (!shown) return;
  shown.closest(".queue").scrollTo({ top: 0 });
  const first = rowsOf(shown).find((row) => !known.has(row.dataset.row)) || rowsOf(shown)[0];
  first?.querySelector("a.row__who")?.focus();
});

for (const left of ["mouseout", "focusout"])
  document.addEventListener(left, () => {
    if (fresh) setTimeout(() => isFree(document.getElementById("queue-list")) && showFresh());
  });

// The open draft: what is read stays where it is, and somebody else's decision is said.

let pointer = { x: -1, y: -1 };
document.addEventListener("pointermove", (event) => {
  pointer = { x: event.clientX, y: event.clientY };
});

function anchorIn(matter) {
  const talk = matter.querySelector(".talk");
  const under = document.elementFromPoint(pointer.x, pointer.y)?.closest(".talk [id]");
  const anchor = under || talk.querySelector("#letter-body");
  return {
    id: anchor?.id,
    top: anchor?.getBoundingClientRect().top,
    scrolled: talk.scrollTop,
    wasOpen: Boolean(matter.querySelector("#decision")),
    hadFocus: matter.contains(document.activeElement),
  };
}

function settle() {
  const { id, top, scrolled, wasOpen, hadFocus } = held;
  held = null;
  const talk = document.querySelector(".talk");
  if (!talk) return;
  talk.scrollTop = scrolled;
  const moved = () => (id && document.getElementById(id) ? document.getElementById(id).getBoundingClientRect().top - top : 0);
  talk.scrollTop += moved();
  window.scrollBy(0, moved());
  // Notes end with the decision; what they took stays empty. Not on an element with an id: those get their attributes back.
  if (moved() < 0) talk.querySelector(".talk__head").style.paddingBottom = `${-moved()}px`;
  const status = document.getElementById("status-head");
  if (!status || !wasOpen || document.getElementById("decision")) return;
  const said = status.dataset.said || status.textContent;
  armed = explained = null;
  say(said);
  setTimeout(() => line.textContent === said && say(""), 10000);
  if (!hadFocus || document.activeElement !== document.body) return;
  status.tabIndex = -1;
  status.focus({ preventScroll: true });
}

// A page that a decision opened: what was decided is said once the page is there to be heard.

const decided = document.querySelector("[data-decided]");
if (decided) {
  const notices = document.getElementById("notices");
  setTimeout(() => notices.replaceChildren(...notices.childNodes), 200);
}
