"""Frozen shapes that pass between rooms of this app."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from incidents.states import AlertStatus, FailureKind, SampleOutcome


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


@dataclass(frozen=True)
class Seen:
    """One alert as one delivery tells it. `starts_at` is None where the sender gives no usable time."""

    fingerprint: str
    starts_at: dt.datetime | None
    ends_at: dt.datetime | None
    status: AlertStatus
    title: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    url: str = ""
    notes: tuple[str, ...] = ()
    cut_off: int = 0
