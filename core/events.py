"""Recording what happened: one event, its outbox rows and the poke to open pages, in one transaction."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import logging
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils.module_loading import import_string

from core import hints, live
from core.actors import Actor
from core.models import Event, PendingEvent, Stream
from core.models.events import StreamKind

SUMMARY_LENGTH = 500
GENESIS = "0" * 64
logger = logging.getLogger(__name__)


def open_stream(kind: StreamKind, name: str) -> Stream:
    """Create the stream of a new subject; call it in the transaction that creates the subject."""
    return Stream.objects.create(kind=kind, name=name)


def system_stream() -> Stream:
    """The stream of Firebreak itself: switches, alarms of its own machinery."""
    return Stream.objects.get_or_create(kind=StreamKind.SYSTEM, name="firebreak")[0]


def record(
    stream_id: int,
    *,
    kind: str,
    actor: Actor,
    summary: str,
    now: dt.datetime,
    data: Mapping[str, Any] | None = None,
    occurred_at: dt.datetime | None = None,
    source: str = "firebreak",
    topics: tuple[str, ...] = (),
) -> Event:
    """Append one event to a stream and tell the consumers and the open pages.

    Must run inside the transaction that makes the change it reports. `data` is JSON with strings,
    whole numbers, booleans and null (no floats: they have no canonical text) and holds ids, never
    phone numbers, tokens or command output. `topics` are further live topics, such as "service:3".
    """
    assert transaction.get_connection().in_atomic_block, "record() belongs in the change's transaction"
    stream = Stream.objects.select_for_update(no_key=True).get(pk=stream_id)
    event = Event(
        stream=stream,
        seq=stream.head_seq + 1,
        kind=kind,
        occurred_at=occurred_at or now,
        recorded_at=now,
        actor_kind=actor.kind,
        actor=actor.label[:200],
        actor_user_id=actor.user_id,
        source=source,
        summary=shorten(summary),
        data=dict(data or {}),
    )
    event.canonical = canonical_bytes(event, previous_hash=stream.head_hash or GENESIS)
    event.hash = hashlib.sha256(event.canonical).hexdigest()
    event.save(force_insert=True)
    stream.head_seq, stream.head_hash = event.seq, event.hash
    stream.save(update_fields=["head_seq", "head_hash"])
    _fill_outbox(event, now)
    live.poke(f"{stream.kind}:{stream.name}", "now", *topics)
    return event


def canonical_bytes(event: Event, *, previous_hash: str) -> bytes:
    """The bytes that the hash covers: sorted keys, RFC 3339 text, no floats."""
    return json.dumps(
        {
            "stream": event.stream_id,
            "seq": event.seq,
            "kind": event.kind,
            "occurred_at": rfc3339(event.occurred_at),
            "recorded_at": rfc3339(event.recorded_at),
            "actor_kind": str(event.actor_kind),
            "actor": event.actor,
            "actor_user_id": event.actor_user_id,
            "source": event.source,
            "summary": event.summary,
            "data": _without_floats(event.data),
            "previous_hash": previous_hash,
        },
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=True,
    ).encode()


def rfc3339(moment: dt.datetime) -> str:
    return moment.astimezone(dt.UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def shorten(text: str) -> str:
    """One line of at most 500 characters."""
    line = " ".join(text.split())
    return line if len(line) <= SUMMARY_LENGTH else line[: SUMMARY_LENGTH - 1] + "…"


def _without_floats(value: Any) -> Any:
    if isinstance(value, float):
        raise TypeError("an event's data holds no floats: give numbers as text")
    if isinstance(value, Mapping):
        return {str(key): _without_floats(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_floats(item) for item in value]
    return value


def _fill_outbox(event: Event, now: dt.datetime) -> None:
    consumers = [
        name
        for name, _handler, kinds in settings.EVENT_CONSUMERS
        if event.kind.startswith(kinds) and _is_interested(name, event.kind)
    ]
    PendingEvent.objects.bulk_create(
        PendingEvent(
            event=event,
            consumer=name,
            stream=event.stream,
            seq=event.seq,
            due_at=now,
            patient=name in settings.PATIENT_CONSUMERS,
        )
        for name in consumers
    )
    if consumers:
        hints.wake("core.sweep_outbox")


def _is_interested(consumer: str, kind: str) -> bool:
    """Who cannot say so gets the event: nothing that happens is lost by a playbook that cannot be read."""
    path = settings.EVENT_INTERESTS.get(consumer)
    if path is None:
        return True
    try:
        return bool(import_string(path)(kind))
    except Exception:
        logger.exception("%s could not say whether it wants %s", consumer, kind)
        return True
