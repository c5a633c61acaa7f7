"""The playbook of this process: loaded once, on first use or at start."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings

from core.playbook.loader import Playbook, load

_current: Playbook | None = None


def get_playbook() -> Playbook:
    """The process's playbook; raises PlaybookError when the folder's is wrong."""
    global _current
    if _current is None:
        _current = load(settings.PLAYBOOK_DIR)
    return _current


@contextmanager
def use_playbook(playbook: Playbook) -> Iterator[Playbook]:
    """Work with another playbook for a while (tests, drills of a changed policy)."""
    global _current
    before, _current = _current, playbook
    try:
        yield playbook
    finally:
        _current = before
