// Recipients as chips: one for each line of the field, which stays what the form sends. What is said about an address
// comes from the desk with the other checks, and is shown in the chip as it is shown in their list.

const form = document.getElementById("edit");
const words = document.getElementById("chip-words").dataset;
// Where one address ends and the next begins: a line, a semicolon, a comma behind an address.
const BORDER = /\s*[;\n]+\s*|(?<=@[^\s,;<>]+>?)\s*,\s*/;

for (const name of ["to", "cc", "bcc", "reply_to"]) chips(form.elements[name]);

function chips(field) {
  const box = document.createElement("div");
  const list = document.createElement("ul");
  const input = document.createElement("input");
  const now = document.createElement("span");
  const label = form.querySelector(`label[for="${field.id}"]`);
  box.className = "chips";
  list.className = "chips__list";
  list.setAttribute("aria-label", `${label.textContent}: ${words.list}`);
  input.id = `${field.id}_new`;
  input.autocomplete = "off";
  input.spellcheck = false;
  input.inputMode = "email";
  input.setAttribute("list", "known-addresses");
  input.setAttribute("aria-describedby", "chips-help");
  if (field.getAttribute("aria-invalid")) input.setAttribute("aria-invalid", "true");
  now.className = "chips__now";
  now.id = `${field.id}_now`;
  box.append(list, input, now);
  field.after(box);
  field.hidden = true;
  label.htmlFor = input.id;

  let lines = split(field.value);
  const buttons = () => [...list.querySelectorAll("button")];

  function draw() {
    list.replaceChildren(
      ...lines.map((line, place) => {
        const chip = document.createElement("li");
        const text = document.createElement("span");
        const remove = document.createElement("button");
        chip.className = "chip";
        chip.dataset.place = place;
        text.className = "chip__text";
        text.textContent = line;
        remove.type = "button";
        remove.tabIndex = -1;
        remove.className = "chip__remove";
        remove.textContent = "×";
        remove.setAttribute("aria-label", `${words.remove} ${line}`);
        remove.addEventListener("click", () => drop(place));
        remove.addEventListener("keydown", (event) => move(event, place));
        text.addEventListener("dblclick", () => change(place));
        chip.append(text, remove);
        return chip;
      }),
    );
    tell();
  }

  function put() {
    field.value = [...lines, input.value.trim()].filter(Boolean).join("\n");
    form.dispatchEvent(new Event("input"));
  }

  function take() {
    const found = split(input.value);
    if (!found.length) return false;
    lines.push(...found.map(named));
    input.value = "";
    draw();
    put();
    return true;
  }

  function drop(place) {
    lines.splice(place, 1);
    draw();
    put();
    (buttons()[Math.min(place, lines.length - 1)] || input).focus();
  }

  function change(place) {
    take();
    [input.value] = lines.splice(place, 1);
    draw();
    put();
    input.focus();
  }

  function move(event, place) {
    const to = { ArrowLeft: place - 1, ArrowRight: place + 1, Home: 0, End: lines.length }[event.key];
    if (event.key === "Backspace" || event.key === "Delete") drop(place);
    else if (event.key === "F2") change(place);
    else if (to !== undefined) (buttons()[Math.max(0, to)] || input).focus();
    else return;
    event.preventDefault();
  }

  // What the list of checks says about each line, in its chip.
  function tell() {
    const said = [...document.querySelectorAll(`#preview .verdicts [data-part="${field.name}"]`)];
    // As many answers as lines belong to these lines; else only an address that is written the same is meant.
    const isInStep = said.length === field.value.split("\n").filter(Boolean).length;
    const about = (line, place) =>
      isInStep ? said[place] : said.find((one) => line.toLowerCase().includes(one.dataset.email.toLowerCase()));
    for (const chip of list.children) {
      const found = about(lines[chip.dataset.place], Number(chip.dataset.place));
      if (!found) continue;
      // The address, its readable form and its name as the desk writes them, and the verdict in word and shape.
      const parts = [...found.firstElementChild.childNodes].slice(1);
      chip.firstElementChild.replaceChildren(...parts.map((part) => part.cloneNode(true)), " ", found.querySelector(".verdict").cloneNode(true));
      chip.title = found.querySelector(".help").textContent;
    }
    const typed = input.value.includes("@") && about(input.value, lines.length);
    now.replaceChildren(...(typed ? [typed.querySelector(".verdict").cloneNode(true), " ", typed.querySelector(".help").textContent] : []));
  }

  input.addEventListener("input", (event) => {
    event.stopPropagation();
    // One that was chosen from the list is complete.
    if (event.inputType === "insertReplacementText" || !event.inputType) take();
    else put();
    now.replaceChildren();
  });
  input.addEventListener("keydown", (event) => {
    if (event.isComposing) return;
    const isAtStart = input.selectionStart === 0 && input.selectionEnd === 0;
    if ((event.key === "Enter" || event.key === "," || event.key === ";") && input.value.trim()) {
      if (event.key !== "," || input.value.includes("@")) {
        event.preventDefault();
        take();
      }
    } else if (event.key === "Enter") event.preventDefault();
    else if ((event.key === "Backspace" || event.key === "ArrowLeft") && isAtStart && lines.length) {
      event.preventDefault();
      buttons().at(-1).focus();
    }
  });
  input.addEventListener("paste", (event) => {
    const text = event.clipboardData.getData("text/plain");
    if (split(text).length < 2) return;
    event.preventDefault();
    take();
    lines.push(...split(text).map(named));
    draw();
    put();
  });
  input.addEventListener("blur", take);
  box.addEventListener("click", (event) => {
    if (event.target === box || event.target === list) input.focus();
  });
  document.addEventListener("checked", tell);
  draw();
}

function split(text) {
  return text
    .split(BORDER)
    .map((one) => one.trim().replace(/[,;]+$/, ""))
    .filter(Boolean);
}

// A bare address that the desk knows gets the name it knows.
function named(line) {
  const option = [...document.querySelectorAll("#known-addresses option")].find((one) => one.value === line);
  const name = option?.label && option.label !== line ? option.label.replace(/[<>"\n]/g, " ").trim() : "";
  return name ? `${name} <${line}>` : line;
}
