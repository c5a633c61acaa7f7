"""The evidence of an incident: as its page and its API show it, and the proof that it is what it was."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from django.db import connections
from django.db.models import QuerySet
from django.urls import reverse

from core.access import may
from core.actors import Actor
from core.errors import NotFound
from core.models import Event
from incidents.models import Evidence, EvidenceContent, Incident
from incidents.rules.evidence import size_text
from incidents.states import EvidenceKind, IncidentStatus

SHOWN = 50  # on the page; the API has all


@dataclass(frozen=True)
class EvidenceLine:
    """One piece of evidence; `url` is None once it is withdrawn, `image` whether a page may show it."""

    pk: int
    name: str
    description: str
    kind: str
    size_text: str
    sha256: str
    image: bool
    attached_at: dt.datetime
    attached_by: str
    url: str | None
    withdraw_url: str | None
    withdrawn_at: dt.datetime | None
    withdrawn_by: str
    withdrawn_reason: str


@dataclass(frozen=True)
class EvidenceBoard:
    """What the page says of an incident's evidence, the newest first."""

    lines: tuple[EvidenceLine, ...]
    add_url: str | None


def evidence_board(actor: Actor, incident: Incident) -> EvidenceBoard:
    """At most fifty pieces (one query)."""
    changeable = incident.status != IncidentStatus.CLOSED and may(actor, "respond")
    rows = list_evidence(incident).order_by("-pk")[:SHOWN]
    return EvidenceBoard(
        lines=tuple(_line(actor, incident, row, changeable=changeable) for row in rows),
        add_url=reverse("incidents:attach", args=[incident.ref]) if changeable else None,
    )


def list_evidence(incident: Incident) -> QuerySet[Evidence]:
    """All of it, what was withdrawn too."""
    return incident.evidence.select_related("withdrawal")


def get_evidence(incident: Incident, evidence_id: int) -> Evidence:
    """Raises NotFound."""
    found = list_evidence(incident).filter(pk=evidence_id).first()
    if found is None:
        raise NotFound("There is no such evidence on this incident.")
    return found


def read_evidence(incident: Incident, evidence_id: int) -> tuple[Evidence, bytes]:
    """A piece of evidence with its bytes; raises NotFound also once it is withdrawn."""
    evidence = get_evidence(incident, evidence_id)
    if hasattr(evidence, "withdrawal"):
        raise NotFound("This evidence was withdrawn.")
    return evidence, b"".join(_pieces(evidence))


def verify_evidence(name: str = "", *, using: str = "default") -> tuple[int, list[str]]:
    """Compare the bytes of every piece of evidence with its row and with its event on the timeline.

    `name` is an incident's reference, none for all. Returns how many there are and what is wrong.
    """
    if Evidence._meta.db_table not in connections[using].introspection.table_names():
        return 0, []  # a backup from before there was any
    events = Event.objects.using(using).filter(kind="evidence.attached")
    rows = Evidence.objects.using(using).select_related("incident").order_by("pk")
    if name:
        events, rows = events.filter(stream__name=name), rows.filter(incident__ref=name)
    recorded = {event["data"]["evidence"]: event["data"] for event in events.values("data").iterator()}
    problems: list[str] = []
    checked = 0
    for row in rows.iterator():
        checked += 1
        problems += [
            f"{row.incident.ref}: evidence {row.pk}: {text}"
            for text in _wrong(row, recorded.pop(row.pk, None), using)
        ]
    problems += [f"{data['incident']}: evidence {pk} is missing" for pk, data in recorded.items()]
    return checked, problems


def _wrong(row: Evidence, said: dict[str, object] | None, using: str) -> Iterator[str]:
    digest, size = hashlib.sha256(), 0
    for piece in _pieces(row, using):
        digest.update(piece)
        size += len(piece)
    if (digest.hexdigest(), size) != (row.sha256, row.size):
        yield "its bytes are not those that were attached"
    if said is None:
        yield "no event says that it was attached"
    elif (said["sha256"], said["size"], said["name"]) != (row.sha256, row.size, row.name):
        yield "the event that attached it says otherwise"


def _pieces(evidence: Evidence, using: str = "default") -> Iterator[bytes]:
    rows = EvidenceContent.objects.using(using).filter(evidence_id=evidence.pk).order_by("position")
    for piece in rows.values_list("piece", flat=True).iterator(chunk_size=2):
        yield bytes(piece)


def _line(actor: Actor, incident: Incident, row: Evidence, *, changeable: bool) -> EvidenceLine:
    withdrawn = getattr(row, "withdrawal", None)
    own = actor.user_id is not None and row.attached_by_account == actor.user_id
    withdraws = changeable and withdrawn is None and (own or may(actor, "command"))
    address = [incident.ref, row.pk]
    return EvidenceLine(
        pk=row.pk,
        name=row.name,
        description=row.description,
        kind=row.kind,
        size_text=size_text(row.size),
        sha256=row.sha256,
        image=row.kind == EvidenceKind.IMAGE,
        attached_at=row.attached_at,
        attached_by=row.attached_by,
        url=None if withdrawn else reverse("incidents:evidence", args=address),
        withdraw_url=reverse("incidents:withdraw", args=address) if withdraws else None,
        withdrawn_at=withdrawn.withdrawn_at if withdrawn else None,
        withdrawn_by=withdrawn.withdrawn_by if withdrawn else "",
        withdrawn_reason=withdrawn.reason if withdrawn else "",
    )
