"""When samples are rolled up: an hour at a time, once nothing can be added to it."""

from __future__ import annotations

import datetime as dt

BUCKET = dt.timedelta(minutes=5)
SPAN = dt.timedelta(hours=1)
# A pushed sample may be this old (incidents.services), and a transaction that stores one takes a while.
LATEST = dt.timedelta(hours=1)
GRACE = dt.timedelta(minutes=5)


def settled_before(now: dt.datetime) -> dt.datetime:
    """The end of the last hour that no sample can be added to any more."""
    return (now - LATEST - GRACE).astimezone(dt.UTC).replace(minute=0, second=0, microsecond=0)
