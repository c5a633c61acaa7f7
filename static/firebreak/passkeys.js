/* Says in words why a passkey cannot be used here, or why it was not. allauth's scripts do the ceremony. */

const problem = document.getElementById("passkey-problem");
const buttons = document.querySelectorAll("[data-passkey]");

function say(text) {
  problem.textContent = text;
  problem.hidden = false;
}

const WHY = {
  NotAllowedError: "The passkey was cancelled, or took too long. Try again.",
  InvalidStateError: "This passkey belongs to your account already.",
  SecurityError: "Passkeys do not work at this address: open Firebreak by its name, not by a number.",
};

document.addEventListener("allauth.error", (event) => {
  event.preventDefault();
  say(WHY[event.detail.exception.name] ?? "The passkey did not work. Try again, or use a code.");
});

const usable = window.PublicKeyCredential && !/^[\d.]+$|^\[/.test(location.hostname);
if (!usable) {
  for (const button of buttons) button.disabled = true;
  if (!document.querySelector("input[type=password]")) say("Passkeys work over HTTPS or at http://localhost, by name and not by a number.");
  else for (const button of buttons) button.hidden = true;
}
