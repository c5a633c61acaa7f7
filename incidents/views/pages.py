"""The pages that this app shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import reverse
from django.utils.functional import SimpleLazyObject

from core.access import may
from core.actors import Actor
from core.clock import utcnow
from core.search import LONGEST
from core.texts import made_harmless
from core.views.reading import Later, Live, asked_panels, page_query, reading, render_page
from incidents import panels
from incidents.forms import DUE_IN
from incidents.models import Incident
from incidents.selectors.actions import Action
from incidents.selectors.cards import (
    IncidentPage,
    count_open,
    incident_url,
    list_cards,
    open_cards,
    veiled_cards,
)
from incidents.selectors.finding import offer_services
from incidents.selectors.incident_page import IncidentView, RoleSlot, get_incident
from incidents.selectors.people import choose_people
from incidents.selectors.presence import DOING, who_is_here
from incidents.selectors.services import DEFAULT_RANGE, RANGES, ServicePage, get_service, get_service_page
from incidents.selectors.tiles import STATES, ServiceTile, count_services, list_tiles, now_tiles
from incidents.selectors.timeline import LENGTH, EventLine, list_events
from incidents.selectors.waiting import waits_for
from incidents.states import Severity

OFFERED = 10  # services in the list of a field
_OTHERS = {
    "critical": "critical",
    "unknown": "without an answer",
    "high": "high",
    "warning": "at a warning",
    "ok": "well",
    "unmeasured": "not measured",
}


@reading
def now(request: HttpRequest, actor: Actor) -> HttpResponse:
    """What is wrong, how long there is, what is being done."""
    moment = utcnow()
    found = Later(lambda: now_tiles(now=moment))
    context = {
        # The open incidents by themselves say nothing of what is measured.
        "live": Later(
            lambda: Live(
                reverse("incidents:now"),
                "now",
                "" if asked_panels(request) == ("incidents",) else _topics(found().tiles),
            )
        ),
        "cards": (cards := Later(lambda: open_cards(actor, now=moment))),
        "open_count": (count := Later(lambda: count_open(actor))),
        "more_open": Later(lambda: max(count() - len(cards()), 0)),
        "veiled": Later(lambda: veiled_cards(actor)),
        "tiles": Later(lambda: found().tiles),
        "total": Later(lambda: found().total),
        "counts": Later(
            lambda: [_count(state, number) for state, number in found().counts.items() if number]
        ),
        "others": Later(lambda: [(number, _OTHERS[state]) for state, number in found().others.items()]),
        "panels": Later(lambda: panels.now_panels(actor)),
        "waits": Later(lambda: waits_for(actor, now=moment)),
    }
    return render_page(request, "incidents/now.html", context)


@reading
def incidents(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Every incident, by state and severity."""
    query = page_query(request)
    state, severity, before = (query.get(name, "") for name in ("state", "severity", "before"))
    page = list_cards(actor, now=utcnow(), state=state, severity=severity, before=before)
    context = {
        "live": Live(reverse("incidents:incidents"), "now"),
        "incidents": page.cards,
        "veiled": () if before else veiled_cards(actor, severity=severity),
        "filtered": bool(state or severity or before),
        **_paging(page, state, severity, before),
    }
    return render_page(request, "incidents/incidents.html", context)


@reading
def incident(request: HttpRequest, actor: Actor, ref: str) -> HttpResponse:
    """One incident."""
    found = get_incident(actor, ref)

    def added(key: str) -> tuple[str, dict[str, Any]] | None:
        return _added(panels.incident_panel(actor, found, key)) if panels.is_incident_panel(key) else None

    return render_page(request, "incidents/incident.html", _incident_context(request, actor, found), added)


