// The editor of an HTML letter: Squire in the page itself, under the page's own policy.
//
// What goes into it was cleaned to the elements it writes. Styles and classes of the letter are outside: each element
// carries a class kept-N that stands for its attributes, and a style sheet made here shows the harmless part of them.
// What comes out is written by `write` below, and a piece of the letter that nobody changed is that piece again.

const editor = document.getElementById("editor");
const root = document.getElementById("rich");
const form = document.getElementById("edit");
const field = form.elements.body;
const letter = JSON.parse(editor.dataset.letter);

const { blocks: BLOCKS, inline: INLINE } = letter;
const SAME = { strong: "b", em: "i", ins: "u", strike: "s" };
const ADDRESS = /^(?:https?:\/\/|mailto:)[^\s\u0000-\u001f\u007f-\u009f]+$/i;
const SHOWN = /^(?:color|background-color|font-(?:family|size|style|weight)|line-height|text-align|text-decoration|padding-left|margin(?:-(?:top|right|bottom|left))?)$/;

const isKept = (name) => /^kept-\d+$/.test(name) && Number(name.slice(5)) < letter.kept.length;

function clean(html) {
  // A style or a handler that a parser meets is reported by the policy, though it has no effect; so none gets that far.
  const plain = html.replace(/<[^>]*>/g, (tag) => tag.replace(/([\s/"'])(?:style|on\w+)(?=\s*=)/gi, "$1data-was"));
  const made = DOMPurify.sanitize(plain, {
    ALLOWED_TAGS: [...BLOCKS, ...INLINE, "#text"],
    ALLOWED_ATTR: ["href", "class"],
    ALLOWED_URI_REGEXP: ADDRESS,
    ALLOW_DATA_ATTR: false,
    ALLOW_ARIA_ATTR: false,
    FORBID_CONTENTS: ["script", "style", "title", "template", "textarea", "iframe", "noscript", "xmp", "svg", "math", "select", "object"],
    RETURN_DOM_FRAGMENT: true,
  });
  for (const element of made.querySelectorAll("[class]")) if (!isKept(element.className)) element.removeAttribute("class");
  return document.importNode(made, true);
}

function showStyles() {
  const probe = document.createElement("i").style;
  const rules = letter.styles.map((style, number) => {
    probe.cssText = style; // an object of the page, not an attribute of its markup
    const parts = [...probe].filter((name) => SHOWN.test(name) && !/url|var|env|attr/i.test(probe.getPropertyValue(name)));
    return `#rich .kept-${number} { ${parts.map((name) => `${name}: ${probe.getPropertyValue(name)}`).join("; ")} }`;
  });
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(rules.join("\n"));
  document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];
}

// Writing what is in the editor

const escaped = (text) =>
  text.replace(/\u200b/g, "").replace(/[&<>"\u00a0]/g, (one) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\u00a0": "&nbsp;" })[one]);

function write(node) {
  if (node.nodeType === Node.TEXT_NODE) return escaped(node.data).replaceAll("&quot;", '"');
  if (node.nodeType !== Node.ELEMENT_NODE) return "";
  const name = node.localName;
  const inside = [...node.childNodes].map(write).join("");
  if (![...BLOCKS, ...INLINE].includes(name)) return inside;
  if (name === "br") return "<br>";
  const href = name === "a" && ADDRESS.test(node.getAttribute("href") || "") ? node.getAttribute("href") : "";
  if (name === "a" && !href) return inside;
  const kept = isKept(node.className) ? ` ${letter.kept[Number(node.className.slice(5))]}` : "";
  // The editor wraps what is in an entry of a list; mail programs show the wrapping as space.
  const only = name === "li" && node.children.length === 1 && node.firstElementChild.localName === "div" && !node.firstElementChild.className;
  const text = only && node.childNodes.length === 1 ? [...node.firstElementChild.childNodes].map(write).join("") : inside;
  return `<${name}${href ? ` href="${escaped(href)}"` : ""}${kept}>${text}</${name}>`;
}

const written = () => [...root.childNodes].map(write).filter(Boolean);

// The blocks that each piece of the letter becomes in the editor, so that they are known again.
let known = [];

function middle() {
  const now = written();
  const isAt = (piece, place) => known[piece].every((block, index) => block === now[place + index]);
  // The end first, so that a paragraph that is like another one is not looked for too far away.
  let last = known.length;
  let end = now.length;
  while (last && end >= known[last - 1].length && isAt(last - 1, end - known[last - 1].length)) {
    last -= 1;
    end -= known[last].length;
  }
  const starts = new Map();
  for (let piece = 0; piece < last; piece += 1) {
    const [block] = known[piece];
    if (block === undefined) continue;
    if (!starts.has(block)) starts.set(block, []);
    starts.get(block).push(piece);
  }
  const out = [];
  let next = 0;
  let changed = [];
  const flush = (until) => {
    // What stands instead of a piece keeps the white space behind it.
    const gone = letter.pieces.slice(next, until).map((pair) => pair[0]);
    const spaces = gone.map((piece) => piece.match(/\s*$/)[0]);
    if (!changed.length && known.slice(next, until).every((blocks) => !blocks.length)) out.push(...gone);
    else changed.forEach((block, index) => out.push(block, index < changed.length - 1 ? (spaces[index] ?? "") : (spaces.at(-1) ?? "")));
    changed = [];
  };
  for (let place = 0; place < end; ) {
    const piece = (starts.get(now[place]) || []).find((one) => one >= next && place + known[one].length <= end && isAt(one, place));
    if (piece === undefined) {
      changed.push(now[place]);
      place += 1;
      continue;
    }
    flush(piece);
    out.push(letter.pieces[piece][0]);
    place += known[piece].length;
    next = piece + 1;
  }
  flush(last);
  for (let piece = last; piece < known.length; piece += 1) out.push(letter.pieces[piece][0]);
  return out.join("");
}

// What a reader would notice: the words, how they are marked, where lines end.
function read(node, path = "", out = []) {
  for (const child of node.childNodes) {
    if (child.nodeType === Node.TEXT_NODE) {
      const text = child.data.replace(/[\s\u200b]+/g, "");
      if (text && out.at(-1)?.[0] === path) out.at(-1)[1] += text;
      else if (text) out.push([path, text]);
      continue;
    }
    if (child.nodeType !== Node.ELEMENT_NODE) continue;
    const name = SAME[child.localName] || child.localName;
    const isBlock = BLOCKS.includes(name) || name === "br";
    if (isBlock && out.length && out.at(-1)[0] !== "/") out.push(["/", ""]);
    const step = name === "br" || (name === "div" && !child.className) ? "" : `>${name}.${child.className}.${child.getAttribute("href") || ""}`;
    read(child, path + step, out);
    if (isBlock && out.length && out.at(-1)[0] !== "/") out.push(["/", ""]);
  }
  return out;
}

const asText = (parts) => JSON.stringify(parts.at(-1)?.[0] === "/" ? parts.slice(0, -1) : parts);

// The toolbar

const tools = editor.querySelector("[role=toolbar]");
const buttons = [...tools.querySelectorAll("button")];
const linkRow = document.getElementById("rich-link");
const href = document.getElementById("rich-href");
const host = document.getElementById("rich-host");

function toolbar(squire) {
  const on = (tag) => squire.hasFormat(tag);
  const toggle = (tag, set, remove) => () => (on(tag) ? remove() : set());
  const acts = {
    bold: toggle("b", () => squire.bold(), () => squire.removeBold()),
    italic: toggle("i", () => squire.italic(), () => squire.removeItalic()),
    underline: toggle("u", () => squire.underline(), () => squire.removeUnderline()),
    strike: toggle("s", () => squire.strikethrough(), () => squire.removeStrikethrough()),
    bullets: toggle("ul", () => squire.makeUnorderedList(), () => squire.removeList()),
    numbers: toggle("ol", () => squire.makeOrderedList(), () => squire.removeList()),
    quote: () => squire.increaseQuoteLevel(),
    unquote: () => squire.decreaseQuoteLevel(),
    link: () => showLink(squire),
    clear: () => squire.removeAllFormatting(),
    undo: () => squire.undo(),
    redo: () => squire.redo(),
  };
  const tags = { bold: "b", italic: "i", underline: "u", strike: "s", bullets: "ul", numbers: "ol", link: "a" };

  const update = () => {
    for (const button of buttons) {
      const tag = tags[button.dataset.tool];
      if (tag) button.setAttribute("aria-pressed", on(tag));
    }
    const link = linkAt(squire);
    if (linkRow.hidden) host.textContent = link ? `${link.textContent} ${editor.dataset.goes} ${hostOf(link.getAttribute("href"))}` : "";
  };
  squire.addEventListener("pathChange", update);
  squire.addEventListener("select", update);
  squire.addEventListener("cursor", update);

  buttons.forEach((button, place) => {
    button.tabIndex = place ? -1 : 0;
    // The selection stays where it is while a button is pressed with the mouse.
    button.addEventListener("mousedown", (event) => event.preventDefault());
    button.addEventListener("click", () => {
      acts[button.dataset.tool]();
      update();
    });
  });
  tools.addEventListener("keydown", (event) => {
    const at = buttons.indexOf(document.activeElement);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: buttons.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    const next = buttons[(to + buttons.length) % buttons.length];
    for (const button of buttons) button.tabIndex = button === next ? 0 : -1;
    next.focus();
  });

  squire.setKeyHandler(/Mac|iP/.test(navigator.platform) ? "Meta-k" : "Ctrl-k", (_self, event) => {
    event.preventDefault();
    showLink(squire);
  });

  href.addEventListener("input", () => {
    const address = addressOf(href.value);
    host.textContent = address ? `${editor.dataset.goes} ${hostOf(address)}` : "";
  });
  linkRow.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && event.target === href) setLink(squire, event);
    else if (event.key === "Escape") hideLink(squire, event);
  });
  linkRow.querySelector("[data-link=set]").addEventListener("click", (event) => setLink(squire, event));
  linkRow.querySelector("[data-link=remove]").addEventListener("click", (event) => {
    hideLink(squire, event);
    squire.removeLink();
  });
  update();
}

