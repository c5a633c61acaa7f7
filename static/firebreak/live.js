/* What a page does after it has loaded: clocks, the live connection, panels that renew themselves.
   Without this module every action is still a plain form. Keys are in finding.js, dialogs in dialogs.js. */

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

/* --- panels: sections that the server renders again when one of their topics changes --------------
   All of a page that changed are asked for in one request, and never twice at a time. */

const FRESH = null; // instead of a change's number: show everything up to the moment of the request
const GATHER = 40; // ms in which more news may come before they are asked for
const wanted = new Map(); // panel id → the changes that it has to show
const positions = new Map(); // panel id → what its rendering has seen
const digests = new Map(); // panel id → its rendering, so that the same is not sent again
const postponed = new Set();
const panels = () => all("[data-live-topics]");
let gathering = null;
let underWay = false;

/* Whether a rendering has seen a change: PostgreSQL's snapshot "xmin:xmax:running,…" and a transaction's number. */
function sees(position, change) {
  const [xmin, xmax, running] = (position ?? "").split(":");
  if (!xmax || change === FRESH) return false;
  return change < Number(xmin) || (change < Number(xmax) && !running.split(",").includes(String(change)));
}

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

function want(panel, change, spread = 0) {
  if (sees(positions.get(panel.id) ?? root.dataset.since, change)) return;
  wanted.set(panel.id, (wanted.get(panel.id) ?? new Set()).add(change));
  gather(spread);
}

function gather(spread = 0) {
  if (gathering === null && !underWay) gathering = setTimeout(fetchPanels, GATHER + Math.random() * spread);
}

let refreshedAt = Date.now();
function refreshAll(spread) {
  refreshedAt = Date.now();
  panels().forEach((panel) => want(panel, FRESH, spread));
}

function refreshTopics({ topics, change = FRESH, spread }) {
  if (topics.includes("resync")) return refreshAll(spread);
  for (const panel of panels()) {
    if (panel.dataset.liveTopics.split(/\s+/).some((topic) => topics.includes(topic))) want(panel, change, spread);
  }
}

async function fetchPanels() {
  gathering = null;
  const asked = panels().filter((panel) => wanted.has(panel.id) && !(isInUse(panel) && (postpone(panel), true)));
  if (!asked.length) return;
  const changes = new Set(asked.flatMap((panel) => [...wanted.get(panel.id)]));
  asked.forEach((panel) => wanted.delete(panel.id));
  const address = new URL(root.dataset.panels, location.href);
  address.searchParams.set("panels", asked.map((panel) => panel.id.slice(6)).join(","));
  const have = asked.map((panel) => digests.get(panel.id)).filter(Boolean);
  if (have.length) address.searchParams.set("have", have.join(","));
  if (!changes.has(FRESH) && changes.size < 40) address.searchParams.set("seen", [...changes].join(","));
  underWay = true;
  let failed = true;
  try {
    const answer = await fetch(address, { redirect: "manual", headers: { Accept: "application/json" }, signal: AbortSignal.timeout(10_000) });
    heardFrom(answer.headers.get("Date"));
    if (answer.type === "opaqueredirect") setState("signed-out");
    else if (answer.ok) asked.forEach(showing((await answer.json()).panels));
    failed = answer.status >= 500;
    if (state === "offline" && !failed) setState("polling");
  } catch {
    if (state !== "live") setState("offline");
  }
  underWay = false;
  // What failed by a passing trouble is asked for again, unless the polling does that.
  if (failed && state === "live") setTimeout(() => asked.forEach((panel) => want(panel, FRESH)), 1000 + Math.random() * 2000);
  if (wanted.size) gather();
}

/* Put the answered panels in their places; a panel that somebody began to use meanwhile waits. */
const showing = (answered) => (panel) => {
  const { html, digest, position } = answered[panel.id.slice(6)] ?? {};
  if (!panel.isConnected || !digest) return;
  if (html !== undefined && isInUse(panel)) {
    wanted.set(panel.id, new Set([FRESH]));
    return postpone(panel);
  }
  postponed.delete(panel.id);
  positions.set(panel.id, position);
  digests.set(panel.id, digest);
  if (html === undefined) return one(".newer", panel)?.remove();
  const memory = remember(panel);
  const holder = document.createElement("template");
  holder.innerHTML = html;
  const fresh = holder.content.querySelector("[data-live-topics]");
  panel.replaceWith(fresh);
  sealForms(fresh);
  htmx.process(fresh);
  restore(fresh, memory);
};

