"""The status page as a set of files, the same on disk and by Django."""

from __future__ import annotations

import base64
import functools
import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from django.conf import settings
from django.template.loader import get_template, render_to_string
from django.utils.safestring import SafeString, mark_safe

from comms.publishing import statuspage
from comms.publishing.atom import feed
from comms.selectors.status_page import StatusPage

_JSON: Mapping[str, Callable[[StatusPage], dict[str, Any]]] = {
    "api/v2/summary.json": statuspage.summary,
    "api/v2/status.json": statuspage.status,
    "api/v2/components.json": statuspage.components,
    "api/v2/incidents.json": statuspage.incidents,
}
NAMES = ("index.html", *_JSON, "feed.atom")
TYPES = {
    "html": "text/html; charset=utf-8",
    "json": "application/json; charset=utf-8",
    "atom": "application/atom+xml; charset=utf-8",
}


def render_file(name: str, page: StatusPage) -> bytes:
    """One of NAMES."""
    if name == "feed.atom":
        return feed(page)
    if name in _JSON:
        return json.dumps(_JSON[name](page), ensure_ascii=False, separators=(",", ":")).encode()
    return render_html("status/page.html", {"page": page, "days": page.days, "older": page.older})


def render_html(template: str, context: Mapping[str, Any]) -> bytes:
    """A public page: no request, no session, its style inside."""
    return render_to_string(template, {"style": style(), "home": settings.PUBLIC_URL, **context}).encode()


@functools.cache
def style() -> SafeString:
    """The style sheet, which stands in each page."""
    return mark_safe(get_template("status/style.css").render())  # noqa: S308 - a file of ours


@functools.cache
def content_security_policy() -> str:
    """Nothing is loaded, nothing runs; the one style sheet is known by its hash."""
    digest = base64.b64encode(hashlib.sha256(style().encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; form-action 'self'; "
        "frame-ancestors 'none'; base-uri 'none'"
    )
