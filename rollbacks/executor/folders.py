"""Clearing away the folders that commands leave on their host, some days after their rollback's end."""

from __future__ import annotations

import datetime as dt
import shutil

from django.conf import settings

from rollbacks.models import Rollback
from rollbacks.states import END_STATES

KEPT_FOR = dt.timedelta(days=7)


def forget_folders(*, now: dt.datetime) -> int:
    """Remove the folders of rollbacks that ended a week ago; returns how many.

    Each host does it for its own. What is not in the database is somebody else's, or of a database that
    is being restored: it stays.
    """
    runs = settings.VAR_DIR / "runs"
    here = [folder.name for folder in runs.iterdir()] if runs.exists() else []
    old = Rollback.objects.filter(ref__in=here, state__in=END_STATES, completed_at__lt=now - KEPT_FOR)
    refs = list(old.values_list("ref", flat=True))
    for ref in refs:
        shutil.rmtree(runs / ref, ignore_errors=True)
    return len(refs)
