"""What is expected to be noisy."""

from __future__ import annotations

import datetime as dt


def maintenance_of(service_id: int, *, now: dt.datetime) -> str | None:
    """The service's maintenance now, in words, such as `maintenance until 14:00 UTC: database upgrade`."""
    return None
