"""Everything the page "Firebreak itself" shows, in a number of queries that never changes."""

from __future__ import annotations

import datetime as dt
import time
from dataclasses import dataclass

from django.conf import settings
from django.db import connection
from django.template.defaultfilters import filesizeformat

from core import build
from core.access import may
from core.actors import Actor
from core.models import PendingEvent
from core.operation.broker import queue_lengths, queue_names
from core.operation.facts import ProcessFacts, SweepFacts, SystemFacts, Trouble, WorkFacts
from core.operation.gather import system_facts
from core.operation.outside import SILENT, TOLD
from core.operation.rules import SKEW_WARNING_SECONDS, is_late, is_silent, judge, span

MOST_PARKED_SHOWN = 20
_PURPOSES = {
    "web": "serves pages, API and the live stream",
    "checks": "asks the monitors' sources",
    "comms": "handles events and sends messages",
    "runner": "runs the steps of rollbacks",
    "beat": "wakes the workers on time",
    "watchdog": "does what is overdue, without broker and workers",
}
_DATABASE = """
SELECT pg_database_size(current_database()), current_setting('server_version'),
       (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()),
       current_setting('max_connections')::int, pg_postmaster_start_time(), pg_is_in_recovery(),
       (SELECT count(*) FROM pg_stat_replication), clock_timestamp()
"""


@dataclass(frozen=True)
class ProcessLine:
    """One process; `state` is ok, critical or unknown, times are None when it never ran."""

    name: str
    purpose: str
    state: str
    state_label: str
    host: str = ""
    pid: int = 0
    version: str = ""
    playbook: str = ""
    playbook_differs: bool = False
    seen_at: dt.datetime | None = None
    started_at: dt.datetime | None = None
    worked_at: dt.datetime | None = None
    skew_text: str = ""
    disk_text: str = ""
    forget_id: int | None = None


@dataclass(frozen=True)
class Line:
    """Something with a state, a number and a remark."""

    label: str
    state: str
    state_label: str
    value: str = ""
    remark: str = ""
    at: dt.datetime | None = None


@dataclass(frozen=True)
class ParkedLine:
    """An event that waits for a person; `error` and `stream` only for whom nothing is restricted."""

    pk: int
    kind: str
    consumer: str
    attempts: int
    parked_at: dt.datetime
    stream: str
    error: str


@dataclass(frozen=True)
class SystemPage:
    """The page's context."""

    state: str
    state_label: str
    troubles: tuple[Trouble, ...]
    processes: tuple[ProcessLine, ...]
    work: tuple[Line, ...]
    sweeps: tuple[Line, ...]
    broker: Line
    queues: tuple[Line, ...]
    database: Line
    database_facts: tuple[tuple[str, str], ...]
    outside: Line
    clock_text: str
    versions: tuple[tuple[str, str], ...]
    parked: tuple[ParkedLine, ...]
    parked_count: int
    can_administer: bool


def get_system_page(actor: Actor, *, now: dt.datetime) -> SystemPage:
    """Read and judge everything for one look at the page."""
    lengths, away = queue_lengths()
    facts = system_facts(broker_away=away)
    troubles = judge(facts)
    worst = "critical" if any(t.level == "critical" for t in troubles) else "warning" if troubles else "ok"
    database, database_facts, skew = _database(now)
    return SystemPage(
        state=worst,
        state_label={"critical": "Needs a person", "warning": "Works, with trouble", "ok": "All well"}[worst],
        troubles=troubles,
        processes=tuple(_process_lines(facts, actor, now)),
        work=tuple(_work_line(work, now) for work in facts.work),
        sweeps=tuple(_sweep_line(sweep, facts, now) for sweep in facts.sweeps),
        broker=_broker(away),
        queues=tuple(_queue_line(name, lengths.get(name)) for name in queue_names()),
        database=database,
        database_facts=database_facts,
        outside=_outside(facts, now),
        clock_text=_skew_text(skew),
        versions=_versions(facts),
        parked=_parked(actor),
        parked_count=facts.parked,
        can_administer=may(actor, "administer"),
    )


def _process_lines(facts: SystemFacts, actor: Actor, now: dt.datetime) -> list[ProcessLine]:
    web = {process.playbook for process in facts.processes if process.name == "web"}
    names = dict.fromkeys((*facts.expected, *(process.name for process in facts.processes)))
    lines = []
    for name in names:
        rows = [process for process in facts.processes if process.name == name]
        lines += [_process_line(process, web, actor, now) for process in rows]
        if not rows:
            lines.append(ProcessLine(name, _PURPOSES.get(name, ""), "critical", "Not running"))
    return lines


def _process_line(process: ProcessFacts, web: set[str], actor: Actor, now: dt.datetime) -> ProcessLine:
    def ago(seconds: float | None) -> dt.datetime | None:
        return None if seconds is None else now - dt.timedelta(seconds=seconds)

    silent = is_silent(process)
    return ProcessLine(
        name=process.name,
        purpose=_PURPOSES.get(process.name, "a worker of its own"),
        state="critical" if silent else "ok",
        state_label="Silent" if silent else "Works",
        host=process.host,
        pid=process.pid,
        version=process.version,
        playbook=process.playbook[:8],
        playbook_differs=bool(web) and process.playbook not in web,
        seen_at=ago(process.age_seconds),
        started_at=ago(process.uptime_seconds),
        worked_at=ago(process.worked_seconds_ago),
        skew_text="" if process.skew_seconds is None else _skew_text(process.skew_seconds),
        disk_text=""
        if process.disk_free_ratio is None
        else f"{process.disk_free_ratio:.0%} of the disk free",
        forget_id=process.pk if silent and may(actor, "administer") else None,
    )


