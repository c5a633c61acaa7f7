"""The page that searches the texts of incidents."""

from __future__ import annotations

import datetime as dt
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from core.actors import Actor
from core.clock import utcnow
from core.search import LONGEST
from core.texts import made_harmless
from core.views.reading import page_query, reading, render_page
from incidents.selectors.full_text import TextFilters, search_texts
from incidents.states import IncidentKind, Severity

PERIODS = {"30": "30 days", "90": "90 days", "365": "a year"}
_NAMES = ("q", "kind", "severity", "days", "service", "drill")


@reading
def texts(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Incidents by what was written about them, a page at a time; an unknown filter counts as none."""
    query = page_query(request)
    asked = {name: made_harmless(query.get(name, "")[:LONGEST]).strip() for name in _NAMES}
    known = {"kind": IncidentKind.values, "severity": Severity.values, "days": PERIODS, "drill": ("true",)}
    asked |= {name: "" for name, values in known.items() if asked[name] not in values}
    since = utcnow() - dt.timedelta(days=int(asked["days"])) if asked["days"] else None
    filters = TextFilters(
        kind=asked["kind"],
        severity=asked["severity"],
        service=asked["service"],
        since=since,
        drill=bool(asked["drill"]),
    )
    page = search_texts(actor, asked["q"], filters, before=query.get("before", "")[:24])

    def address(**changes: str) -> str:
        return _address({**asked, **changes})

    context = {
        "words": asked["q"],
        "service": asked["service"],
        "kept": [(name, asked[name]) for name in ("kind", "severity", "days", "drill") if asked[name]],
        "hits": page.hits,
        "filtered": any(asked[name] for name in _NAMES if name != "q"),
        "filters": [
            _filter(asked, "kind", "Kind", {key: str(label) for key, label in IncidentKind.choices}),
            _filter(asked, "severity", "Severity", {value: value for value in Severity.values}),
            _filter(asked, "days", "Period", PERIODS),
            _filter(asked, "drill", "Drills", {"true": "with drills"}, anything="without drills"),
        ],
        "all_url": _address({"q": asked["q"]}),
        "next_url": address(before=page.before) if page.before else None,
        "previous_url": address() if "before" in query else None,
    }
    return render_page(request, "incidents/texts.html", context)


def _address(asked: dict[str, str]) -> str:
    return (
        f"{reverse('incidents:texts')}?{urlencode({name: value for name, value in asked.items() if value})}"
    )


def _filter(
    asked: dict[str, str], name: str, label: str, values: dict[str, str], *, anything: str = "any"
) -> dict[str, Any]:
    shown = {"": anything, **values}
    options = [
        {"label": text, "url": _address({**asked, name: value}), "current": asked[name] == value}
        for value, text in shown.items()
    ]
    return {"label": label, "options": options}
