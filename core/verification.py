"""Proving that a timeline is what was written: every hash, every link, the head."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from django.conf import settings
from django.utils.module_loading import import_string

from core.events import GENESIS, canonical_bytes
from core.models import Event, Stream


def verify_streams(*, using: str = "default") -> tuple[int, list[str]]:
    """Check every stream of a database; returns how many and what is wrong."""
    return _verify(Stream.objects.using(using).order_by("pk").iterator())


def verify_stream(name: str) -> tuple[int, list[str]]:
    """Check the streams of one name."""
    return _verify(Stream.objects.filter(name=name))


def verify_kept(name: str = "", *, using: str = "default") -> tuple[int, list[str]]:
    """Check what apps keep beside the timeline and what events vouch for, such as the bytes of files."""
    checked, problems = 0, []
    for path in settings.KEPT_CONTENT:
        number, wrong = import_string(path)(name, using=using)
        checked += number
        problems += wrong
    return checked, problems


def _verify(streams: Iterable[Stream]) -> tuple[int, list[str]]:
    checked, problems = 0, []
    for stream in streams:
        checked += 1
        problems += [f"{stream}: {problem}" for problem in _problems(stream)]
    return checked, problems


def _problems(stream: Stream) -> Iterable[str]:
    """What an edited, deleted, inserted, swapped or cut-off row leaves behind."""
    expected_seq, previous = 1, GENESIS
    for event in stream.events.order_by("seq").iterator():
        if event.seq != expected_seq:
            yield f"event {expected_seq} is missing before {event.seq}"
        if hashlib.sha256(bytes(event.canonical)).hexdigest() != event.hash:
            yield f"event {event.seq}: the hash does not match its bytes"
        elif _rebuilt(event, previous) != bytes(event.canonical):
            yield f"event {event.seq}: the row, or its place in the chain, differs from what was hashed"
        expected_seq, previous = event.seq + 1, event.hash
    last_seq = expected_seq - 1
    if (last_seq, previous) != (stream.head_seq, stream.head_hash or GENESIS):
        yield f"the stream's head says {stream.head_seq} events, the last one found is {last_seq}"


def _rebuilt(event: Event, previous: str) -> bytes:
    try:
        return canonical_bytes(event, previous_hash=previous)
    except TypeError:
        return b""
