/* The dialog that forms open in: links with data-dialog. Without this module they lead to the form as a page.
   The back button closes it, what was typed survives that, and the focus goes back to where it came from. */

const dialog = document.querySelector("#dialog");
const content = document.querySelector("#dialog-content");
const first = "[autofocus], .dialog-body :is(input:not([type=hidden]), textarea, select)";

let opener = null; // { element, id, href } of what the open dialog came from
let inHistory = false; // whether the entry on top of the history is this dialog's
let shown = false; // whether something stands in it that is to be put away
let sent = false; // whether what stands in it was accepted
let settled = Promise.resolve(); // until the history is back where it was before the last dialog
const typed = new Map(); // what stood in a form that was closed unsent, by its address

/* --- what was typed ------------------------------------------------------------------------------- */

const fields = (form) => [...form.elements, ...form.querySelectorAll("services-field, people-field")].filter((field) => field.name && !/^(hidden|password|file|submit|button)$/.test(field.type));
const isTick = (field) => field.type === "checkbox" || field.type === "radio";
const isChanged = (field) =>
  isTick(field) ? field.checked !== field.defaultChecked
  : field.tagName === "SELECT" ? field.selectedOptions[0] !== (field.querySelector("option[selected]") ?? field.options[0])
  : field.value !== field.defaultValue;
const keyOf = (field) => (isTick(field) ? `${field.name}=${field.value}` : `${field.localName} ${field.name}`);

function keep(form) {
  const changed = fields(form).filter(isChanged).map((field) => [keyOf(field), isTick(field) ? field.checked : field.value]);
  if (changed.length) typed.set(form.action, new Map(changed));
  else typed.delete(form.action);
}

function giveBack(form) {
  const kept = typed.get(form.action);
  if (!kept) return;
  for (const field of fields(form)) {
    if (!kept.has(keyOf(field))) continue;
    if (isTick(field)) field.checked = kept.get(keyOf(field));
    else field.value = kept.get(keyOf(field));
  }
  const note = document.createElement("p");
  const again = document.createElement("button");
  note.className = "row small muted";
  note.append("What you had typed is back. ", again);
  again.type = "button";
  again.className = "button slim";
  again.textContent = "Start over";
  again.onclick = () => {
    form.reset();
    typed.delete(form.action);
    note.remove();
    document.querySelector(first, content)?.focus();
  };
  form.prepend(note);
}

const form = () => content.querySelector("form[hx-post]");

/* --- opening and closing -------------------------------------------------------------------------- */

async function open(link) {
  if (!dialog.open) left();
  const inside = dialog.contains(link);
  if (inside && form()) keep(form());
  content.replaceChildren();
  await htmx.ajax("GET", link.href, { target: content, swap: "innerHTML" });
  if (!content.firstElementChild) return location.assign(link.href);
  await settled;
  if (!inside) opener = { element: link, id: link.id, href: link.getAttribute("href") };
  show();
}

function show() {
  sent = false;
  shown = true;
  if (form()) giveBack(form());
  if (!dialog.open) {
    dialog.showModal();
    history.pushState({ dialog: true }, "");
    inHistory = true;
  }
  content.dispatchEvent(new CustomEvent("firebreak:shown", { bubbles: true }));
  (content.querySelector("[aria-invalid=true]") ?? content.querySelector(first))?.focus();
}

/* What a closed dialog leaves behind, once. The browser may tell of the end when the next one is open already. */
function left() {
  if (!shown) return;
  shown = false;
  if (form() && !sent) keep(form());
  content.replaceChildren();
  if (inHistory) {
    inHistory = false;
    settled = new Promise((done) => addEventListener("popstate", done, { once: true }));
    history.back();
  }
  focusOpener();
}

dialog?.addEventListener("close", () => dialog.open || left());

/* The panel of the opener may have been drawn anew meanwhile, or the opener be gone with what it was for. */
function focusOpener() {
  if (!opener) return;
  const { element, id, href } = opener;
  const there = element.isConnected ? element
    : (id && document.getElementById(id)) || document.querySelector(`a[data-dialog][href="${CSS.escape(href)}"]`);
  if (document.activeElement !== document.body) return; // the browser's own doing, or somebody moved on
  (there ?? document.querySelector("#main"))?.focus({ preventScroll: true });
}

addEventListener("popstate", () => {
  inHistory = false;
  if (dialog?.open) dialog.close();
  left();
});

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-dialog]");
  if (!dialog || !link || event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  open(link);
});

/* --- answers -------------------------------------------------------------------------------------- */

/* An accepted form answers with a redirect: go there, or stay and renew the panels. What comes from the
   form's own address is the form again: refused (422), or with a preview. */
document.addEventListener("htmx:beforeSwap", ({ detail }) => {
  if (detail.target !== content || detail.requestConfig.verb !== "post" || detail.xhr.status === 422) return;
  const [there, asked] = [detail.xhr.responseURL, detail.requestConfig.path].map((address) => new URL(address, location.href));
  if (detail.xhr.status === 200 && there.pathname === asked.pathname) return;
  detail.shouldSwap = false;
  if (detail.xhr.status >= 400) return;
  sent = true;
  typed.delete(asked.href);
  const leaves = there.pathname !== location.pathname;
  if (leaves) inHistory = false; // the dialog's entry becomes the other page's
  dialog.close();
  left();
  if (leaves) location.replace(there);
});

document.addEventListener("htmx:afterSettle", ({ detail }) => {
  if (detail.target !== content || detail.requestConfig?.verb !== "post" || !dialog.open) return;
  content.dispatchEvent(new CustomEvent("firebreak:shown", { bubbles: true }));
  content.querySelector("[aria-invalid=true], [autofocus]")?.focus({ preventScroll: true });
  content.querySelector(".errorlist, [role=alert], section[aria-label=Preview]")?.scrollIntoView({ block: "nearest" });
});
