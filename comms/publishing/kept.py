"""The status page as Django serves it: each file is kept for seconds, and no longer than until a change."""

from __future__ import annotations

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

# Every change writes the row in its own transaction (`want_snapshot`): this is which version of it there is.
_VERSION = "SELECT xmin::text || ctid::text FROM comms_statussnapshot"


@dataclass(frozen=True)
class PageFile:
    """A file, and the tag that stands for its content."""

    content: bytes
    etag: str


@dataclass(frozen=True)
class _Kept:
    """A file made after the change `version`; good until `until` on this process's clock."""

    file: PageFile
    version: str
    until: float


_kept: dict[str, _Kept] = {}
_making = {name: threading.Lock() for name in NAMES}


def page_file(name: str) -> PageFile:
    """One of `files.NAMES`; one query, and the page's own where it was not kept. One thread at a time makes
    a file: the others wait for it.
    """
    version = _version()
    mine = _making[name].acquire(timeout=PATIENCE_SECONDS)
    try:
        kept = _kept.get(name)
        if kept is None or kept.version != version or time.monotonic() >= kept.until:
            kept = _Kept(_make(name), version, time.monotonic() + KEPT_SECONDS)
            _kept[name] = kept
        return kept.file
    finally:
        if mine:
            _making[name].release()


def _version() -> str:
    """Asked before the file is made: a change meanwhile makes another one."""
    with connection.cursor() as cursor:
        cursor.execute(_VERSION)
        row = cursor.fetchone()
    return str(row[0]) if row else ""


def _make(name: str) -> PageFile:
    return tagged(render_file(name, get_status_page(now=utcnow())))


def tagged(content: bytes) -> PageFile:
    """A file that is not kept."""
    return PageFile(content, f'"{hashlib.sha256(content).hexdigest()[:32]}"')
