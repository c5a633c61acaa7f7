"""The status page on disk: any static server shows it with everything else down.

`$STATUS_PAGE_DIR/status` is a link to a folder with a whole set of files. A new set is written beside it
and the link is replaced in one step: who reads sees the old set or the new one, never a mixture. Processes
of two accounts may write there (comms, and the watchdog in its place): sets belong to the folder's group.
"""

from __future__ import annotations

import datetime as dt
import fcntl
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings
from django.db import connection

from comms.models import StatusSnapshot
from comms.publishing.files import NAMES, render_file
from comms.selectors.status_page import get_status_page
from comms.services.components import ensure_components
from core.clock import utcnow

logger = logging.getLogger(__name__)

EVERY_SECONDS = 60  # maintenance begins, a day ends and a service gets a name without telling anybody
LEASE_SECONDS = 30
_SET = "status-"
SETS_KEPT = 2  # whoever is reading the one before reads on

_CLAIM = """
INSERT INTO comms_statussnapshot AS s (id, due_at, last_error)
VALUES (1, clock_timestamp() + make_interval(secs => %(lease)s), '')
ON CONFLICT (id) DO UPDATE SET due_at = clock_timestamp() + make_interval(secs => %(lease)s)
 WHERE s.due_at <= clock_timestamp()
RETURNING due_at
"""


def write_due_snapshot(*, now: dt.datetime) -> int:
    """Write it when it is due: after a change, and every minute; returns 1 when it was written.

    A process that dies in the middle leaves the old set, and the row due again half a minute later.
    """
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM, {"lease": LEASE_SECONDS})
        claimed = cursor.fetchone()
    if claimed is None:
        return 0
    error = ""
    try:
        write_snapshot()
    except OSError as trouble:
        logger.exception("the status page was not written")
        error = f"{type(trouble).__name__}: {trouble.strerror or trouble}"[:500]
    done = {"last_error": error} if error else {"last_error": "", "written_at": utcnow()}
    again = utcnow() + dt.timedelta(seconds=EVERY_SECONDS)
    # A change meanwhile has moved due_at: then it is due at once.
    if not StatusSnapshot.objects.filter(pk=1, due_at=claimed[0]).update(due_at=again, **done):
        StatusSnapshot.objects.filter(pk=1).update(**done)
    return 0 if error else 1


def write_snapshot() -> Path:
    """Write the whole set now; returns the link. One writer at a time, so that the newest is the last."""
    place: Path = settings.STATUS_PAGE_DIR
    place.mkdir(parents=True, exist_ok=True)
    link = place / "status"
    with _one_writer(place):
        now = utcnow()
        ensure_components(now=now)
        page = get_status_page(now=now)
        files = {name: render_file(name, page) for name in NAMES}
        folder = Path(tempfile.mkdtemp(prefix=f"{_SET}{now:%Y%m%d%H%M%S%f}-", dir=place))
        try:
            for name, content in files.items():
                _write(folder / name, content)
            _open_to_servers(folder)
            _replace(link, folder)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)  # a full disk is not filled further every minute
            raise
        for old in sorted(path for path in place.glob(f"{_SET}*") if path != folder)[: -(SETS_KEPT - 1)]:
            shutil.rmtree(old, ignore_errors=True)
    return link


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())


def _open_to_servers(folder: Path) -> None:
    """What is public may be read by the account of any web server, and removed by the folder's group."""
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o775 if path.is_dir() else 0o644)


def _replace(link: Path, folder: Path) -> None:
    temporary = folder.with_name(f".{folder.name}")
    temporary.symlink_to(folder.name)
    try:
        os.replace(temporary, link)
    except OSError:
        temporary.unlink()
        raise


@contextmanager
def _one_writer(place: Path) -> Iterator[None]:
    """The folder itself is the lock: no file in it could belong to the wrong account."""
    lock = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)
