"""The status page as a set of files, the same on disk and by Django."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from django.conf import settings
from django.template.loader import get_template, render_to_string

from comms.publishing import statuspage
from comms.publishing.atom import feed
from comms.selectors.status_page import StatusPage

_JSON: Mapping[str, Callable[[StatusPage], dict[str, Any]]] = {
    "api/v2/summary.json": statuspage.summary,
    "api/v2/status.json": statuspage.status,
    "api/v2/components.json": statuspage.components,
    "api/v2/incidents.json": statuspage.incidents,
}
STYLE = "style.css"
NAMES = ("index.html", STYLE, *_JSON, "feed.atom")
TYPES = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "json": "application/json; charset=utf-8",
    "atom": "application/atom+xml; charset=utf-8",
}
# Nothing runs, and nothing is loaded but the style sheet. deploy/nginx/firebreak.conf says the same.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)


def render_file(name: str, page: StatusPage) -> bytes:
    """One of NAMES."""
    if name == STYLE:
        return style_sheet()
    if name == "feed.atom":
        return feed(page)
    if name in _JSON:
        return json.dumps(_JSON[name](page), ensure_ascii=False, separators=(",", ":")).encode()
    context = {"page": page, "days": page.days, "older": page.older, "style": STYLE}
    return render_html("status/page.html", context)


def render_html(template: str, context: Mapping[str, Any]) -> bytes:
    """A public page: no request and no session. `style` is the sheet's address, beside the page on disk."""
    given = {"style": f"/status/{STYLE}", "home": settings.PUBLIC_URL, **context}
    return render_to_string(template, given).encode()


def style_sheet() -> bytes:
    """How all public pages look."""
    return get_template("status/style.css").render().encode()
