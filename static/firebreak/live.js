/* What a page does after it has loaded: clocks, the live connection, panels that renew themselves, dialogs and keys.
   Without this module every action is still a plain form. */

const root = document.documentElement;
const one = (selector, within = document) => within.querySelector(selector);
const all = (selector, within = document) => [...within.querySelectorAll(selector)];

/* --- clocks: counted with the server's time, because a laptop's own may be wrong ----------------- */

let skew = Date.parse(root.dataset.now) - Date.now() || 0;
const now = () => Date.now() + skew;
const two = (n) => String(n).padStart(2, "0");

function span(milliseconds) {
  const s = Math.floor(Math.abs(milliseconds) / 1000);
  if (s < 3600) return `${Math.floor(s / 60)}:${two(s % 60)}`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${two(Math.floor(s / 60) % 60)} m`;
  return `${Math.floor(s / 86400)} d ${Math.floor(s / 3600) % 24} h`;
}

function relative(milliseconds) {
  const s = Math.floor(Math.abs(milliseconds) / 1000);
  const text =
    s < 5 ? "now" : s < 60 ? `${s} s` : s < 3600 ? `${Math.floor(s / 60)} min`
    : s < 86400 ? `${Math.floor(s / 3600)} h` : `${Math.floor(s / 86400)} d`;
  return text === "now" ? text : milliseconds < 0 ? `in ${text}` : `${text} ago`;
}

function exact(at) {
  const utc = `${at.toISOString().slice(0, 19).replace("T", " ")} UTC`;
  const here = at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", timeZoneName: "short" });
  return at.getTimezoneOffset() ? `${utc} · ${here}` : utc;
}

/* A countdown is amber in the last quarter of its time (or the last five minutes), then red. */
function urgency(at, from) {
  const left = at - now();
  if (left < 0) return "overdue";
  return left < (from ? (at - from) / 4 : 300_000) ? "soon" : "neutral";
}

function drawClock(time) {
  const at = new Date(time.dateTime);
  const from = time.dataset.from ? new Date(time.dataset.from) : null;
  const kind = time.dataset.clock;
  let text = relative(now() - at);
  if (kind === "since") text = span(now() - at);
  if (kind === "between") text = span(at - from);
  if (kind === "until") {
    time.dataset.tone = urgency(at, from);
    text = at < now() ? `${span(now() - at)} late` : span(at - now());
  }
  if (!time.dataset.exact) time.title = exact(at);
  const shown = time.dataset.exact ? exact(at) : text;
  if (time.textContent !== shown) time.textContent = shown;
}

const drawClocks = (within = document) => all("time[data-clock]", within).forEach(drawClock);

/* How wrong this browser's own clock is; the time a page needs to load counts as exact. */
function drawSkew(within = document) {
  const text = Math.abs(skew) < 2000 ? "clock exact" : `clock ${span(skew)} ${skew > 0 ? "behind" : "ahead"} (wrong)`;
  for (const item of all("[data-browser-skew]", within)) item.textContent = text;
}

/* --- panels: a section that the server renders again when one of its topics changes -------------- */

const busy = new Set();
const stale = new Set();
const postponed = new Set();
const panels = () => all("[data-live-topics]");

const isDirty = (input) =>
  input.type === "checkbox" || input.type === "radio" ? input.checked !== input.defaultChecked
  : input.tagName === "SELECT" ? input.selectedOptions[0] !== (one("option[selected]", input) ?? input.options[0])
  : input.type !== "hidden" && input.value !== input.defaultValue;

function isInUse(panel) {
  const focused = document.activeElement;
  const typing = panel.contains(focused) && focused.matches("input, textarea, select");
  const selection = getSelection();
  const selecting = !selection.isCollapsed && panel.contains(selection.anchorNode);
  return typing || selecting || all("input, textarea, select", panel).some(isDirty);
}

function postpone(panel) {
  if (postponed.has(panel.id)) return;
  postponed.add(panel.id);
  const hint = document.createElement("span");
  hint.className = "badge newer";
  hint.dataset.tone = "info";
  hint.textContent = "New activity, shown when you are done here";
  panel.append(hint);
}

function refresh(panel) {
  if (busy.has(panel.id)) return void stale.add(panel.id);
  if (isInUse(panel)) return postpone(panel);
  postponed.delete(panel.id);
  busy.add(panel.id);
  htmx.trigger(panel, "refresh");
}

let refreshedAt = Date.now();
function refreshAll() {
  refreshedAt = Date.now();
  panels().forEach(refresh);
}

function refreshTopics(topics) {
  if (topics.includes("resync")) return refreshAll();
  panels().filter((panel) => panel.dataset.liveTopics.split(/\s+/).some((topic) => topics.includes(topic))).forEach(refresh);
}

/* What a reader had in a panel before it was replaced, to be put back after. */
function remember(panel) {
  const focused = panel.contains(document.activeElement) ? document.activeElement : null;
  return {
    focus: focused?.id ? `#${CSS.escape(focused.id)}` : focused?.getAttribute("href") ? `[href="${CSS.escape(focused.getAttribute("href"))}"]` : null,
    announced: panel.dataset.announce,
    open: all("details[id]", panel).map((details) => [details.id, details.open]),
    scroll: all("[data-scroll]", panel).concat(panel).map((box) => [
      box.id, box.scrollTop, box.scrollHeight - box.scrollTop - box.clientHeight < 8,
    ]),
  };
}

