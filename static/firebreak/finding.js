/* Finding and doing: the command palette (the page's own actions and what the server finds), and the keys.
   Without this module the search is a page and every action a link or a form. */

const one = (selector, within = document) => within.querySelector(selector);
const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const made = (name, properties = {}, attributes = {}) => {
  const element = Object.assign(document.createElement(name), properties);
  for (const [attribute, value] of Object.entries(attributes)) element.setAttribute(attribute, value);
  return element;
};

const usable = (element) => element.offsetParent !== null && element.getAttribute("aria-disabled") !== "true";
const nameOf = (element) => one("[data-name]", element)?.dataset.name || (one("[data-name]", element) ?? element).textContent.trim();
const keysOn = () => localStorage.getItem("hotkeys") !== "off";

/* --- the palette ---------------------------------------------------------------------------------- */

const PAUSE = 120; // ms without a letter before the server is asked
const PATIENCE = 8000; // ms; what takes longer counts as gone
const palette = one("#palette");
const [filter, list, status] = palette ? [one("input", palette), one("#palette-list"), one("#palette-status")] : [];
let commands = []; // the page's own actions, as they stood when the palette was opened
let found = []; // groups of options, as the server rendered them
let active = null; // the option that Enter would take
let chosen = false; // whether the person moved to it, or it is merely the first
let timer;
let request = null;

const options = () => all("[role=option]", list);

function heading(label, items) {
  const group = made("ul", {}, { role: "group", "aria-label": label, "data-heading": label });
  group.append(...items);
  return group;
}

function commandOption(command, index) {
  const option = made("li", { id: `command-${index}` }, { role: "option", "aria-selected": "false" });
  option.append(made("span", { className: "clip", textContent: nameOf(command) }));
  if (command.dataset.hotkey) option.append(made("kbd", { className: "push", textContent: command.dataset.hotkey }));
  return option;
}

function searchPage(words) {
  return `${palette.dataset.search}?q=${encodeURIComponent(words)}`;
}

function everything(words) {
  const option = made("li", { id: "search-everything" }, { role: "option", "aria-selected": "false", "data-href": searchPage(words) });
  option.append(made("span", { className: "clip", textContent: `Search everything for “${words}”` }));
  return option;
}

function draw() {
  const words = filter.value.trim();
  const wanted = words.toLowerCase().split(/\s+/);
  const matching = commands.map(commandOption).filter((_, index) => wanted.every((word) => nameOf(commands[index]).toLowerCase().includes(word)));
  const before = chosen ? active?.id : null;
  const groups = [matching.length ? heading("Commands", matching) : null, ...found, words ? heading("Search", [everything(words)]) : null];
  if (!words) groups.unshift(...groups.splice(1, found.length)); // without words, what is open comes first
  list.replaceChildren(...groups.filter(Boolean));
  mark((before && document.getElementById(before)) || options()[0], Boolean(before));
}

function mark(option, byPerson) {
  active?.setAttribute("aria-selected", "false");
  active = option ?? null;
  chosen = byPerson;
  active?.setAttribute("aria-selected", "true");
  if (active) filter.setAttribute("aria-activedescendant", active.id);
  else filter.removeAttribute("aria-activedescendant");
  if (byPerson) active?.scrollIntoView({ block: "nearest" });
}

function move(by) {
  const shown = options();
  if (shown.length) mark(shown[(shown.indexOf(active) + by + shown.length) % shown.length], true);
}

function take(option, inNewTab = false) {
  if (!option) return;
  const command = option.id.startsWith("command-") ? commands[Number(option.id.slice(8))] : null;
  if (inNewTab && option.dataset.href) return void window.open(option.dataset.href, "_blank", "noopener");
  palette.close();
  if (command) command.click();
  else location.assign(option.dataset.href);
}

/* What the server finds comes after the commands, which never wait for it. */
async function ask(words) {
  request?.abort();
  const mine = (request = new AbortController());
  let gaveUp = false;
  const limit = setTimeout(() => { gaveUp = true; mine.abort(); }, PATIENCE);
  const waiting = setTimeout(() => (status.textContent = "Searching…"), 400);
  try {
    const answer = await fetch(`${searchPage(words)}&panel=options`, { signal: mine.signal, redirect: "manual", headers: { Accept: "text/html" } });
    if (answer.type === "opaqueredirect") return settle([], "Signed out: reload the page to sign in. Commands work.");
    if (!answer.ok) throw new Error(`search answered ${answer.status}`);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const failed = one("[data-failed]", page)?.textContent ?? "";
    settle(all("[role=group]", page), failed, words);
  } catch (error) {
    if (error.name === "AbortError" && !gaveUp) return; // another letter came
    settle([], "The search does not answer. Commands work all the same.");
  } finally {
    clearTimeout(limit);
    clearTimeout(waiting);
  }

  function settle(groups, trouble, said) {
    if (mine !== request) return;
    found = groups;
    draw();
    const hits = groups.reduce((sum, group) => sum + group.children.length, 0);
    const counted = said === undefined ? "" : said ? `${hits} found` : hits ? `${hits} open` : "";
    status.textContent = [counted, trouble].filter(Boolean).join(". ");
  }
}

