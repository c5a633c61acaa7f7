"""Rollbacks that nobody runs although they are due, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db import connection

from core.operation.facts import Trouble
from core.playbook import get_playbook
from rollbacks.models import Rollback, Runner
from rollbacks.models.runners import ALIVE_SECONDS
from rollbacks.states import BUSY_STEPS, RUNNABLE_STATES, RunnerKind

GRACE_SECONDS = 30.0
"""How long a due rollback waits for a runner before that is noticed: one may be starting again."""
SHOWN = 12  # characters of a digest

# In mid-step it is services.recovery's.
_LEFT_ALONE = """
SELECT r.id, r.queue, CASE WHEN i.restricted THEN '' ELSE r.ref END
  FROM rollbacks_rollback r JOIN incidents_incident i ON i.id = r.incident_id
 WHERE r.state = ANY(%(runnable)s) AND r.due_at IS NOT NULL
   AND greatest(r.due_at, r.lease_until) <= clock_timestamp() - make_interval(secs => %(grace)s)
   AND NOT EXISTS (SELECT 1 FROM rollbacks_runner w
                    WHERE w.beat_at > clock_timestamp() - make_interval(secs => %(alive)s)
                      AND r.queue = ANY(w.queues) AND w.digests ->> r.procedure = r.procedure_digest)
   AND NOT EXISTS (SELECT 1 FROM rollbacks_rollbackstep s
                    WHERE s.rollback_id = r.id AND s.state = ANY(%(busy)s))
 ORDER BY r.id
"""
_DUE_FOR_WORKERS = """
SELECT DISTINCT r.queue FROM rollbacks_rollback r
 WHERE r.state = ANY(%(runnable)s) AND r.queue <> 'default' AND r.due_at <= clock_timestamp()
   AND (r.lease_until IS NULL OR r.lease_until <= clock_timestamp())
   AND EXISTS (SELECT 1 FROM rollbacks_runner w
                WHERE w.beat_at > clock_timestamp() - make_interval(secs => %(alive)s)
                  AND w.kind = %(worker)s AND r.queue = ANY(w.queues))
"""


@dataclass(frozen=True)
class LeftAlone:
    """A due rollback that no living runner can run; `ref` is empty where not everybody may know of it."""

    pk: int
    queue: str
    ref: str


def list_left_alone() -> list[LeftAlone]:
    """Due for half a minute, and no living runner has its queue and its very procedure (one query)."""
    values: dict[str, Any] = {
        "runnable": list(RUNNABLE_STATES),
        "grace": GRACE_SECONDS,
        "alive": ALIVE_SECONDS,
        "busy": list(BUSY_STEPS),
    }
    with connection.cursor() as cursor:
        cursor.execute(_LEFT_ALONE, values)
        return [LeftAlone(*row) for row in cursor.fetchall()]


def queues_to_wake() -> list[str]:
    """Queues besides the default one with due rollbacks, where a worker listens to the broker (one query).

    A hint where nobody listens would lie in the broker for ever.
    """
    values: dict[str, Any] = {
        "runnable": list(RUNNABLE_STATES),
        "alive": ALIVE_SECONDS,
        "worker": RunnerKind.WORKER,
    }
    with connection.cursor() as cursor:
        cursor.execute(_DUE_FOR_WORKERS, values)
        return [row[0] for row in cursor.fetchall()]


def differences_of(rollback: Rollback) -> tuple[str, ...]:
    """How the procedure of each living runner of its queue differs; empty where there is none (one query)."""
    key, ours = rollback.procedure, rollback.procedure_digest[:SHOWN]
    said: dict[str, None] = {}
    for runner in Runner.objects.alive().filter(queues__contains=[rollback.queue]):
        own = runner.digests.get(key, "")[:SHOWN]
        who = f"runner {runner.host}"
        told = f"{who} has no procedure {key}, the rollback was approved with {ours}…"
        if own:
            told = f"{who} has procedure {key} with digest {own}…, the rollback was approved with {ours}…"
        said[told] = None
    return tuple(said)


def missing_runners() -> tuple[Trouble, ...]:
    """Queues that nobody serves although a rollback waits there, or a procedure names one (two queries)."""
    served = {queue for runner in Runner.objects.alive() for queue in runner.queues}
    waiting: dict[str, list[str]] = {}
    for row in list_left_alone():
        waiting.setdefault(row.queue, []).append(row.ref or "A restricted rollback")
    # Of the default queue the runner process itself is missed (core.operation.rules).
    named = {procedure.queue for procedure in get_playbook()["procedures"].values()} - {"default"}
    troubles = []
    for queue in sorted({*waiting, *named} - served):
        refs = waiting.get(queue, [])
        detail = f"{', '.join(refs[:5])} waits for one." if refs else "Procedures name it; nothing waits yet."
        troubles.append(
            Trouble(
                f"runner.{queue}",
                "critical" if refs else "warning",
                f"No runner for queue {queue}",
                detail,
                "no-runner",
                silences=bool(refs),
            )
        )
    return tuple(troubles)
