/* Attaching evidence by pasting and dropping, with progress. Without this module the form sends one file. */

const form = document.querySelector("[data-evidence]");
const two = (n) => String(n).padStart(2, "0");

function stamp() {
  const at = new Date();
  return `${at.getUTCFullYear()}-${two(at.getUTCMonth() + 1)}-${two(at.getUTCDate())}-${two(at.getUTCHours())}${two(at.getUTCMinutes())}${two(at.getUTCSeconds())}`;
}

/* One after the other: the server takes few large files at once. */
let last = Promise.resolve();
const attach = (file, description = "") => (last = last.then(() => send(file, description)));

function send(file, description) {
  const bar = form.querySelector("progress");
  const data = new FormData();
  data.append("file", file, file.name);
  data.append("description", description);
  return new Promise((sent) => {
    const xhr = new XMLHttpRequest();
    xhr.open("POST", form.action);
    xhr.setRequestHeader("X-CSRFToken", form.querySelector("[name=csrfmiddlewaretoken]").value);
    xhr.setRequestHeader("HX-Request", "true"); // a refusal is a problem in words, as for every form sent in place
    xhr.upload.onprogress = ({ loaded, total }) => {
      bar.hidden = false;
      bar.value = total ? loaded / total : 0;
    };
    xhr.onloadend = () => {
      bar.hidden = true;
      bar.value = 0;
      const successful = xhr.status >= 200 && xhr.status < 300;
      document.dispatchEvent(new CustomEvent("firebreak:posted", { detail: { xhr, successful, requestConfig: { elt: form } } }));
      sent();
    };
    xhr.send(data);
  });
}

/* A picture of the clipboard is named image.png by every browser: the time tells them apart. */
function named(file, index) {
  if (file.name !== "image.png" && file.name) return file;
  return new File([file], `screenshot-${stamp()}${index ? `-${index}` : ""}.png`, { type: file.type });
}

if (form) {
  const text = form.querySelector("textarea");
  for (const hidden of form.querySelectorAll(".evidence-hint, textarea")) hidden.hidden = false;

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const [file] = form.elements.file.files;
    if (file) attach(file, form.elements.description.value);
  });
  document.addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (files.length) {
      event.preventDefault();
      files.forEach((file, index) => attach(named(file, index)));
    } else if (event.target === text) {
      const pasted = event.clipboardData.getData("text/plain");
      if (!pasted.trim()) return;
      event.preventDefault();
      attach(new File([pasted], `pasted-${stamp()}.txt`, { type: "text/plain" }), form.elements.description.value);
    }
  });
  const brings = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  document.addEventListener("dragover", (event) => {
    if (!brings(event)) return;
    event.preventDefault();
    document.body.dataset.dropping = "yes";
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) delete document.body.dataset.dropping;
  });
  document.addEventListener("drop", (event) => {
    if (!brings(event)) return;
    event.preventDefault();
    delete document.body.dataset.dropping;
    for (const file of event.dataTransfer.files) attach(file);
  });
}
