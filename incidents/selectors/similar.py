"""Incidents of the past that are like one, why, and how they ended."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any, LiteralString

from django.contrib.postgres.fields import ArrayField
from django.db import connection
from django.db.models import BooleanField, F, Func, QuerySet, TextField, Value
from django.utils.text import Truncator

from core.actors import Actor
from incidents.models import Incident, SearchDocument
from incidents.rules.similar import MOST_SHOWN, Likeness, Traits, most_alike
from incidents.selectors.cards import incident_url
from incidents.states import OPEN_STATUSES, metric_name

# Compared are the newest of those that share a release, a service, or a word that is not in too many.
OF_RELEASES, OF_SERVICES, OF_WORDS = 50, 50, 100
TOO_MANY = 0.05  # of all incidents
MOST_WORDS = 8  # the rarest
RESOLUTION_LENGTH = 160

# What it is now, not what the search has of it: it may be seconds old. How many have a word is what the
# planner knows: counting them would cost more than everything else.
_OWN: LiteralString = """
WITH said AS MATERIALIZED (
    SELECT tsvector_to_array(to_tsvector('pg_catalog.english',
               left(incidents_folded(concat_ws(' ', i.title, left(i.description, 500))), 2000))) AS stems,
           incidents_folded(concat_ws(' ', i.title, left(i.description, 500))) AS words
      FROM incidents_incident i WHERE i.id = %(incident)s
)
SELECT said.stems,
       ARRAY(SELECT ARRAY[(ts_lexize('pg_catalog.english_stem', word))[1], word]
               FROM unnest(string_to_array(left(said.words, 2000), ' ')) word WHERE word <> '') AS written,
       ARRAY(SELECT ARRAY[s.id::text, s.name] FROM incidents_incident_services j
               JOIN incidents_service s ON s.id = j.service_id WHERE j.incident_id = %(incident)s),
       ARRAY(SELECT DISTINCT e.data->>'metric' FROM core_event e
              WHERE e.stream_id = %(stream)s AND e.seq <= 100 AND e.kind = 'incident.breached'
                AND e.data->>'metric' <> ''),
       ARRAY(SELECT concat(s.slug, ' ', live.version) FROM incidents_incident_services j
               JOIN incidents_service s ON s.id = j.service_id
               JOIN LATERAL (SELECT version FROM incidents_release
                              WHERE service_id = s.id AND deployed_at <= %(declared_at)s
                              ORDER BY deployed_at DESC, id DESC LIMIT 1) live ON true
              WHERE j.incident_id = %(incident)s),
       (SELECT d.releases FROM incidents_searchdocument d WHERE d.incident_id = %(incident)s),
       (SELECT d.metrics FROM incidents_searchdocument d WHERE d.incident_id = %(incident)s),
       ARRAY(SELECT ARRAY[word, frequency::text] FROM pg_stats,
                    unnest(most_common_elems::text::text[], most_common_elem_freqs) AS common(word, frequency)
              WHERE schemaname = 'public' AND tablename = 'incidents_searchdocument' AND attname = 'subject'
                AND word = ANY(said.stems))
  FROM said
"""


@dataclass(frozen=True)
class SimilarIncident:
    """One of them. `reasons` are what both share, `resolution` is one line, `rolled_back_to` may be empty."""

    ref: str
    url: str
    title: str
    severity: str
    declared_at: dt.datetime
    resolved_at: dt.datetime
    reasons: tuple[str, ...]
    resolution: str
    rolled_back_to: str

    @property
    def duration_seconds(self) -> int:
        return int((self.resolved_at - self.declared_at).total_seconds())


def similar_incidents(
    actor: Actor, incident: Incident, *, restricted: bool = True
) -> tuple[SimilarIncident, ...]:
    """At most five that are over and that the actor may see, the most alike first (three queries).

    Drills are compared with drills. Without `restricted` they are what everybody may see who may read.
    """
    own = _own(incident)
    rows = Incident.objects.visible_to(actor).filter(drill=incident.drill).exclude(status__in=OPEN_STATUSES)
    if not restricted:
        rows = rows.filter(restricted=False)
    documents = {row.pk: row for row in _candidates(rows.exclude(pk=incident.pk), own)}
    found = most_alike(own.traits, map(_traits, documents.values()), own.frequencies)
    return tuple(_shown(documents[one.key], one, own) for one in found[:MOST_SHOWN])


@dataclass(frozen=True)
class _Own:
    """An incident's traits; how frequent its words are, where that is known; how its stems are written."""

    traits: Traits
    frequencies: dict[str, float]
    written: dict[str, str]
    service_names: dict[int, str]