def _work_line(work: WorkFacts, now: dt.datetime) -> Line:
    if work.count == 0:
        return Line(work.label, "ok", "None due", "0", f"late after {span(work.limit_seconds)}")
    late = "critical" if work.oldest_seconds > work.limit_seconds else "warning"
    state = late if work.oldest_seconds > work.limit_seconds / 2 else "ok"
    label = {"critical": "Overdue", "warning": "Getting late", "ok": "Being done"}[state]
    at = now - dt.timedelta(seconds=work.oldest_seconds)
    return Line(work.label, state, label, str(work.count), f"late after {span(work.limit_seconds)}", at)


def _sweep_line(sweep: SweepFacts, facts: SystemFacts, now: dt.datetime) -> Line:
    every = f"every {sweep.every_seconds:g} s"
    late = is_late(sweep, facts.processes)
    if sweep.age_seconds is None:
        return Line(sweep.name, "warning" if late else "unknown", "Never" if late else "Not yet", "", every)
    took = "" if sweep.took_seconds is None else _milliseconds(sweep.took_seconds)
    at = now - dt.timedelta(seconds=sweep.age_seconds)
    return Line(sweep.name, "warning" if late else "ok", "Late" if late else "Runs", took, every, at)


def _broker(away: str | None) -> Line:
    if away is not None:
        return Line("Broker", "warning", "Away", remark=f"{away}. The watchdog does what is due.")
    return Line("Broker", "ok", "Answers", remark="Messages are hints: losing it costs seconds, never work.")


def _queue_line(name: str, length: int | None) -> Line:
    if length is None:
        return Line(name, "unknown", "Unknown", "unknown")
    return Line(name, "ok", "", f"{length} waiting" if length else "empty")


def _database(now: dt.datetime) -> tuple[Line, tuple[tuple[str, str], ...], float]:
    started = time.perf_counter()
    with connection.cursor() as cursor:
        cursor.execute(_DATABASE)
        size, version, connections, most, since, recovering, replicas, clock = cursor.fetchone()
    took = time.perf_counter() - started
    crowded = connections > 0.8 * most
    facts = (
        ("Connections", f"{connections} of {most}"),
        ("Size", filesizeformat(size)),
        ("Up since", f"{since.astimezone(dt.UTC):%Y-%m-%d %H:%M} UTC"),
        ("Role", "standby, in recovery" if recovering else "primary"),
        ("Standbys connected", str(replicas)),
        ("PostgreSQL", version.split()[0]),
    )
    state, label = ("warning", "Crowded") if crowded else ("ok", "Answers")
    skew = (now - clock).total_seconds() + took
    return Line("Database", state, label, _milliseconds(took)), facts, skew


def _outside(facts: SystemFacts, now: dt.datetime) -> Line:
    told = min((m.age_seconds for (name, _), m in facts.marks.items() if name == TOLD), default=None)
    silent = min(
        (m for (name, _), m in facts.marks.items() if name == SILENT),
        key=lambda mark: mark.age_seconds,
        default=None,
    )
    label = "Outside heartbeat"
    if not settings.HEARTBEAT_URL and told is None:
        return Line(label, "unknown", "Not set up")
    at = None if told is None else now - dt.timedelta(seconds=told)
    if silent is not None and (told is None or silent.age_seconds < told):
        return Line(label, "critical", "Silent", remark=silent.note, at=at)
    if told is None:
        return Line(label, "unknown", "Not yet told", remark="The first beat comes within a minute.")
    if told > 3 * settings.HEARTBEAT_SECONDS:
        return Line(label, "critical", "Silent", remark="The watchdog that tells it does not run.", at=at)
    return Line(label, "ok", "Heard", at=at)


def _versions(facts: SystemFacts) -> tuple[tuple[str, str], ...]:
    missing = facts.unapplied_migrations
    return (
        ("This process", build.full_version()),
        ("Migrations", f"{missing} not applied: run manage.py migrate" if missing else "all applied"),
        ("Playbook", settings.PLAYBOOK_DIR.name),
    )


def _parked(actor: Actor) -> tuple[ParkedLine, ...]:
    sees_all = may(actor, "see_restricted")
    rows = PendingEvent.objects.filter(parked_at__isnull=False).select_related("event", "stream")
    return tuple(
        ParkedLine(
            pk=row.pk,
            kind=row.event.kind,
            consumer=row.consumer,
            attempts=row.attempts,
            parked_at=row.parked_at,  # type: ignore[arg-type]
            stream=row.stream.name if sees_all else "",
            error=row.last_error if sees_all else "",
        )
        for row in rows.order_by("-parked_at", "-pk")[:MOST_PARKED_SHOWN]
    )


def _skew_text(skew: float) -> str:
    if abs(skew) < 0.1:
        return "clock exact"
    way = "ahead" if skew > 0 else "behind"
    return f"clock {abs(skew):.1f} s {way}" + (" (wrong)" if abs(skew) > SKEW_WARNING_SECONDS else "")


def _milliseconds(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"
