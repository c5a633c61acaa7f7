"""Everything about one incident as one JSON file that anybody can verify without Firebreak.

The format is documented in docs/export.md and verified by docs/verify_export.py: keep the three the same.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from typing import IO, Any

from django.conf import settings
from django.db.models import F, QuerySet
from django.utils.module_loading import import_string

from core.actors import Actor
from core.events import rfc3339
from core.models import Event, Stream
from incidents.models import Incident

FORMAT = "firebreak-incident-export/1"
IN_MEMORY = 4 * 1024 * 1024  # bytes; a longer export lies in a temporary file while it is sent
CHUNK = 2_000  # events read at a time

Part = Callable[[Actor, Incident], Any]


def export_incident(actor: Actor, incident: Incident, *, now: dt.datetime) -> IO[bytes]:
    """The file, at its beginning. `incident` is one that the actor may see.

    The timeline is that of one moment, whole up to its head; what stands beside it may be newer by as
    long as the reading took.
    """
    file = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115
    digest = hashlib.sha256()
    for piece in _pieces(actor, incident, now):
        digest.update(piece)
        file.write(piece)
    digest.update(b"}")
    file.write(b',"digest":' + as_bytes(digest.hexdigest()) + b"}\n")
    file.seek(0)
    return file


def as_bytes(value: Any) -> bytes:
    """The one way in which the export writes JSON: nothing is left to the writer's taste."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode()


def _pieces(actor: Actor, incident: Incident, now: dt.datetime) -> Iterator[bytes]:
    stream = Stream.objects.get(pk=incident.stream_id)
    yield b'{"format":' + as_bytes(FORMAT)
    yield b',"exported_at":' + as_bytes(rfc3339(now)) + b',"exported_by":' + as_bytes(actor.label)
    yield b',"incident":' + as_bytes(_incident(incident))
    head = {"name": stream.name, "head_seq": stream.head_seq, "head_hash": stream.head_hash}
    yield b',"timeline":' + as_bytes(head)[:-1] + b',"events":['
    events = Event.objects.filter(stream=stream, seq__lte=stream.head_seq).order_by("seq")
    for number, event in enumerate(events.iterator(chunk_size=CHUNK)):
        yield (b"," if number else b"") + as_bytes(_event(event))
    yield b"]}"
    for name, part in _parts():
        yield b"," + as_bytes(name) + b":" + as_bytes(plain(part(actor, incident)))


def _parts() -> Iterator[tuple[str, Part]]:
    yield from _OWN.items()
    for name, path in settings.EXPORT_PARTS:
        yield name, import_string(path)


def plain(value: Any) -> Any:
    """JSON of texts, whole numbers, lists and objects: times as RFC 3339, other numbers as text."""
    match value:
        case None | bool() | str() | int():
            return value
        case dt.datetime():
            return rfc3339(value)
        case Mapping():
            return {str(key): plain(item) for key, item in value.items()}
        case list() | tuple() | QuerySet():
            return [plain(item) for item in value]
    return str(value)


def _incident(incident: Incident) -> dict[str, Any]:
    names = (
        "ref", "title", "description", "impact", "kind", "severity", "security_level", "status", "restricted",
        "drill", "source", "declared_at", "declared_by", "started_at", "response_due_at", "acknowledged_at",
        "response_breached_at", "escalated_at", "escalated_to", "resolved_at", "closed_at", "resolution",
        "root_cause",
    )  # fmt: skip
    found = {name: plain(getattr(incident, name)) for name in names}
    found["services"] = list(incident.services.order_by("slug").values_list("slug", flat=True))
    return found


def _event(event: Event) -> dict[str, Any]:
    """As the timeline shows it, and the bytes that its hash covers, which are ASCII."""
    return {
        "seq": event.seq,
        "kind": event.kind,
        "occurred_at": rfc3339(event.occurred_at),
        "recorded_at": rfc3339(event.recorded_at),
        "actor_kind": event.actor_kind,
        "actor": event.actor,
        "source": event.source,
        "summary": event.summary,
        "data": event.data,
        "canonical": bytes(event.canonical).decode("ascii"),
        "hash": event.hash,
    }


def _rows(rows: QuerySet[Any, Any], *names: str, **renamed: str) -> list[Mapping[str, Any]]:
    return list(rows.values(*names, **{name: F(path) for name, path in renamed.items()}))


def _responders(_actor: Actor, incident: Incident) -> Any:
    rows = incident.responders.order_by("since", "pk")
    return _rows(rows, "role", "since", "until", "added_by", account="user__username")


def _checklists(_actor: Actor, incident: Incident) -> Any:
    names = ("checklist", "phase", "key", "name", "starts_at", "due_at", "ticked_at", "ticked_by", "note")
    rows = incident.checklist_items.order_by("checklist", "position")
    return _rows(rows, *names, assigned_to="owner__username")


def _tasks(_actor: Actor, incident: Incident) -> Any:
    names = ("title", "due_at", "state", "created_at", "created_by", "finished_at", "finished_by")
    return _rows(incident.tasks.order_by("pk"), *names, assigned_to="owner__username")


def _evidence(_actor: Actor, incident: Incident) -> Any:
    """What there is, without its bytes: their SHA-256 stands in the event that attached it as well."""
    names = ("id", "name", "description", "content_type", "size", "sha256", "attached_at", "attached_by")
    rows = incident.evidence.order_by("pk")
    return _rows(rows, *names, withdrawn_at="withdrawal__withdrawn_at", withdrawn_why="withdrawal__reason")


def _alerts(_actor: Actor, incident: Incident) -> Any:
    names = (
        "source",
        "fingerprint",
        "status",
        "title",
        "severity",
        "labels",
        "starts_at",
        "ends_at",
        "repeats",
    )
    return _rows(incident.alerts.order_by("pk"), *names, about="service__slug")


_OWN: Mapping[str, Part] = {
    "responders": _responders,
    "checklists": _checklists,
    "tasks": _tasks,
    "evidence": _evidence,
    "alerts": _alerts,
}
