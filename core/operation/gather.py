"""Reading what is known about Firebreak itself, in a number of queries that never changes."""

from __future__ import annotations

from collections.abc import Mapping

from django.conf import settings
from django.db import DataError, ProgrammingError, connection
from django.utils.module_loading import import_string

from core.operation.broker import queue_lengths
from core.operation.facts import (
    DueWork,
    MarkFacts,
    ProcessFacts,
    SweepFacts,
    SystemFacts,
    Trouble,
    WorkFacts,
)
from core.operation.rules import judge
from core.schema import missing_migrations

_PROCESSES = """
SELECT id, name, host, pid, version, playbook_digest,
       extract(epoch FROM clock_timestamp() - beat_at)::float,
       extract(epoch FROM clock_timestamp() - started_at)::float,
       extract(epoch FROM clock_timestamp() - worked_at)::float, skew_seconds, disk_free_ratio
  FROM core_process ORDER BY name, host, started_at LIMIT 500
"""
_MARKS = """
SELECT component, host, extract(epoch FROM clock_timestamp() - beat_at)::float, seconds, note
  FROM core_heartbeat ORDER BY beat_at LIMIT 2000
"""


class DueWorkUncounted(Exception):
    """What finds some kinds of due work is not answered by the database; the message names them."""


def system_facts(*, broker_away: str | None = None) -> SystemFacts:
    """Everything that is judged; `broker_away` is what asking the broker said."""
    marks, sweeps = _marks_and_sweeps()
    return SystemFacts(
        expected=tuple(settings.EXPECTED_PROCESSES),
        processes=list_processes(),
        sweeps=sweeps,
        marks=marks,
        work=list_due_work(),
        parked=count_parked(),
        unapplied_migrations=len(missing_migrations()),
        broker_away=broker_away,
        added=tuple(trouble for path in settings.OWN_TROUBLES for trouble in _troubles(path)),
    )


def list_troubles() -> tuple[Trouble, ...]:
    """What is wrong now, the worst first (and asks the broker, a second at most)."""
    _lengths, away = queue_lengths()
    return judge(system_facts(broker_away=away))


def list_processes() -> tuple[ProcessFacts, ...]:
    with connection.cursor() as cursor:
        cursor.execute(_PROCESSES)
        return tuple(ProcessFacts(*row) for row in cursor.fetchall())


def list_due_work() -> tuple[WorkFacts, ...]:
    """Every kind of due work, as the apps find it, counted by one statement. Raises DueWorkUncounted."""
    kinds: dict[str, DueWork] = {
        key: import_string(path)() for key, _label, path, _limit in settings.DUE_WORK
    }
    try:
        counted = _count(kinds)
    except (ProgrammingError, DataError) as error:
        if connection.in_atomic_block:
            raise  # its transaction answers nothing more
        found = {key: why for key, work in kinds.items() if (why := _why_not(key, work))}
        raise DueWorkUncounted("; ".join(f"{key}: {why}" for key, why in found.items())) from error
    return tuple(
        WorkFacts(key, label, *counted[key], limit) for key, label, _path, limit in settings.DUE_WORK
    )


def _count(kinds: Mapping[str, DueWork]) -> dict[str, tuple[int, float]]:
    """How many are due of each kind, and for how many seconds the oldest has been."""
    parts = (
        "SELECT %s, count(*), coalesce(extract(epoch FROM statement_timestamp() - min(at)), 0)::float"  # noqa: S608 - constants of the apps
        f" FROM ({work.moments}) due (at)"
        for work in kinds.values()
    )
    parameters = [value for key, work in kinds.items() for value in (key, *work.parameters)]
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(parts), parameters)
        return {key: (count, oldest) for key, count, oldest in cursor.fetchall()}


def _why_not(key: str, work: DueWork) -> str:
    """What is wrong with one kind asked for alone, or empty."""
    try:
        _count({key: work})
    except (ProgrammingError, DataError) as error:
        return str(error).partition("\n")[0]
    return ""


def due_events() -> DueWork:
    """Pending events that a consumer should have handled; not those that wait behind another one."""
    return DueWork("""
        SELECT p.due_at FROM core_pendingevent p
         WHERE p.parked_at IS NULL AND p.due_at <= statement_timestamp()
           AND NOT EXISTS (SELECT 1 FROM core_pendingevent q
                            WHERE q.consumer = p.consumer AND q.stream_id = p.stream_id
                              AND q.seq < p.seq AND q.parked_at IS NULL)""")


def count_parked() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM core_pendingevent WHERE parked_at IS NOT NULL")
        return int(cursor.fetchone()[0])


def _marks_and_sweeps() -> tuple[dict[tuple[str, str], MarkFacts], tuple[SweepFacts, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(_MARKS)
        rows = cursor.fetchall()
    marks, newest = {}, {}
    for component, host, age, seconds, note in rows:  # the oldest first: the newest stays
        if component.startswith("sweep:"):
            newest[component.removeprefix("sweep:")] = (age, seconds)
        else:
            marks[component, host] = MarkFacts(age, note)
    sweeps = (SweepFacts(name, every, *newest.get(name, (None, None))) for name, _, every in settings.SWEEPS)
    return marks, tuple(sweeps)


def _troubles(path: str) -> tuple[Trouble, ...]:
    found: tuple[Trouble, ...] = import_string(path)()
    return found
