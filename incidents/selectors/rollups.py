"""How far samples are rolled up, and whether that is late."""

from __future__ import annotations

import datetime as dt

from core.clock import utcnow
from core.operation.facts import Trouble
from incidents.models import RollupMark

LATE = dt.timedelta(days=1)


def rolled_up_to() -> dt.datetime | None:
    """Everything before this moment is rolled up; None before the first time."""
    return RollupMark.objects.values_list("rolled_up_to", flat=True).first()


def late_rollups() -> tuple[Trouble, ...]:
    """A warning where rolling up is a day behind: until it is done no sample goes."""
    mark = rolled_up_to()
    if mark is None or utcnow() - mark < LATE:
        return ()
    detail = f"Rolled up to {mark:%Y-%m-%d %H:%M} UTC. Charts stay right; samples are kept until it is done."
    return (Trouble("rollups", "warning", "Measurements are rolled up late", detail, "late-rollups"),)
