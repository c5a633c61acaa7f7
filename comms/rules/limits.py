"""How often one person's telephone may ring. Pure. Source: research, P14 (GoAlert's figures)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence

from comms.states import Means

Limit = tuple[float, int]  # seconds, how many within them

LIMITS: Mapping[Means, tuple[Limit, ...]] = {
    Means.SMS: ((60, 1), (900, 5), (3600, 11), (10_800, 21)),
    Means.VOICE: ((60, 1), (900, 3), (3600, 7), (10_800, 15)),
}
LONGEST_SECONDS = 10_800.0


def allowed_at(sent: Sequence[dt.datetime], *, limits: Sequence[Limit], now: dt.datetime) -> dt.datetime:
    """The first moment from `now` on at which one more may leave; `sent` is when others left."""
    moment = now
    newest_first = sorted(sent, reverse=True)
    for seconds, most in limits:
        if len(newest_first) >= most:
            moment = max(moment, newest_first[most - 1] + dt.timedelta(seconds=seconds))
    return moment