@reading
def services(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Every service by its name; searchable, and by how it stands."""
    query = page_query(request)
    words, state, after = (query.get(name, "")[:100] for name in ("q", "state", "after"))
    state = state if state in STATES else ""
    page = list_tiles(now=utcnow(), words=words, state=state, after=after)
    counts = count_services()

    def address(**changes: str) -> str:
        chosen = {"q": words, "state": state, **changes}
        asked = urlencode({name: value for name, value in chosen.items() if value})
        return reverse("incidents:services") + (f"?{asked}" if asked else "")

    options = [("", "All", sum(counts.values())), *((key, STATES[key], counts[key]) for key in STATES)]
    context = {
        "live": Live(reverse("incidents:services"), f"now {_topics(page.tiles)}"),
        "tiles": page.tiles,
        "words": words,
        "state": state,
        "filtered": bool(words or state or after),
        "options": [
            {"label": label, "number": number, "url": address(state=key), "current": key == state}
            for key, label, number in options
            if number or key in ("", state)
        ],
        "previous_url": address() if after else None,
        "next_url": address(after=page.after) if page.after else None,
        "admin_url": reverse("admin:incidents_service_add")
        if may(actor, "configure") and request.user.is_staff
        else None,
    }
    return render_page(request, "incidents/services.html", context)


@reading
def offered_services(request: HttpRequest, actor: Actor) -> HttpResponse:
    """What a field of services offers for the words typed into it, as JSON."""
    words = made_harmless(request.GET.get("q", "")[:LONGEST])
    offers = offer_services(actor, words, OFFERED)
    found = [{"slug": offer.key, "name": offer.label, "detail": offer.detail} for offer in offers]
    return JsonResponse({"services": found})


@reading
def offered_people(request: HttpRequest, actor: Actor) -> HttpResponse:
    """What a field of accounts offers for the words typed into it, as JSON."""
    words = made_harmless(request.GET.get("q", "")[:LONGEST])
    found = [
        {
            "slug": user.get_username(),
            "name": user.get_full_name() or user.get_username(),
            "detail": user.level.label,
        }
        for user in choose_people(words, OFFERED)
    ]
    return JsonResponse({"people": found})


@reading
def service(request: HttpRequest, actor: Actor, slug: str) -> HttpResponse:
    """One service: its metrics, releases, monitors and incidents."""
    asked = page_query(request).get("range", "")
    chosen = asked if asked in RANGES else DEFAULT_RANGE
    page = SimpleLazyObject(lambda: get_service_page(actor, slug, now=utcnow(), range_key=chosen))

    def added(key: str) -> tuple[str, dict[str, Any]] | None:
        if not panels.is_service_panel(key):
            return None
        return _added(panels.service_panel(actor, get_service(slug), key))

    context = {
        "live": Live(reverse("incidents:service", args=[slug]), f"service:{slug}"),
        "ranges": [(key, f"?range={key}", key == chosen) for key in RANGES],
        **{part.name: _part(page, part.name) for part in fields(ServicePage)},
    }
    return render_page(request, "incidents/service.html", context, added)


def _topics(tiles: Sequence[ServiceTile]) -> str:
    """Only what the services that are shown measure: others measure all the time."""
    return " ".join(f"service:{tile.slug}" for tile in tiles)


def _count(state: str, number: int) -> dict[str, Any]:
    url = f"{reverse('incidents:services')}?state={state}"
    return {"state": state, "label": STATES[state], "number": number, "url": url}


def _added(panel: panels.Panel) -> tuple[str, dict[str, Any]]:
    """Template and context of a panel of another app."""
    return panel.template, {"panel": panel, "live": Live(panel.url, panel.topics)}


def _part(page: object, name: str) -> Later:
    """One attribute of what a page shows, read when it is shown."""
    return Later(lambda: getattr(page, name))


def _incident_context(request: HttpRequest, actor: Actor, found: Incident) -> dict[str, Any]:
    moment = utcnow()
    view = IncidentView(actor, found, now=moment)
    query = page_query(request)
    before = query.get("before", "")
    events = Later(
        lambda: list_events(
            found,
            group=query.get("kind", ""),
            before=int(before) if before.isdecimal() and len(before) < 16 else None,
            links=panels.added_links(found),
        )
    )
    slugs = [service.slug for service in found.services.all()]
    return {name: _part(view, name) for name in IncidentView.PARTS} | {
        "live": Live(
            incident_url(found.ref), f"incident:{found.ref}", " ".join(f"service:{slug}" for slug in slugs)
        ),
        "actions": Later(lambda: (*view.actions, *panels.added_actions(actor, found))),
        "panels": Later(lambda: panels.incident_panels(actor, found)),
        "roles": Later(lambda: _with_calls(view.roles, panels.added_calls(actor, found))),
        "events": events,
        "here": Later(lambda: who_is_here(found, now=moment)),
        "here_topic": f"presence:{found.ref}",
        "here_url": reverse("incidents:here", args=[found.ref]),
        "doings": " ".join(DOING),
        "older_url": Later(lambda: _older_url(events())),
        "due_in": DUE_IN,
        "note_url": reverse("incidents:note", args=[found.ref]),
    }


def _with_calls(roles: Sequence[RoleSlot], calls: Mapping[str, Action]) -> tuple[RoleSlot, ...]:
    """With what another app offers for a role that nobody holds."""
    return tuple(role if role.holder else replace(role, call=calls.get(role.key)) for role in roles)


def _older_url(events: tuple[EventLine, ...]) -> str | None:
    return f"?before={events[-1].seq}" if len(events) == LENGTH and events[-1].seq > 1 else None


def _paging(page: IncidentPage, state: str, severity: str, before: str) -> dict[str, Any]:
    def address(**changes: str) -> str:
        chosen = {"state": state, "severity": severity, **changes}
        query = "&".join(f"{name}={value}" for name, value in chosen.items() if value)
        return reverse("incidents:incidents") + (f"?{query}" if query else "")

    # Only values that are known words end up in an address.
    state = state if state == "open" else ""
    severity = severity if severity in Severity.values else ""
    states = (("All", ""), ("Open", "open"))
    severities = (("Any severity", ""), *((known, known) for known in Severity.values))
    return {
        "filters": [
            _filter("state", "State", [(label, address(state=key), key == state) for label, key in states]),
            _filter(
                "severity",
                "Severity",
                [(label, address(severity=key), key == severity) for label, key in severities],
            ),
        ],
        "previous_url": address() if before else None,
        "next_url": address(before=page.before) if page.before else None,
    }


def _filter(key: str, label: str, options: list[tuple[str, str, bool]]) -> dict[str, Any]:
    shown = [{"label": text, "url": url, "current": current} for text, url, current in options]
    return {"key": key, "label": label, "options": shown}
