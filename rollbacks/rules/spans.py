"""Spans of time in a sentence."""

from __future__ import annotations

_UNITS = (("day", 86_400), ("hour", 3600), ("minute", 60), ("second", 1))


def span(seconds: float) -> str:
    """`9 days`, `30 hours`, `1 minute`: the largest unit of which there are two, or one exactly."""
    whole = max(0, int(seconds))
    for unit, size in _UNITS:
        count = whole // size
        if count >= 2 or whole == size or (count == 1 and size == 1):
            return f"{count} {unit}{'' if count == 1 else 's'}"
    return "0 seconds"