function restore(panel, memory) {
  for (const [id, open] of memory.open) if (document.getElementById(id)) document.getElementById(id).open = open;
  for (const [id, top, atEnd] of memory.scroll) {
    const box = document.getElementById(id);
    if (box) box.scrollTop = atEnd && box.dataset.scroll === "end" ? box.scrollHeight : top;
  }
  if (memory.focus) one(memory.focus, panel)?.focus({ preventScroll: true });
  if (panel.dataset.announce && panel.dataset.announce !== memory.announced) one("#announcer").textContent = panel.dataset.announce;
  drawClocks(panel);
  drawSkew(panel);
}

const scrollToEnds = (within = document) => all('[data-scroll="end"]', within).forEach((box) => (box.scrollTop = box.scrollHeight));

const memories = new Map();
document.addEventListener("htmx:beforeSwap", ({ detail }) => {
  const panel = detail.target;
  if (!panel.matches?.("[data-live-topics]")) return;
  const { responsePath, requestPath } = detail.pathInfo;
  if (responsePath && responsePath.split("?")[0] !== requestPath.split("?")[0]) {
    detail.shouldSwap = false; // sent elsewhere, as to the sign-in page
    setState("signed-out");
  } else if (detail.shouldSwap && isInUse(panel)) {
    detail.shouldSwap = false; // someone began to type while the answer was under way
    postpone(panel);
  } else {
    memories.set(panel.id, remember(panel));
  }
});

document.addEventListener("htmx:afterRequest", ({ detail }) => {
  const { elt, verb } = detail.requestConfig;
  const served = Date.parse(detail.xhr.getResponseHeader("Date") ?? "");
  if (served && Math.abs(served - now()) > 2000) skew = served - Date.now();
  if (verb === "post") return afterPost(detail);
  if (!busy.has(elt.id)) return;
  const panel = document.getElementById(elt.id);
  if (panel && memories.has(elt.id)) restore(panel, memories.get(elt.id));
  memories.delete(elt.id);
  if (detail.xhr.status === 0 && state !== "live") setState("offline");
  if (detail.successful && state === "offline") setState("polling");
  // Not before htmx has settled (20 ms): until then the new panel does not listen, and the run would be lost.
  setTimeout(() => {
    busy.delete(elt.id);
    const settled = document.getElementById(elt.id);
    if (stale.delete(elt.id) && settled) refresh(settled);
  }, 100);
});

/* --- the live connection: one per browser, because browsers allow six per server ------------------ */

const STATES = {
  live: ["ok", "Live"],
  reconnecting: ["warning", "Reconnecting…"],
  polling: ["warning", "Polling every 5 s"],
  offline: ["critical", "Offline, trying again"],
  "signed-out": ["critical", "Signed out: reload to sign in"],
};
const shareable = Boolean(navigator.locks) && "BroadcastChannel" in window && "EventSource" in window;
const bus = shareable ? new BroadcastChannel("firebreak-live") : null;
let state = null;
let stateSince = Date.now();
let stream = null; // the EventSource of the one tab that leads
let leaderHeardAt = Date.now();

function setState(next) {
  if (state === next || (state === "signed-out" && next !== "live")) return;
  stateSince = Date.now();
  state = next;
  const shown = one("#live-state");
  if (shown) [shown.dataset.tone, shown.textContent] = STATES[next];
}

function share(message) {
  bus.postMessage(message);
  hear(message);
}

function hear(message) {
  leaderHeardAt = Date.now();
  if (message.state) setState(message.state);
  if (message.topics) refreshTopics(message.topics);
}

