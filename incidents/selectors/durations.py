"""Spans of time in words."""

from __future__ import annotations


def duration_text(seconds: float) -> str:
    """`45 s`, `3 min 20 s`, `24 h`, `2 d 3 h`: the two largest units that say something."""
    left = max(0, round(seconds))
    parts = []
    units = (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1))
    for unit, size in units if left >= 2 * 86_400 else units[1:]:
        amount, left = divmod(left, size)
        if amount:
            parts.append(f"{amount} {unit}")
    return " ".join(parts[:2]) or "0 s"
