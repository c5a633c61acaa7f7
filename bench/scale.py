"""How much is measured: the whole run, the short one, and the smallest that still fills every cell."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Scale:
    """`seconds` is one window's length; a cell is `rounds` windows of Firebreak and as many of the ceiling."""

    name: str
    sizes: tuple[int, ...]
    connections: tuple[int, ...]
    rounds: int
    seconds: float
    more_rounds: int
    more_seconds: float
    cold_starts: int
    at_most_minutes: float
    core_only: bool = False  # list, detail and create, without the filters and the pages


WHOLE = Scale(
    "whole",
    sizes=(1_000, 100_000, 1_000_000),
    connections=(1, 8, 32),
    rounds=3,
    seconds=1.5,
    more_rounds=2,
    more_seconds=0.6,
    cold_starts=3,
    at_most_minutes=24,
)
SHORT = Scale(
    "short",
    sizes=(1_000, 20_000),
    connections=(1, 8, 32),
    rounds=2,
    seconds=0.6,
    more_rounds=1,
    more_seconds=0.4,
    cold_starts=1,
    at_most_minutes=2,
)
SMOKE = Scale(
    "smoke",
    sizes=(60,),
    connections=(2,),
    rounds=1,
    seconds=0.05,
    more_rounds=1,
    more_seconds=0.05,
    cold_starts=0,
    at_most_minutes=10,  # a test asserts no speed
)
SCALES = {scale.name: scale for scale in (WHOLE, SHORT, SMOKE)}