function lead() {
  return new Promise((release) => {
    let wait = 1000;
    let timer;
    const open = () => {
      stream = new EventSource(root.dataset.live);
      stream.onopen = () => {
        wait = 1000;
        share({ state: "live", topics: ["resync"] });
      };
      stream.onmessage = (event) => share(JSON.parse(event.data));
      stream.onerror = () => {
        if (state === "live") share({ state: "reconnecting" });
        if (stream.readyState !== EventSource.CLOSED) return; // the browser tries again by itself
        timer = setTimeout(open, wait);
        wait = Math.min(wait * 2, 30_000);
      };
    };
    resign = () => {
      clearTimeout(timer);
      stream?.close();
      stream = null;
      release();
    };
    open();
  });
}

let resign = () => {};
async function campaign(options = {}) {
  try {
    await navigator.locks.request("firebreak-live", options, lead);
  } catch (error) {
    if (error.name !== "AbortError") throw error; // another tab took the lead from a tab that slept
    resign();
    campaign();
  }
}

function connect() {
  if (!root.dataset.live) return;
  if (!shareable) return setState("polling");
  setState("reconnecting");
  bus.onmessage = ({ data }) => (data.ask ? stream && bus.postMessage({ state }) : hear(data));
  bus.postMessage({ ask: true });
  campaign();
  addEventListener("pagehide", () => resign());
  addEventListener("pageshow", (event) => event.persisted && campaign());
}

/* A leader whose tab the browser froze is silent: a tab that is looked at takes over. */
function watchLeader() {
  if (!shareable || stream || document.hidden) return;
  if (Date.now() - leaderHeardAt > 20_000) {
    leaderHeardAt = Date.now();
    campaign({ steal: true });
  } else if (Date.now() - leaderHeardAt > 10_000) bus.postMessage({ ask: true });
}

setInterval(() => {
  drawClocks();
  for (const item of all("#toasts > li:is([data-tone=success], [data-tone=info]):not(:hover, :focus-within)")) {
    item.dataset.seconds = Number(item.dataset.seconds ?? 0) + 1;
    if (item.dataset.seconds > 8) item.remove();
  }
  if (!root.dataset.live) return;
  for (const panel of panels()) if (postponed.has(panel.id) && !isInUse(panel)) refresh(panel);
  watchLeader();
  if (state === "reconnecting" && Date.now() - stateSince > 5000) setState("polling");
  const alone = state === "polling" || state === "offline";
  if (alone && !document.hidden && Date.now() - refreshedAt >= 5000) refreshAll();
}, 1000);

/* --- forms: posted in place, answered by a redirect, a 422 or a problem --------------------------- */

function toast(text, tone = "error") {
  const item = one("#toast").content.firstElementChild.cloneNode(true);
  item.dataset.tone = tone;
  one("span", item).textContent = text;
  one("#toasts").append(item);
}

function complaint(xhr) {
  if (xhr.status === 0) return "Firebreak cannot be reached. Nothing was sent twice; try again.";
  try {
    const problem = JSON.parse(xhr.responseText);
    return problem.detail ?? problem.title;
  } catch {
    const page = new DOMParser().parseFromString(xhr.responseText, "text/html");
    return one("[data-complaint]", page)?.textContent.trim() || `Firebreak refused this (${xhr.status}).`;
  }
}

function afterPost({ xhr, successful, requestConfig }) {
  if (xhr.status === 422) return;
  if (!successful) return toast(complaint(xhr));
  if (requestConfig.elt.matches("[data-reset]")) requestConfig.elt.reset();
  const answer = new DOMParser().parseFromString(xhr.responseText, "text/html");
  one("#toasts").append(...all("#toasts > li", answer));
  refreshAll();
}

/* What another module posted is answered here, as what htmx posted. */
document.addEventListener("firebreak:posted", ({ detail }) => afterPost(detail));

/* A dialog's form that was accepted answers with a redirect: go there, or stay and renew the panels. */
document.addEventListener("htmx:beforeSwap", ({ detail }) => {
  if (detail.target.id !== "dialog-content" || detail.requestConfig.verb !== "post" || detail.xhr.status === 422) return;
  detail.shouldSwap = false;
  if (detail.xhr.status >= 400) return;
  one("#dialog").close();
  const there = new URL(detail.xhr.responseURL, location.href);
  if (there.pathname !== location.pathname) location.assign(there);
});

async function openDialog(link) {
  const [dialog, content] = [one("#dialog"), one("#dialog-content")];
  content.replaceChildren();
  await htmx.ajax("GET", link.href, { target: content, swap: "innerHTML" });
  if (!content.firstElementChild) return location.assign(link.href);
  drawClocks(content);
  dialog.showModal();
  one("[autofocus], .dialog-body :is(input:not([type=hidden]), textarea, select)", content)?.focus();
}

