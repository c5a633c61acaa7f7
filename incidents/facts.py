"""Frozen shapes that pass between rooms of this app."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from incidents.states import FailureKind, SampleOutcome


@dataclass(frozen=True)
class Question:
    """What a source is asked: where it measures, which metric, how often."""

    source: Mapping[str, Any]
    metric: str
    interval_seconds: int


@dataclass(frozen=True)
class Reading:
    """What a source said about a metric: a value, no data, or why there is no answer."""

    outcome: SampleOutcome
    value: float | None = None
    error: str = ""
    kind: FailureKind | None = None

    @classmethod
    def of(cls, value: float) -> Reading:
        """A number; one that is none (NaN) or has no bound is no data, never 0."""
        return cls(SampleOutcome.OK, value) if math.isfinite(value) else cls(SampleOutcome.NO_DATA)

    @classmethod
    def failed(cls, kind: FailureKind, text: str) -> Reading:
        """No answer: `Cannot be reached: ConnectError: …`."""
        return cls(SampleOutcome.ERROR, error=f"{kind.label}: {text}"[:300], kind=kind)
