/* Says every twenty seconds who has an incident's page open, while the page is looked at; what the open dialog
   is for goes with it. Nothing else is said, and nothing is kept of it. */

const place = document.querySelector("[data-here]");
const EVERY = 20_000;
let said = null;

const token = () => document.querySelector("[name=csrfmiddlewaretoken]")?.value ?? "";

function doing() {
  const form = document.querySelector("#dialog[open] form[action]");
  return form ? new URL(form.action).pathname.split("/").filter(Boolean).pop() : "";
}

function send(fields, options = {}) {
  const body = new URLSearchParams({ csrfmiddlewaretoken: token(), ...fields });
  fetch(place.dataset.here, { method: "POST", body, redirect: "manual", ...options }).catch(() => {});
}

function say() {
  if (document.hidden) return;
  const known = place.dataset.doings.split(" ");
  said = known.includes(doing()) ? doing() : "";
  send({ doing: said });
}

if (place) {
  say();
  setInterval(say, EVERY);
  document.addEventListener("visibilitychange", say);
  addEventListener("pagehide", () => send({ gone: "on" }, { keepalive: true }));
  // A dialog opened or closed: others hear of it at once.
  new MutationObserver(() => {
    const now = place.dataset.doings.split(" ").includes(doing()) ? doing() : "";
    if (now !== said) say();
  }).observe(document.getElementById("dialog"), { attributes: true, attributeFilter: ["open"] });
}