function linkAt(squire) {
  const place = squire.getSelection().commonAncestorContainer;
  const element = place.nodeType === Node.ELEMENT_NODE ? place : place.parentElement;
  return element?.closest("#rich a");
}

function showLink(squire) {
  linkRow.hidden = false;
  href.value = linkAt(squire)?.getAttribute("href") || "https://";
  href.dispatchEvent(new Event("input"));
  href.focus();
}

function hideLink(squire, event) {
  event.preventDefault();
  linkRow.hidden = true;
  host.textContent = "";
  squire.focus();
}

function setLink(squire, event) {
  const address = addressOf(href.value);
  event.preventDefault();
  if (!address) {
    host.textContent = editor.dataset.nolink;
    href.focus();
    return;
  }
  hideLink(squire, event);
  squire.makeLink(address);
}

function addressOf(typed) {
  const text = typed.trim();
  const address = /^[^\s@:/]+@[^\s@/]+\.[^\s@/]+$/.test(text) ? `mailto:${text}` : text;
  return ADDRESS.test(address) && hostOf(address) ? address : "";
}

function hostOf(address) {
  try {
    const url = new URL(address);
    return url.protocol === "mailto:" ? decodeURIComponent(url.pathname) : url.host;
  } catch {
    return "";
  }
}

// Turning it on