/* What is rendered once for many holds nobody's token: each page puts its own in. */
function sealForms(panel) {
  const token = one("[name=csrfmiddlewaretoken]:not([value='']):not([value=NOTPROVIDED])");
  for (const form of all("form[method=post]", panel)) {
    if (!token || form.elements.csrfmiddlewaretoken) continue;
    form.prepend(Object.assign(document.createElement("input"), { type: "hidden", name: "csrfmiddlewaretoken", value: token.value }));
  }
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

function heardFrom(date) {
  const served = Date.parse(date ?? "");
  if (served && Math.abs(served - now()) > 2000) skew = served - Date.now();
}

document.addEventListener("htmx:afterRequest", ({ detail }) => {
  heardFrom(detail.xhr.getResponseHeader("Date"));
  if (detail.requestConfig.verb === "post") afterPost(detail);
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
const me = Math.random().toString(36).slice(2);
const heard = []; // notifications, for pages that open later
let forgotten = 0;

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
  if (message.to && message.to !== me) return;
  if (message.state) setState(message.state);
  for (const said of message.missed ?? []) refreshTopics(said);
  if (message.topics) {
    heard.push(message);
    if (heard.length > 500) forgotten = Math.max(forgotten, heard.shift().change ?? Infinity);
    refreshTopics(message);
  }
}

/* A page that opened after this one asks what it missed between its rendering and now. */
function tellFollower({ from: to, since }) {
  const from = Number((since ?? "").split(":")[0]);
  const missed = from > forgotten && from >= Number(root.dataset.since.split(":")[1]) ? heard.filter(({ change = FRESH }) => !sees(since, change)) : [{ topics: ["resync"] }];
  bus.postMessage({ to, state, missed });
}

function lead() {
  return new Promise((release) => {
    let wait = 1000;
    let timer;
    const open = () => {
      stream = new EventSource(`${root.dataset.live}?since=${root.dataset.since}`);
      stream.onopen = () => {
        wait = 1000;
        share({ state: "live" }); // what was missed comes as events
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
  bus.onmessage = ({ data }) => (data.ask ? stream && tellFollower(data) : hear(data));
  bus.postMessage({ ask: true, from: me, since: root.dataset.since });
  campaign();
  addEventListener("online", () => refreshAll());
  addEventListener("pagehide", () => resign());
  addEventListener("pageshow", (event) => event.persisted && campaign());
}

/* A leader whose tab the browser froze is silent: a tab that is looked at takes over. */
function watchLeader() {
  if (!shareable || stream || document.hidden) return;
  if (Date.now() - leaderHeardAt > 20_000) {
    leaderHeardAt = Date.now();
    campaign({ steal: true });
    share({ topics: ["resync"] }); // nobody knows what the silent one did not pass on
  } else if (Date.now() - leaderHeardAt > 10_000) bus.postMessage({ ask: true, from: me, since: root.dataset.since });
}

setInterval(() => {
  drawClocks();
  for (const item of all("#toasts > li:is([data-tone=success], [data-tone=info]):not(:hover, :focus-within)")) {
    item.dataset.seconds = Number(item.dataset.seconds ?? 0) + 1;
    if (item.dataset.seconds > 8) item.remove();
  }
  if (!root.dataset.live) return;
  if (postponed.size && panels().some((panel) => postponed.has(panel.id) && !isInUse(panel))) gather();
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

/* --- pointer ---------------------------------------------------------------------------------------- */

document.addEventListener("click", (event) => {
  const hit = (selector) => event.target.closest(selector);
  for (const menu of all("details[data-menu][open]")) if (!menu.contains(event.target) || hit(".item")) menu.open = false;
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

document.addEventListener("firebreak:shown", ({ target }) => drawClocks(target));

for (const button of all("[data-copy]")) button.hidden = !navigator.clipboard;
drawClocks();
drawSkew();
scrollToEnds();
connect();