function typed() {
  chosen = false;
  const words = filter.value.trim().toLowerCase().split(/\s+/);
  for (const group of found) for (const option of [...group.children]) {
    // What was found by fewer letters stays only while it still fits: Enter must not take another thing.
    if (!words.every((word) => option.textContent.toLowerCase().includes(word))) option.remove();
  }
  found = filter.value.trim() ? found.filter((group) => group.children.length) : [];
  draw();
  clearTimeout(timer);
  timer = setTimeout(() => ask(filter.value.trim()), PAUSE);
}

function openPalette() {
  if (!palette || palette.open || one("dialog[open]")) return;
  commands = all("[data-palette]").filter((element) => element.getAttribute("aria-disabled") !== "true");
  found = [];
  filter.value = "";
  status.textContent = "";
  chosen = false;
  draw();
  palette.showModal();
  filter.focus();
  ask("");
}

function openKeys() {
  one("#keys dl").replaceChildren(...all("[data-hotkey]").flatMap((element) => {
    const key = made("dt");
    key.append(made("kbd", { textContent: element.dataset.hotkey }));
    return [key, made("dd", { textContent: element.dataset.open === "keys" ? "This list" : nameOf(element) })];
  }));
  one("[data-hotkeys]").checked = keysOn();
  one("#keys").showModal();
}

if (palette) {
  filter.addEventListener("input", typed);
  filter.addEventListener("keydown", (event) => {
    if (event.isComposing) return;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      move(event.key === "ArrowDown" ? 1 : -1);
    }
    if (event.key === "Enter") {
      event.preventDefault();
      take(active, event.ctrlKey || event.metaKey);
    }
  });
  list.addEventListener("pointermove", (event) => {
    const option = event.target.closest("[role=option]");
    if (option && option !== active) mark(option, true);
  });
  list.addEventListener("pointerdown", (event) => event.preventDefault()); // the letters stay where they are typed
  list.addEventListener("click", (event) => take(event.target.closest("[role=option]"), event.ctrlKey || event.metaKey));
  palette.addEventListener("close", () => {
    clearTimeout(timer);
    request?.abort();
  });
}

/* --- keys ----------------------------------------------------------------------------------------- */

/* 0 to 3 choose a card while nothing is being written. */
function chooseByDigit(event) {
  const cards = one("[data-digits]", event.target.closest("form") ?? one("dialog[open] form") ?? document);
  const card = /^\d$/.test(event.key) && cards && one(`input[type=radio][value$="${event.key}"]:not(:disabled)`, cards);
  if (!card) return false;
  event.preventDefault();
  card.focus();
  card.click();
  return true;
}

let prefix = "";
document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) return event.target.form?.requestSubmit();
  if (event.key?.toLowerCase() === "k" && (event.ctrlKey || event.metaKey) && palette) {
    event.preventDefault();
    return palette.open ? palette.close() : openPalette();
  }
  const typing = event.target.matches("input, textarea, select") && !event.target.matches("[type=radio], [type=checkbox]");
  if (event.ctrlKey || event.metaKey || event.altKey || typing || palette?.open) return;
  if (chooseByDigit(event) || one("dialog[open]") || !keysOn()) return;
  const pressed = prefix + event.key;
  const target = all("[data-hotkey]").find((element) => element.dataset.hotkey === pressed && (usable(element) || element.dataset.open));
  prefix = !target && event.key === "g" ? "g " : "";
  if (!target) return;
  event.preventDefault();
  target.click();
});

document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-open]");
  if (!opener || event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault(); // where it is a link, it leads to the page that works without this module
  if (opener.dataset.open === "palette") openPalette();
  if (opener.dataset.open === "keys") openKeys();
});

document.addEventListener("change", (event) => {
  if (event.target.matches("[data-hotkeys]")) localStorage.setItem("hotkeys", event.target.checked ? "on" : "off");
});
