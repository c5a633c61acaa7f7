"""What every page says about Firebreak itself: read from the last look at it, by one query."""

from __future__ import annotations

import json
from dataclasses import dataclass

from django.db import connection

from core.operation.rules import span

LOOKED_WITHIN_SECONDS = 40
RECOVERY_SHOWN_SECONDS = 300
MOST_SHOWN = 2
PAGE = "/system/"


@dataclass(frozen=True)
class Banner:
    """A line at the top of every page. `level` is "ok", "warning" or "critical"; `url` leads to more."""

    level: str
    icon: str
    text: str
    detail: str = ""
    url: str = ""


_ICONS = {"critical": "exclamation-triangle", "warning": "wrench-screwdriver"}
_SNAPSHOT = """
SELECT troubles, extract(epoch FROM clock_timestamp() - taken_at)::float,
       extract(epoch FROM clock_timestamp() - troubled_at)::float
  FROM core_healthsnapshot WHERE id = 1
"""


def banners() -> tuple[Banner, ...]:
    """What a person looking at any page must know about Firebreak itself (one query)."""
    with connection.cursor() as cursor:
        cursor.execute(_SNAPSHOT)
        row = cursor.fetchone()
    if row is None:
        return (_unwatched("Neither web nor watchdog has looked after it yet."),)
    troubles, looked, troubled = json.loads(row[0]), row[1], row[2]
    if looked > LOOKED_WITHIN_SECONDS:
        return (_unwatched(f"The last look was {span(looked)} ago: whether anything works is not known."),)
    if troubles:
        return _of_troubles(troubles)
    if troubled is not None and troubled < RECOVERY_SHOWN_SECONDS:
        text = "Firebreak itself is well again"
        return (Banner("ok", "check-circle", text, f"The trouble ended {span(troubled)} ago.", PAGE),)
    return ()


def _of_troubles(troubles: list[dict[str, str]]) -> tuple[Banner, ...]:
    shown = [
        Banner(trouble["level"], _ICONS[trouble["level"]], trouble["text"], trouble["detail"], PAGE)
        for trouble in troubles[:MOST_SHOWN]
    ]
    if more := len(troubles) - len(shown):
        level = troubles[MOST_SHOWN]["level"]
        shown.append(Banner(level, _ICONS[level], f"And {more} more", "", PAGE))
    return tuple(shown)


def _unwatched(detail: str) -> Banner:
    text = "Nobody looks after Firebreak itself"
    return Banner("critical", "exclamation-triangle", text, detail, PAGE)
