"""Finding incidents by what was written about them: descriptions, timelines, reports."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from django.contrib.postgres.search import SearchRank
from django.db import connection
from django.db.models import BooleanField, F, Func, QuerySet, Value

from core.actors import Actor
from core.search import Hit, Period
from incidents import policy
from incidents.models import Incident, SearchDocument, Service
from incidents.rules.words import Asked, read_search
from incidents.selectors.cards import incident_url
from incidents.selectors.search import few_of
from incidents.states import IncidentKind, IncidentStatus, Severity

PAGE_SIZE = 20
# Of so many of the newest the nearest are chosen: what a common word costs stays bounded.
RANKED = 200
_BEGIN, _END = "\x02", "\x03"  # no stored text holds them
_SHOWN = f"StartSel={_BEGIN}, StopSel={_END}"
_EXCERPTS = f"""
SELECT d.incident_id,
       ts_headline('pg_catalog.english', i.title, asked.words, '{_SHOWN}, HighlightAll=true'),
       ts_headline('pg_catalog.english', left(d.body, 30000), asked.words,
                   '{_SHOWN}, MaxFragments=2, MaxWords=16, MinWords=6, FragmentDelimiter=" … "')
  FROM incidents_searchdocument d JOIN incidents_incident i ON i.id = d.incident_id,
       (SELECT incidents_search_query(%(words)s, '') AS words) asked
 WHERE d.incident_id = ANY(%(incidents)s)
"""  # noqa: S608 - constants alone

Pieces = tuple[tuple[str, bool], ...]


@dataclass(frozen=True)
class TextFilters:
    """What the hits are narrowed to; empty is everything but drills."""

    kind: str = ""
    severity: str = ""
    service: str = ""
    since: dt.datetime | None = None
    until: dt.datetime | None = None
    drill: bool = False


@dataclass(frozen=True)
class TextHit:
    """An incident in whose texts the words were found; pieces are text, and whether a word found it."""

    ref: str
    url: str
    title: Pieces
    excerpt: Pieces
    severity: str
    severity_name: str
    status: str
    status_label: str
    kind_label: str
    declared_at: dt.datetime
    is_open: bool
    drill: bool
    restricted: bool


@dataclass(frozen=True)
class TextPage:
    """The newest first; `before` asks for the next page, empty at the end."""

    hits: tuple[TextHit, ...]
    before: str


def find_texts(actor: Actor, words: str, limit: int, *, period: Period | None = None) -> tuple[Hit, ...]:
    """The nearest of the newest in whose texts the words are; the title weighs most (four queries)."""
    asked = read_search(words)
    if asked is None:
        return ()
    period = period or Period()
    rows = _matching(actor, asked, TextFilters(since=period.since, until=period.until))
    # By itself: as a condition of the other query the planner would read every incident for it.
    newest = list(rows.order_by("-pk").values_list("pk", flat=True)[:RANKED])
    ranked = Incident.objects.filter(pk__in=newest).annotate(
        rank=SearchRank(F("search_document__words"), _query(asked))
    )
    found = list(ranked.order_by("-rank", "-pk")[:limit])
    return tuple(_as_hit(hit) for hit in _shown(found, asked))


def search_texts(actor: Actor, words: str, filters: TextFilters, *, before: str = "") -> TextPage:
    """A page of the incidents in whose texts the words are, the newest first (at most four queries).

    `before` is the reference that the page before ended with; an unknown one counts as none.
    """
    asked = read_search(words)
    if asked is None:
        return TextPage((), "")
    rows = _matching(actor, asked, filters)
    last = Incident.objects.visible_to(actor).filter(ref=before).values_list("pk", flat=True).first()
    if before and last:
        rows = rows.filter(pk__lt=last)
    found = list(rows.order_by("-pk")[: PAGE_SIZE + 1])
    more = len(found) > PAGE_SIZE
    shown = found[:PAGE_SIZE]
    return TextPage(_shown(shown, asked), shown[-1].ref if more else "")


def _matching(actor: Actor, asked: Asked, filters: TextFilters) -> QuerySet[Incident]:
    rows = Incident.objects.visible_to(actor)
    found = SearchDocument.objects.annotate(found=_matches(asked)).filter(found=True).order_by()
    few = few_of(found)
    chosen: Any = found.values("pk") if few is None else few
    rows = rows.filter(pk__in=chosen)
    if not filters.drill:
        rows = rows.filter(drill=False)
    if filters.kind in IncidentKind.values:
        rows = rows.filter(kind=filters.kind)
    if filters.severity in Severity.values:
        rows = rows.filter(severity=filters.severity)
    if filters.service:
        rows = rows.filter(services__in=Service.objects.filter(slug=filters.service).values("pk"))
    if filters.since:
        rows = rows.filter(declared_at__gte=filters.since)
    if filters.until:
        rows = rows.filter(declared_at__lt=filters.until)
    return rows


def _query(asked: Asked) -> Func:
    return Func(Value(asked.words), Value(asked.without), function="incidents_search_query")


def _matches(asked: Asked) -> Func:
    return Func(
        F("words"), _query(asked), template="%(expressions)s", arg_joiner=" @@ ", output_field=BooleanField()
    )


def _shown(found: Collection[Incident], asked: Asked) -> tuple[TextHit, ...]:
    """The incidents with what was found of them marked (one query)."""
    said: dict[int, tuple[str, str]] = {}
    if found:
        with connection.cursor() as cursor:
            values: dict[str, Any] = {"words": asked.words, "incidents": [incident.pk for incident in found]}
            cursor.execute(_EXCERPTS, values)
            said = {pk: (title, excerpt) for pk, title, excerpt in cursor.fetchall()}
    return tuple(_hit(incident, *said.get(incident.pk, (incident.title, ""))) for incident in found)


def _hit(incident: Incident, title: str, excerpt: str) -> TextHit:
    return TextHit(
        ref=incident.ref,
        url=incident_url(incident.ref),
        title=_pieces(title),
        excerpt=_pieces(excerpt),
        severity=incident.severity,
        severity_name=policy.severity_level(incident.severity).name,
        status=incident.status,
        status_label=str(IncidentStatus(incident.status).label),
        kind_label=str(IncidentKind(incident.kind).label),
        declared_at=incident.declared_at,
        is_open=incident.is_open,
        drill=incident.drill,
        restricted=incident.restricted,
    )


def _pieces(marked: str) -> Pieces:
    pieces: list[tuple[str, bool]] = []
    for number, part in enumerate(marked.split(_BEGIN)):
        inside, _ended, after = part.partition(_END) if number else ("", "", part)
        pieces += [(inside, True)] if inside else []
        pieces += [(after, False)] if after else []
    return tuple(pieces)


def _as_hit(hit: TextHit) -> Hit:
    said = [f"{hit.severity} {hit.severity_name}", hit.status_label, f"{hit.declared_at:%Y-%m-%d}"]
    return Hit(
        kind="text",
        key=hit.ref,
        label="".join(text for text, _found in hit.title),
        detail=" · ".join([*said, *(["restricted"] if hit.restricted else [])]),
        url=hit.url,
        icon="document-text",
        excerpt=hit.excerpt,
    )
