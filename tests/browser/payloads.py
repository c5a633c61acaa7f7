"""Forty ways to get a script or an element out of a text, and how a page shows that one of them worked."""

from __future__ import annotations

# Whatever runs sets window.__xss; whatever becomes markup is an <x-canary> or carries data-xss.
_RUN = "window.__xss=1"
PAYLOADS = (
    f"<script>{_RUN}</script>",
    f"</script><script>{_RUN}</script>",
    f"<img src=x onerror={_RUN} data-xss>",
    f"<svg onload={_RUN} data-xss>",
    "<x-canary>",
    "</title><x-canary>",
    "</textarea><x-canary>",
    "</style><x-canary>",
    "--><x-canary><!--",
    "]]><x-canary>",
    f"\"><img src=x onerror={_RUN} data-xss>",
    f"'><img src=x onerror={_RUN} data-xss>",
    f"\" autofocus onfocus={_RUN} data-xss x=\"",
    f"' autofocus onfocus={_RUN} data-xss x='",
    f"` onmouseover={_RUN} data-xss",
    f"x onclick={_RUN} data-xss=",
    f"javascript:{_RUN}",
    f"JaVaScRiPt:{_RUN}",
    f"java\tscript:{_RUN}",
    f"&#106;avascript:{_RUN}",
    f"data:text/html,<script>{_RUN}</script>",
    f"//evil.test/x.js?{_RUN}",
    "<iframe srcdoc='<x-canary>' data-xss>",
    f"<details open ontoggle={_RUN} data-xss>",
    f"<math><a xlink:href=javascript:{_RUN} data-xss>x",
    "<base href=//evil.test data-xss>",
    "<meta http-equiv=refresh content=0;//evil.test data-xss>",
    "<form action=//evil.test data-xss><button>x",
    "<link rel=stylesheet href=//evil.test data-xss>",
    "<object data=//evil.test data-xss>",
    f"<div hx-get=/ hx-trigger=load hx-on:click={_RUN} data-xss>",
    f"<template><script>{_RUN}</script></template>",
    "{{ 7|add:7 }}{% debug %}",
    f"${{{_RUN}}}",
    "\\u003cx-canary\\u003e",
    "&lt;x-canary&gt;",
    "&amp;lt;x-canary&amp;gt;",
    "<<x-canary>x-canary>",
    "\ufeff<x-canary>\u202e",
    f"<noscript><p title=\"</noscript><img src=x onerror={_RUN} data-xss>\">",
)  # fmt: skip
assert len(PAYLOADS) == 40

# Runs before any script of the page.
WATCH = """
window.__csp = [];
document.addEventListener("securitypolicyviolation", (event) => window.__csp.push(event.violatedDirective + " " + event.blockedURI));
"""

# What must be empty after a page has loaded.
SIGNS = """() => {
  const found = [];
  if (window.__xss) found.push("a script ran");
  found.push(...window.__csp.map((text) => `CSP: ${text}`));
  for (const element of document.querySelectorAll("x-canary, [data-xss], base, iframe, object, embed"))
    found.push(`markup: ${element.outerHTML.slice(0, 200)}`);
  for (const element of document.querySelectorAll("*"))
    for (const { name, value } of element.attributes) {
      if (name.startsWith("on") || name.startsWith("hx-on")) found.push(`handler: ${element.outerHTML.slice(0, 200)}`);
      if (["href", "src", "action", "formaction", "xlink:href"].includes(name)) {
        const scheme = value.replace(/[\\s\\0]/g, "").toLowerCase();
        if (scheme.startsWith("javascript:") || scheme.startsWith("data:text")) found.push(`address: ${value}`);
      }
    }
  return found;
}"""
