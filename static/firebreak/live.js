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
  if (!busy.delete(elt.id)) return;
  const panel = document.getElementById(elt.id);
  if (panel && memories.has(elt.id)) restore(panel, memories.get(elt.id));
  memories.delete(elt.id);
  if (detail.xhr.status === 0 && state !== "live") setState("offline");
  if (detail.successful && state === "offline") setState("polling");
  if (stale.delete(elt.id) && panel) refresh(panel);
});

/* --- the live connection: one per browser, because browsers allow six per server ------------------ */

const STATES = {
  live: ["ok", "Live"],
  reconnecting: ["warning", "Reconnecting…"],
  polling: ["warning", "Polling every 5 s"],
  offline: ["critical", "Offline, trying again"],
  "signed-out": ["critical", "Signed out: reload to sign in"],
};
const shareable = "locks" in navigator && "BroadcastChannel" in window && "EventSource" in window;
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
  if (hit("[data-close]") || event.target.matches?.("dialog#palette, dialog#keys")) hit("dialog").close();
  if (hit("[data-dismiss]")) hit("li").remove();
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

drawClocks();
scrollToEnds();
connect();

/* --- panels: re-rendered alone, one request in flight each, never under somebody's hands ------- */

const inFlight = new Map(); // panel id -> does another run have to follow?
const kept = new Map(); // panel id -> what its visitor had focused, scrolled and opened

const controls = (root) => root.querySelectorAll("input:not([type=hidden]), select, textarea");

function changed(control) {
  if (control.matches("[type=checkbox], [type=radio]")) return control.checked !== control.defaultChecked;
  if (control.matches("select")) return [...control.options].some((o) => o.defaultSelected) && !control.selectedOptions[0]?.defaultSelected;
  return control.value !== control.defaultValue;
}

const dirty = (root) => [...controls(root)].some(changed);

function busy(panel) {
  const active = document.activeElement;
  if (active && panel.contains(active) && active.matches("input, select, textarea")) return true;
  const selection = getSelection();
  if (selection && !selection.isCollapsed && panel.contains(selection.anchorNode)) return true;
  return dirty(panel);
}

function postpone(panel) {
  if (panel.querySelector(":scope > .stale-hint")) return;
  const hint = document.createElement("p");
  hint.className = "stale-hint";
  hint.setAttribute("role", "status");
  hint.textContent = "New activity: shown when you are done here";
  panel.firstElementChild ? panel.firstElementChild.after(hint) : panel.append(hint);
}

function refresh(panel) {
  if (inFlight.has(panel.id)) inFlight.set(panel.id, true);
  else if (busy(panel)) postpone(panel);
  else {
    inFlight.set(panel.id, false);
    htmx.trigger(panel, "refresh");
  }
}

const panels = () => document.querySelectorAll("[data-live-topics][hx-get]");
const refreshAll = () => panels().forEach(refresh);
const refreshPostponed = () => document.querySelectorAll(".stale-hint").forEach((hint) => refresh(hint.parentElement));

function heard(topics) {
  if (topics.includes("resync")) return refreshAll();
  for (const panel of panels()) if (panel.dataset.liveTopics.split(/\s+/).some((t) => topics.includes(t))) refresh(panel);
}

const focusables = "a[href], button, summary, [tabindex]";
const nameOf = (e) => e.id || e.getAttribute("href") || e.getAttribute("formaction") || e.textContent.trim();

function remember(panel) {
  const active = panel.contains(document.activeElement) && document.activeElement !== document.body ? nameOf(document.activeElement) : null;
  const scrolls = [...panel.querySelectorAll("[data-scroll]")].map((e) => [
    e.dataset.scroll, { top: e.scrollTop, end: e.scrollHeight - e.scrollTop - e.clientHeight < 8 },
  ]);
  const opened = [...panel.querySelectorAll("details[id]")].map((d) => [d.id, d.open]);
  kept.set(panel.id, { active, scrolls: new Map(scrolls), opened });
}

function restore(panel) {
  const state = kept.get(panel.id);
  kept.delete(panel.id);
  if (!state) return;
  for (const [id, open] of state.opened) {
    const details = document.getElementById(id);
    if (details) details.open = open;
  }
  settle(panel, state.scrolls);
  if (state.active) [...panel.querySelectorAll(focusables)].find((e) => nameOf(e) === state.active)?.focus({ preventScroll: true });
}

/* Command output stays at its end, unless its reader has scrolled up. */
function settle(root, scrolls = new Map()) {
  for (const e of root.querySelectorAll("[data-scroll]")) {
    const before = scrolls.get(e.dataset.scroll);
    e.scrollTop = before && !before.end ? before.top : e.dataset.scroll.startsWith("output") ? e.scrollHeight : before?.top ?? 0;
  }
}

