"""The status page as Django serves it: each file is made once and kept until something changes."""

from __future__ import annotations

import datetime as dt
import hashlib
import threading
import time
from dataclasses import dataclass

from django.db import connection

from comms.publishing.files import NAMES, render_file
from comms.selectors.status_page import get_status_page
from core.clock import utcnow

KEPT_SECONDS = 5.0  # maintenance begins and a service gets a name without telling anybody
PATIENCE_SECONDS = 2.0  # for whoever makes the same file at this moment

# A change moves it into the past in its own transaction (`want_snapshot`); once it is written it lies ahead.
_UNCHANGED = "SELECT due_at FROM comms_statussnapshot WHERE due_at > clock_timestamp()"


@dataclass(frozen=True)
class PageFile:
    """A file, and the tag that stands for its content."""

    content: bytes
    etag: str


@dataclass(frozen=True)
class _Kept:
    """A file as it was with the snapshot due at `due_at`, until `until` on this process's clock."""

    file: PageFile
    due_at: dt.datetime
    until: float


_kept: dict[str, _Kept] = {}
_making = {name: threading.Lock() for name in NAMES}


def page_file(name: str) -> PageFile:
    """One of `files.NAMES`; one query, and the page's own where it was not kept.

    While a change waits to be written to disk, nothing is kept: whoever looks sees it at once.
    """
    due_at = _unchanged_until()
    if due_at is None:
        return _make(name)
    lock = _making[name]
    mine = lock.acquire(timeout=PATIENCE_SECONDS)
    try:
        kept = _kept.get(name)
        if kept is None or kept.due_at != due_at or time.monotonic() > kept.until:
            kept = _Kept(_make(name), due_at, time.monotonic() + KEPT_SECONDS)
            _kept[name] = kept
        return kept.file
    finally:
        if mine:
            lock.release()


def _unchanged_until() -> dt.datetime | None:
    """When the snapshot is due next; None: something has changed, or nobody writes it."""
    with connection.cursor() as cursor:
        cursor.execute(_UNCHANGED)
        row = cursor.fetchone()
    return row[0] if row else None


def _make(name: str) -> PageFile:
    return tagged(render_file(name, get_status_page(now=utcnow())))


def tagged(content: bytes) -> PageFile:
    """A file that is not kept."""
    return PageFile(content, f'"{hashlib.sha256(content).hexdigest()[:32]}"')
