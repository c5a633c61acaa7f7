"""What a search finds of this app: incidents, services and releases."""

from __future__ import annotations

import re
from collections.abc import Iterable

from django.db.models import Case, Min, Q, When
from django.urls import reverse

from core.access import may
from core.actors import Actor
from core.search import Hit
from incidents import policy
from incidents.models import Incident, Monitor, Release, Service
from incidents.rules.levels import WORST_FIRST
from incidents.selectors.cards import incident_url
from incidents.selectors.search import search_incidents, search_services
from incidents.selectors.tiles import worst_services
from incidents.states import OPEN_STATUSES, IncidentStatus, MonitorLevel, ReleaseState

# A reference as far as it is typed: `inc`, `INC-2026-1`.
_BEGUN_REF = re.compile(r"INC(?:-[\d-]{0,20})?\Z", re.IGNORECASE)
_SLUG = re.compile(r"[a-z0-9-]{1,60}\Z")
_VERSION = re.compile(r"\S*\d\S*\Z")
_COMMIT = re.compile(r"[0-9a-f]{7,64}\Z")
_TONES = {ReleaseState.LIVE: "live", ReleaseState.QUARANTINED: "quarantined", ReleaseState.GOOD: "good"}


def find_incidents(actor: Actor, words: str, limit: int) -> tuple[Hit, ...]:
    """The open ones first, then the newest; without words the open ones (at most three queries)."""
    rows = Incident.objects.visible_to(actor).order_by("-pk")
    if not words:
        return tuple(_incident(row) for row in rows.open()[:limit])
    if _BEGUN_REF.match(words):
        return tuple(_incident(row) for row in rows.filter(ref__startswith=words.upper())[:limit])
    found = search_incidents(rows, words)
    # Asked for by themselves, both parts are read from an index in their order.
    best: list[Incident] = list(found.filter(status__in=OPEN_STATUSES)[:limit])
    if len(best) < limit:
        best += found.exclude(status__in=OPEN_STATUSES)[: limit - len(best)]
    return tuple(_incident(row) for row in best)


def _incident(row: Incident) -> Hit:
    severity = policy.severity_level(row.severity)
    said = [f"{row.severity} {severity.name}", str(IncidentStatus(row.status).label)]
    said += ["DRILL"] if row.drill else []
    said += ["restricted"] if row.restricted else []
    return Hit(
        kind="incident",
        key=row.ref,
        label=row.title,
        detail=" · ".join(said),
        url=incident_url(row.ref),
        icon="fire" if row.is_open else "check-circle",
        tone=row.severity if row.is_open else "resolved",
    )


def find_services(actor: Actor, words: str, limit: int) -> tuple[Hit, ...]:
    """Those whose slug begins so, then by name; without words none (three queries)."""
    return offer_services(actor, words, limit) if words else ()


def offer_services(actor: Actor, words: str, limit: int) -> tuple[Hit, ...]:
    """As `find_services`, but without words those in trouble, then by name: for a field of services."""
    if not may(actor, "read"):
        return ()
    found = choose_services(words, limit)
    levels = _levels(service.pk for service in found)
    return tuple(_service(service, levels.get(service.pk)) for service in found)


def choose_services(words: str, limit: int) -> list[Service]:
    """Services that the words mean, the nearest first; without words those in trouble, then by name."""
    everything = Service.objects.order_by("name", "slug")
    if not words.strip():
        worst = worst_services(limit)
        found = sorted(Service.objects.filter(pk__in=worst), key=lambda service: worst.index(service.pk))
        return found + list(everything.exclude(pk__in=worst)[: limit - len(found)])
    begun = words.strip().lower()
    found = []
    if _SLUG.match(begun):
        found = list(everything.filter(slug__startswith=begun).order_by("slug")[:limit])
    if len(found) < limit:
        others = search_services(everything.exclude(pk__in=[service.pk for service in found]), words)
        found += list(others[: limit - len(found)])
    return found


def _levels(ids: Iterable[int]) -> dict[int, MonitorLevel]:
    """The worst level of those that are not well."""
    place = Case(*(When(level=level, then=number) for number, level in enumerate(WORST_FIRST)))
    bad = Monitor.objects.filter(Q(enabled=True) & ~Q(level=MonitorLevel.OK), service__in=list(ids))
    rows = bad.values("service").annotate(worst=Min(place)).values_list("service", "worst")
    return {service: WORST_FIRST[worst] for service, worst in rows}


def _service(service: Service, level: MonitorLevel | None) -> Hit:
    return Hit(
        kind="service",
        key=service.slug,
        label=service.name,
        detail=" · ".join([service.environment, *([str(level.label)] if level else [])]),
        url=reverse("incidents:service", args=[service.slug]),
        icon="exclamation-triangle" if level else "server-stack",
        tone=level.value if level else "",
    )


def find_releases(actor: Actor, words: str, limit: int) -> tuple[Hit, ...]:
    """By the beginning of a version or commit; other words say of which service: `shop 2.1` (two queries)."""
    parts = words.split()
    versions = [part for part in parts if _VERSION.match(part) and "INC-" not in part and "RB-" not in part]
    if len(versions) != 1 or not may(actor, "read"):
        return ()
    called = Q(version__startswith=versions[0])
    if _COMMIT.match(versions[0]):
        called |= Q(commit__startswith=versions[0]) & ~Q(commit="")  # as the condition of the index says
    rows = Release.objects.filter(called)
    if others := " ".join(part for part in parts if part != versions[0]):
        rows = rows.filter(service__in=search_services(Service.objects.order_by(), others).values("pk"))
    rows = rows.prefetch_related("service").order_by("-deployed_at", "-pk")
    return tuple(_release(row) for row in rows[:limit])


def _release(row: Release) -> Hit:
    state = ReleaseState(row.state)
    return Hit(
        kind="release",
        key=row.version,
        label=f"{row.service.name} {row.version}",
        detail=f"{state.label} · {row.service.environment} · {row.deployed_at:%Y-%m-%d %H:%M} UTC",
        url=reverse("incidents:service", args=[row.service.slug]),
        icon="tag",
        tone=_TONES.get(state, ""),
    )
