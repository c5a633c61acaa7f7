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


@dataclass(frozen=True)
class ReviewPeriod:
    """The time that a review looks at, and the moment when it opens (all UTC)."""

    begins_at: dt.datetime
    ends_at: dt.datetime
    opened_at: dt.datetime

    @property
    def before(self) -> ReviewPeriod:
        """As much time right before it."""
        length = self.ends_at - self.begins_at
        return ReviewPeriod(self.begins_at - length, self.begins_at, self.opened_at)


@dataclass(frozen=True)
class AgendaLine:
    """One thing to look at. `incident` is the reference of the incident it tells of: who may not see that
    one reads its code name and nothing else of the line. `tone` is `warning`, `critical` or empty.
    """

    text: str
    detail: str = ""
    url: str = ""
    incident: str = ""
    tone: str = ""


@dataclass(frozen=True)
class AgendaFigure:
    """A figure of the period and of the one before; None where there was nothing to count. `unit` is `count`,
    `seconds` or `ratio`.
    """

    name: str
    unit: str
    value: float | None
    before: float | None


@dataclass(frozen=True)
class AgendaSection:
    """A section of a review's agenda. `count` is how many there were, of which `lines` shows the first."""

    title: str
    lines: tuple[AgendaLine, ...] = ()
    figures: tuple[AgendaFigure, ...] = ()
    count: int = 0


@dataclass(frozen=True)
class KeptText:
    """A text of the playbook that is looked over. `kind`: whose upkeep, `procedures` or `checklists`."""

    kind: str
    key: str
    name: str
    digest: str
    url: str = ""