document.addEventListener("htmx:beforeSwap", ({ detail }) => {
  const asked = new URL(detail.requestConfig.path, location.href);
  const answered = new URL(detail.xhr.responseURL || asked, location.href);
  if (answered.pathname !== asked.pathname) {
    // Redirected: signed out, or a form that was accepted. Either way the whole page is what comes next.
    detail.shouldSwap = false;
    if (detail.target.matches("[data-live-topics]")) location.reload();
    else location.assign(answered);
    return;
  }
  if (!detail.target.matches("[data-live-topics]")) return;
  if (busy(detail.target)) {
    detail.shouldSwap = false;
    postpone(detail.target);
  } else if (detail.shouldSwap) remember(detail.target);
});

document.addEventListener("htmx:afterRequest", ({ detail }) => {
  const { id } = detail.elt;
  if (!inFlight.has(id)) return;
  const again = inFlight.get(id);
  inFlight.delete(id);
  if (again) setTimeout(() => { const panel = document.getElementById(id); if (panel) refresh(panel); }, 100);
});

document.addEventListener("htmx:afterSettle", ({ detail }) => {
  const swapped = detail.target.isConnected ? detail.target : document.getElementById(detail.target.id);
  if (!swapped) return;
  restore(swapped);
  localise(swapped);
  tick();
});

/* --- the live connection: one for all tabs, because browsers allow six per origin ---------------- */

let state = "";
let heardAt = 0;

function show(next) {
  if (next === state) return;
  state = next;
  for (const dot of document.querySelectorAll(".live")) {
    dot.dataset.state = next;
    dot.textContent = { live: "Live", reconnecting: "Reconnecting", polling: "Polling every 5 s" }[next];
  }
}

const shareable = "locks" in navigator && "BroadcastChannel" in window && "EventSource" in window;
const channel = shareable ? new BroadcastChannel("firebreak-live") : null;

function lead(url) {
  return new Promise((release) => {
    let source, timer, wait = 1000;
    const tell = (message) => { channel.postMessage(message); receive(message); };
    const open = () => {
      source = new EventSource(url);
      source.onopen = () => { wait = 1000; tell({ state: "live" }); };
      source.onmessage = (event) => tell({ state: "live", topics: JSON.parse(event.data).topics });
      source.onerror = () => {
        tell({ state: "reconnecting" });
        if (source.readyState !== EventSource.CLOSED) return; // the browser tries again by itself
        timer = setTimeout(open, wait);
        wait = Math.min(wait * 2, 30000);
      };
    };
    const beat = setInterval(() => tell({ state: source.readyState === EventSource.OPEN ? "live" : "reconnecting" }), POLL_MS);
    open();
    addEventListener("pagehide", () => { clearTimeout(timer); clearInterval(beat); source.close(); release(); }, { once: true });
  });
}

function receive(message) {
  heardAt = Date.now();
  show(message.state);
  if (message.topics) heard(message.topics);
}

function connect(url) {
  show("reconnecting");
  if (shareable) {
    const campaign = () => navigator.locks.request("firebreak-live", () => lead(url)).catch(() => {});
    channel.onmessage = (event) => receive(event.data);
    addEventListener("pageshow", (event) => { if (event.persisted) { campaign(); refreshAll(); } });
    campaign();
  }
  let rounds = 0;
  setInterval(() => {
    // A leading tab that the browser has frozen says nothing: then this page looks for itself.
    if (!shareable || (state !== "live" && Date.now() - heardAt > 1000) || Date.now() - heardAt > 3 * POLL_MS) show("polling");
    rounds += 1;
    // A stream can die unnoticed (a laptop that slept): once a minute every page looks by itself.
    if (!document.hidden && (state !== "live" || rounds % 12 === 0)) refreshAll();
    refreshPostponed();
  }, POLL_MS);
  addEventListener("online", refreshAll);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) refreshAll(); });
  document.addEventListener("focusout", () => setTimeout(refreshPostponed, 200));
}

/* --- dialogs: any link to a form page may open in one ------------------------------------------ */

async function openForm(link) {
  const dialog = document.getElementById("form-dialog");
  const body = document.getElementById("dialog-body");
  if (body.dataset.url !== link.href || !dirty(body)) { // half-typed text survives closing and opening again
    await htmx.ajax("GET", link.href, { target: body, swap: "innerHTML" });
    body.dataset.url = link.href;
  }
  if (!body.querySelector("form")) return location.assign(link.href);
  if (!dialog.open) dialog.showModal();
  (body.querySelector("[autofocus]") || controls(body)[0])?.focus();
}