async function begin() {
  const { default: Squire } = await import(document.getElementById("rich-script").dataset.squire);
  const shown = letter.pieces.map((pair) => pair[1]);
  const squire = new Squire(root, {
    blockTag: /<p[\s>]/i.test(shown.join("")) || !/<div[\s>]/i.test(shown.join("")) ? "P" : "DIV",
    sanitizeToDOMFragment: clean,
    addLinks: false,
    didError: (error) => console.error(error),
  });
  known = shown.map((piece) => {
    if (!piece.trim()) return [];
    squire.setHTML(piece);
    return written();
  });
  squire.setHTML(shown.join(""));
  const isFaithful =
    JSON.stringify(written()) === JSON.stringify(known.flat()) &&
    asText(read(root)) === asText(read(new DOMParser().parseFromString(shown.join(""), "text/html").body)) &&
    middle() === letter.pieces.map((pair) => pair[0]).join("");
  if (!isFaithful) {
    squire.destroy();
    editor.replaceWith(Object.assign(document.createElement("p"), { className: "help", textContent: editor.dataset.unkept }));
    return;
  }
  showStyles();
  if (letter.typed !== null) squire.setHTML(encodedAgain(letter.typed));
  editor.hidden = false;
  for (const hidden of [field.closest(".field"), ...form.querySelectorAll("[data-plain]")]) hidden.hidden = true;
  const below = document.getElementById("kept-below");
  if (below) below.hidden = false;
  form.elements.body_form.value = "rich";
  toolbar(squire);
  const put = () => {
    const value = middle();
    if (field.value !== value) field.value = value;
  };
  put();
  squire.addEventListener("input", () => {
    put();
    form.dispatchEvent(new Event("input"));
  });
  form.addEventListener("submit", put);
  document.getElementById("rich-label").addEventListener("click", () => squire.focus());
}

// What was typed before comes with the attributes of the letter; in the editor they are classes again.
function encodedAgain(html) {
  const numbers = new Map(letter.kept.map((attributes, number) => [attributes, number]));
  return html.replace(/<([a-z][a-z0-9]*)((?:\s+[\w:.-]+(?:\s*=\s*(?:"[^"<>]*"|'[^'<>]*'|[^\s"'<>=`]+))?)*)\s*\/?>/gi, (_tag, name, attributes) => {
    const all = [...attributes.matchAll(/([\w:.-]+)(?:\s*=\s*(?:"([^"<>]*)"|'([^'<>]*)'|([^\s"'<>=`]+)))?/g)];
    const isTarget = (one) => one[1].toLowerCase() === "href";
    const target = all.find(isTarget);
    const others = all.filter((one) => !isTarget(one)).map((one) => one[0]).join(" ");
    const number = numbers.get(others);
    return `<${name}${number === undefined ? "" : ` class="kept-${number}"`}${target ? ` href="${target[2] ?? target[3] ?? target[4]}"` : ""}>`;
  });
}

begin();
