"""How long the live release has been clean, which makes it one to return to."""

from __future__ import annotations

import datetime as dt

from incidents import policy
from incidents.models import Monitor, Release, Service
from incidents.states import MonitorLevel, ReleaseState

COMPLAINTS = {MonitorLevel.WARNING, MonitorLevel.HIGH, MonitorLevel.CRITICAL}


def note_cleanliness(service: Service, now: dt.datetime) -> None:
    """Note whether the live release is clean now: no enabled monitor of its service complains.

    A monitor that cannot be measured is no complaint: a release that had been clean for long enough
    stays so. Until then nobody can say, and the time begins anew when all can be seen again.
    """
    levels = set(Monitor.objects.filter(service=service, enabled=True).values_list("level", flat=True))
    live = Release.objects.filter(service=service, state=ReleaseState.LIVE)
    if levels & COMPLAINTS:
        live.update(clean_since=None)
    elif MonitorLevel.UNKNOWN in levels:
        needed = dt.timedelta(seconds=policy.thresholds().release_is_good_after)
        live.filter(clean_since__gt=now - needed).update(clean_since=None)
    else:
        live.filter(clean_since__isnull=True).update(clean_since=now)