document.addEventListener("click", (event) => {
  const at = (selector) => event.target.closest?.(selector);
  if (at("[aria-disabled=true]")) return event.preventDefault();
  if (event.ctrlKey || event.metaKey || event.shiftKey) return;
  const link = at("a[data-dialog]");
  if (link) { event.preventDefault(); document.getElementById("palette").close(); openForm(link); }
  const opener = at("[data-opens]");
  if (opener) document.getElementById(opener.dataset.opens).showModal();
  const closer = at("[data-closes]");
  if (closer) {
    event.preventDefault();
    if (closer.dataset.closes === "dialog") closer.closest("dialog").close();
    else closer.closest(closer.dataset.closes).remove();
  }
  if (event.target.matches("dialog") && event.target === document.elementFromPoint(event.clientX, event.clientY)) {
    const box = event.target.getBoundingClientRect();
    const inside = event.clientX >= box.left && event.clientX <= box.right && event.clientY >= box.top && event.clientY <= box.bottom;
    if (!inside && event.clientX) event.target.close();
  }
  for (const menu of document.querySelectorAll("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
});

/* One click is one action, however often it is clicked while the answer is on its way. */
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method === "dialog" || form.hasAttribute("hx-post")) return;
  if (form.dataset.sent) event.preventDefault();
  form.dataset.sent = "1";
});
addEventListener("pageshow", () => document.querySelectorAll("form[data-sent]").forEach((form) => delete form.dataset.sent));

/* --- keys ------------------------------------------------------------------------------------- */

const KEYS = "firebreak-keys";
let prefix = "";

function press(key) {
  const target = [...document.querySelectorAll(`[data-hotkey="${CSS.escape(key)}"]`)].find((e) => visible(e) && e.ariaDisabled !== "true");
  target?.click();
  return Boolean(target);
}

document.addEventListener("keydown", (event) => {
  const palette = document.getElementById("palette");
  if (!palette) return;
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
    event.preventDefault();
    if (palette.open) palette.close();
    else openPalette(palette);
    return;
  }
  if (event.key === "Escape") document.querySelectorAll("details.menu[open]").forEach((menu) => { menu.open = false; });
  if (event.ctrlKey || event.metaKey || event.altKey || localStorage.getItem(KEYS) === "off") return;
  if (event.target.closest("input, select, textarea, dialog, [contenteditable]") || document.querySelector("dialog[open]")) return;
  const key = prefix + event.key;
  prefix = "";
  if (event.key === "g" && key === "g") {
    prefix = "g ";
    setTimeout(() => { prefix = ""; }, 1500);
  } else if (press(key)) event.preventDefault();
});

function openPalette(dialog) {
  const list = dialog.querySelector("ul");
  list.querySelectorAll("[data-borrowed]").forEach((item) => item.remove());
  for (const source of [...document.querySelectorAll("main .actions a[href], main .actions button")].reverse()) {
    if (source.ariaDisabled === "true") continue;
    const item = document.createElement("li");
    item.dataset.borrowed = "1";
    const button = document.createElement("button");
    button.className = "button button-quiet";
    button.textContent = source.dataset.label || source.textContent.trim();
    button.onclick = () => { dialog.close(); source.click(); };
    item.append(button);
    list.prepend(item);
  }
  const input = dialog.querySelector("input");
  input.value = "";
  filter(dialog);
  dialog.showModal();
  input.focus();
}

function filter(dialog) {
  const words = dialog.querySelector("input").value.toLowerCase().split(/\s+/);
  const items = [...dialog.querySelectorAll("li")];
  for (const item of items) item.hidden = !words.every((word) => item.textContent.toLowerCase().includes(word));
  mark(dialog, 0);
}

function mark(dialog, step) {
  const items = [...dialog.querySelectorAll("li:not([hidden]) > *")];
  const at = items.findIndex((e) => e.classList.contains("current"));
  dialog.querySelectorAll(".current").forEach((e) => e.classList.remove("current"));
  const next = items[(Math.max(at, 0) + step + items.length) % (items.length || 1)];
  next?.classList.add("current");
  next?.scrollIntoView({ block: "nearest" });
}

function preparePalette(dialog) {
  dialog.querySelector("input").addEventListener("input", () => filter(dialog));
  dialog.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") { event.preventDefault(); mark(dialog, event.key === "ArrowDown" ? 1 : -1); }
    if (event.key === "Enter" && event.target.matches("input")) { event.preventDefault(); dialog.querySelector(".current")?.click(); }
  });
}

/* --- start ------------------------------------------------------------------------------------ */

localise(document);
settle(document);
tick();
setInterval(tick, 1000);
if (page.dataset.live) connect(page.dataset.live);
const palette = document.getElementById("palette");
if (palette) preparePalette(palette);
const keysSwitch = document.getElementById("keys-switch");
if (keysSwitch) {
  keysSwitch.checked = localStorage.getItem(KEYS) !== "off";
  keysSwitch.addEventListener("change", () => localStorage.setItem(KEYS, keysSwitch.checked ? "on" : "off"));
}
