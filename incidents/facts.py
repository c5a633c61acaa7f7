"""Frozen shapes that pass between rooms of this app."""

from __future__ import annotations

from dataclasses import dataclass

from incidents.states import SampleOutcome


@dataclass(frozen=True)
class Reading:
    """What a source said about a metric: a value, no data, or why there is no answer."""

    outcome: SampleOutcome
    value: float | None = None
    error: str = ""
