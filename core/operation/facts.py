"""What is known about Firebreak itself, frozen. Ages and durations are seconds, by the database's clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, LiteralString

Level = Literal["critical", "warning"]


@dataclass(frozen=True)
class DueWork:
    """How an app finds one kind of work with a due time: SQL for the moments since when each piece is due.

    Its clock is `statement_timestamp()`: by `clock_timestamp()`, which moves on, no index is searched.
    """

    moments: LiteralString
    parameters: tuple[Any, ...] = ()


@dataclass(frozen=True)
class WorkFacts:
    """One kind of due work with its limit."""

    key: str
    label: str
    count: int
    oldest_seconds: float
    limit_seconds: float


@dataclass(frozen=True)
class ProcessFacts:
    """One process of one host."""

    pk: int
    name: str
    host: str
    pid: int
    version: str
    playbook: str
    age_seconds: float
    uptime_seconds: float
    worked_seconds_ago: float | None
    skew_seconds: float | None
    disk_free_ratio: float | None


@dataclass(frozen=True)
class SweepFacts:
    """One sweep: how often it is wanted, when a worker last began it, how long the run before took."""

    name: str
    every_seconds: float
    age_seconds: float | None
    took_seconds: float | None


@dataclass(frozen=True)
class MarkFacts:
    """A heartbeat other than a sweep's."""

    age_seconds: float
    note: str = ""


@dataclass(frozen=True)
class Trouble:
    """Something wrong with Firebreak itself.

    `runbook` names a page of docs/runbooks/. `silences` is whether it stops the outside heartbeat.
    """

    key: str
    level: Level
    text: str
    detail: str
    runbook: str = ""
    silences: bool = False


@dataclass(frozen=True)
class SystemFacts:
    """Everything that is judged."""

    expected: tuple[str, ...]
    processes: tuple[ProcessFacts, ...]
    sweeps: tuple[SweepFacts, ...]
    marks: Mapping[tuple[str, str], MarkFacts]  # by component and host
    work: tuple[WorkFacts, ...]
    parked: int = 0
    unapplied_migrations: int = 0
    broker_away: str | None = None  # why; None when it answers or was not asked
    added: tuple[Trouble, ...] = field(default=())  # found by the apps themselves