/* Copy buttons are hidden until there is a clipboard; without one the text can still be selected. */
async function copy(button) {
  const source = one(button.dataset.copy);
  try {
    await navigator.clipboard.writeText(source.textContent);
    one("span", button).textContent = "Copied";
    one("#announcer").textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(source);
  }
}

/* --- keys and pointer ----------------------------------------------------------------------------- */

const usable = (element) => element.offsetParent !== null && element.getAttribute("aria-disabled") !== "true";
const nameOf = (element) => one("[data-name]", element)?.dataset.name || (one("[data-name]", element) ?? element).textContent.trim();
const keysOn = () => localStorage.getItem("hotkeys") !== "off";

function openPalette() {
  const [dialog, list] = [one("#palette"), one("#palette ul")];
  const filter = one("#palette input");
  const targets = all("[data-palette]").filter((element) => element.getAttribute("aria-disabled") !== "true");
  const draw = () => {
    const wanted = filter.value.trim().toLowerCase();
    list.replaceChildren(...targets.filter((target) => nameOf(target).toLowerCase().includes(wanted)).map((target, index) => {
      const [item, button] = [document.createElement("li"), document.createElement("button")];
      button.textContent = nameOf(target);
      if (target.dataset.hotkey) button.append(Object.assign(document.createElement("kbd"), { textContent: target.dataset.hotkey }));
      button.toggleAttribute("data-first", index === 0);
      button.onclick = () => { dialog.close(); target.click(); };
      item.append(button);
      return item;
    }));
  };
  filter.value = "";
  filter.oninput = draw;
  filter.onkeydown = (event) => {
    if (event.key === "Enter") one("button", list)?.click();
    if (event.key === "ArrowDown") { event.preventDefault(); one("button", list)?.focus(); }
  };
  draw();
  dialog.showModal();
}

function openKeys() {
  one("#keys dl").replaceChildren(...all("[data-hotkey]").flatMap((element) => {
    const [key, what] = [document.createElement("dt"), document.createElement("dd")];
    key.append(Object.assign(document.createElement("kbd"), { textContent: element.dataset.hotkey }));
    what.textContent = element.dataset.open ? "This list" : nameOf(element);
    return [key, what];
  }));
  one("[data-hotkeys]").checked = keysOn();
  one("#keys").showModal();
}

let prefix = "";
document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) return event.target.form?.requestSubmit();
  if (event.key === "k" && (event.ctrlKey || event.metaKey) && one("#palette")) {
    event.preventDefault();
    return one("dialog[open]") ? undefined : openPalette();
  }
  const typing = event.target.matches("input, textarea, select") && !event.target.matches("[type=radio], [type=checkbox]");
  if (event.ctrlKey || event.metaKey || event.altKey || typing || one("dialog[open]") || !keysOn()) return;
  const pressed = prefix + event.key;
  const target = all("[data-hotkey]").find((element) => element.dataset.hotkey === pressed && (usable(element) || element.dataset.open));
  prefix = !target && event.key === "g" ? "g " : "";
  if (!target) return;
  event.preventDefault();
  target.click();
});

document.addEventListener("click", (event) => {
  const plain = event.button === 0 && !event.ctrlKey && !event.metaKey && !event.shiftKey;
  const hit = (selector) => event.target.closest(selector);
  for (const menu of all("details[data-menu][open]")) if (!menu.contains(event.target) || hit(".item")) menu.open = false;
  if (hit("a[data-dialog]") && plain) {
    event.preventDefault();
    openDialog(hit("a[data-dialog]"));
  }
  if (hit("[data-open=palette]")) openPalette();
  if (hit("[data-open=keys]")) openKeys();
  const dialog = hit("dialog");
  if (dialog && (hit("[data-close]") || event.target.matches("#palette, #keys"))) {
    event.preventDefault(); // Cancel is a link on the page that works without this module
    dialog.close();
  }
  if (hit("[data-dismiss]")) hit("li").remove();
  if (hit("[data-copy]")) copy(hit("[data-copy]"));
  const time = hit("time[data-clock]");
  if (time) {
    if (time.dataset.exact) delete time.dataset.exact;
    else time.dataset.exact = "yes";
    drawClock(time);
  }
});

document.addEventListener("change", (event) => {
  if (event.target.matches("[data-hotkeys]")) localStorage.setItem("hotkeys", event.target.checked ? "on" : "off");
});

for (const button of all("[data-copy]")) button.hidden = !navigator.clipboard;
drawClocks();
drawSkew();
scrollToEnds();
connect();