def _own(incident: Incident) -> _Own:
    asked: dict[str, Any] = {
        "incident": incident.pk,
        "stream": incident.stream_id,
        "declared_at": incident.declared_at,
    }
    with connection.cursor() as cursor:
        cursor.execute(_OWN, asked)
        stems, written, services, metrics, live, releases, kept, common = cursor.fetchone()
    names = {int(key): name for key, name in services}
    traits = Traits(
        key=incident.pk,
        services=frozenset(names),
        metrics=frozenset(metrics) | frozenset(kept or ()),
        releases=frozenset(live) | frozenset(releases or ()),
        words=frozenset(stems),
    )
    return _Own(traits, {word: float(share) for word, share in common}, dict(written), names)


def _candidates(rows: QuerySet[Incident], own: _Own) -> QuerySet[Any]:
    """Documents of the incidents among `rows` that are worth comparing, with their `stems` (two queries)."""
    this, legs = own.traits, []
    rows = rows.order_by("-pk").values_list("pk", flat=True)  # type: ignore[assignment]
    if this.releases:
        of_releases = SearchDocument.objects.filter(releases__overlap=sorted(this.releases))
        legs.append(rows.filter(pk__in=of_releases.values("pk"))[:OF_RELEASES])
    if this.services:
        of_services = Incident.services.through.objects.filter(service__in=this.services)
        legs.append(rows.filter(pk__in=of_services.values("incident"))[:OF_SERVICES])
    if words := _rarest(own):
        of_words = SearchDocument.objects.annotate(found=_has_any(words)).filter(found=True)
        legs.append(rows.filter(pk__in=of_words.values("pk"))[:OF_WORDS])
    # By themselves: as a condition of the other query the planner would read every document for it.
    chosen = list(legs[0].union(*legs[1:])) if legs else []
    stems = Func(F("subject"), function="tsvector_to_array", output_field=ArrayField(TextField()))
    shown = SearchDocument.objects.filter(pk__in=chosen).select_related("incident").annotate(stems=stems)
    return shown.defer("body", "words", "subject")


def _rarest(own: _Own) -> list[str]:
    """The words by which others are looked for: not those that are in every second incident."""
    share = own.frequencies
    rare = (word for word in own.traits.words if share.get(word, 0) <= TOO_MANY)
    return sorted(rare, key=lambda word: (share.get(word, 0), word))[:MOST_WORDS]


def _has_any(words: list[str]) -> Func:
    any_of = " | ".join(f"'{word}'" for word in words)  # stems are letters and digits
    return Func(
        F("subject"), Value(any_of), template="(%(expressions)s::tsquery)", arg_joiner=" @@ ",
        output_field=BooleanField(),
    )  # fmt: skip


def _traits(document: Any) -> Traits:
    return Traits(
        key=document.pk,
        services=frozenset(document.services),
        metrics=frozenset(document.metrics),
        releases=frozenset(document.releases),
        words=frozenset(document.stems),
    )


def _shown(document: SearchDocument, like: Likeness, own: _Own) -> SimilarIncident:
    incident = document.incident
    assert incident.resolved_at is not None
    words = [own.written.get(word, word) for word in like.words]
    reasons = [f"same release {', '.join(like.releases)}"] if like.releases else []
    reasons += (
        [f"same service {', '.join(own.service_names[key] for key in like.services)}"]
        if like.services
        else []
    )
    reasons += [f"same metric {', '.join(map(metric_name, like.metrics))}"] if like.metrics else []
    reasons += [f"words: {' '.join(words)}"] if words else []
    resolution = " ".join(incident.resolution.split())
    return SimilarIncident(
        ref=incident.ref,
        url=incident_url(incident.ref),
        title=incident.title,
        severity=incident.severity,
        declared_at=incident.declared_at,
        resolved_at=incident.resolved_at,
        reasons=tuple(reasons),
        resolution=Truncator(resolution).chars(RESOLUTION_LENGTH),
        rolled_back_to=document.rolled_back_to,
    )
