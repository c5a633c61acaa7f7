"""Changes that rest on what somebody read: made only while the thing is still at that version."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from core.errors import FirebreakError

STATE_COLUMNS = ("status", "state")


class VersionChanged(FirebreakError):
    """Somebody else changed the thing since the version that the change was based on."""

    code = "version_changed"
    status = 412

    def __init__(self, message: str, *, version: int, state: str | None = None) -> None:
        super().__init__(message, state=state)
        self.version = version


@contextmanager
def at_version(
    rows: QuerySet[Any], expected: Collection[int] | None, *, after: Sequence[QuerySet[Any]] = ()
) -> Iterator[None]:
    """Run a command in one transaction with the check that the row is at one of these versions.

    `rows` selects the one row, which stays locked until the command is done; the row of each of `after`
    is locked before it, where the order of locks asks for that. None expects nothing. Raises
    VersionChanged.
    """
    if expected is None:
        yield
        return
    with transaction.atomic():
        for before in after:
            before.select_for_update(no_key=True).first()
        row = rows.select_for_update(of=("self",), no_key=True).first()
        # A row that is gone is the command's own to report.
        if row is not None and row.version not in expected:
            state = next((str(getattr(row, name)) for name in STATE_COLUMNS if hasattr(row, name)), None)
            raise VersionChanged(
                "It was changed after the version that this rests on; read it again.",
                version=row.version,
                state=state,
            )
        yield
