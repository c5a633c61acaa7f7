"""Frozen shapes that pass between rooms of this app."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.texts import made_harmless
from incidents.states import AlertStatus, FailureKind, SampleOutcome


@dataclass(frozen=True)
class Question:
    """What a source is asked: where it measures, which metric, how often.

    `since` is when the monitor last had something to say, or began to.
    """

    source: Mapping[str, Any]
    metric: str
    interval_seconds: int
    since: dt.datetime | None = None


@dataclass(frozen=True)
class Reading:
    """What a source said about a metric: a value, no data, or why there is no answer.

    `volume` is how many requests the value is made of, where the source knows; `at` when it was measured,
    where that is not now (pushed samples).
    """

    outcome: SampleOutcome
    value: float | None = None
    error: str = ""
    kind: FailureKind | None = None
    volume: float | None = None
    at: dt.datetime | None = None

    @classmethod
    def of(cls, value: float, *, volume: float | None = None, at: dt.datetime | None = None) -> Reading:
        """A number; one that is none (NaN) or has no bound is no data, never 0."""
        if not math.isfinite(value):
            return cls(SampleOutcome.NO_DATA, at=at)
        return cls(SampleOutcome.OK, value, volume=volume, at=at)

    @classmethod
    def failed(cls, kind: FailureKind, text: str) -> Reading:
        """No answer: `Cannot be reached: ConnectError: …`. The source may have chosen the words."""
        return cls(SampleOutcome.ERROR, error=made_harmless(f"{kind.label}: {text}"[:300]), kind=kind)


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
