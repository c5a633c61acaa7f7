"""Whether this web process can serve: asked by load balancers, answered within two seconds whatever hangs."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from django.db import connection

from core.clock import database_now, utcnow
from core.operation import broker
from core.operation.bounded import Bounded
from core.operation.facts import WorkFacts
from core.operation.gather import list_due_work
from core.operation.rules import SKEW_WARNING_SECONDS
from core.schema import missing_migrations

logger = logging.getLogger(__name__)

T = TypeVar("T")
LIMIT_SECONDS = 1.0
OK, DEGRADED, UNAVAILABLE = "ok", "degraded", "unavailable"


@dataclass(frozen=True)
class Check:
    """One thing that was asked. `state` is ok, degraded or unavailable."""

    state: str
    detail: str
    seconds: float
    more: Mapping[str, Any]

    def as_json(self) -> dict[str, Any]:
        return {"state": self.state, "detail": self.detail, "seconds": round(self.seconds, 4), **self.more}


def _ask_database() -> float:
    """The skew of this process's clock; a connection of its own, so it proves that one can be had."""
    try:
        before = utcnow()
        theirs = database_now()
        return ((before - theirs) + (utcnow() - theirs)).total_seconds() / 2
    finally:
        connection.close()


_database: Bounded[float] = Bounded("database", _ask_database)
_migrations: Bounded[int] = Bounded("migrations", lambda: len(missing_migrations()))
_work: Bounded[tuple[WorkFacts, ...]] = Bounded("work", list_due_work)


def check_readiness() -> tuple[str, dict[str, Check]]:
    """The status and every check. Without database or migrations the process cannot serve; anything
    else makes it `degraded`: people need its pages most when the work behind them is late.
    """
    ends = time.monotonic() + 2 * LIMIT_SECONDS - 0.2
    broker.queues.begin()
    checks = {"database": _check(_database, LIMIT_SECONDS, _judge_database, failing=UNAVAILABLE)}
    if checks["database"].state != UNAVAILABLE:
        _migrations.begin()
        _work.begin()
        left = ends - time.monotonic()
        checks["migrations"] = _check(_migrations, left, _judge_migrations, failing=DEGRADED)
        left = ends - time.monotonic()
        checks["due_work"] = _check(_work, left, _judge_work, failing=DEGRADED)
    checks["broker"] = _check(broker.queues, ends - time.monotonic(), _judge_broker, failing=DEGRADED)
    states = {check.state for check in checks.values()}
    return next((state for state in (UNAVAILABLE, DEGRADED) if state in states), OK), checks


def require_database() -> None:
    """Raise TimeoutError or what is wrong when the database does not answer within a second."""
    _database.answer(LIMIT_SECONDS)


Judged = tuple[str, str, Mapping[str, Any]]


def _check(question: Bounded[T], limit: float, judge: Callable[[T], Judged], *, failing: str) -> Check:
    """Ask within the limit; whatever is wrong with the answer is `failing`, in words that tell no secret."""
    started = time.monotonic()
    try:
        state, detail, more = judge(question.answer(limit))
    except TimeoutError:
        state, detail, more = failing, f"no answer within {LIMIT_SECONDS:g} s", {}
    except Exception as error:  # noqa: BLE001 - a probe never fails; the log has the words
        logger.warning("the probe of %s failed: %s", question.name, error)
        state, detail, more = failing, "cannot be reached", {}
    return Check(state, detail, time.monotonic() - started, more)


def _judge_database(skew: float) -> Judged:
    more = {"clock_skew_seconds": round(skew, 3)}
    if abs(skew) > SKEW_WARNING_SECONDS:
        return DEGRADED, "answers, but its clock differs from this process's", more
    return OK, "answers", more


def _judge_migrations(unapplied: int) -> Judged:
    more = {"unapplied": unapplied}
    return (UNAVAILABLE, "run manage.py migrate", more) if unapplied else (OK, "all applied", more)


def _judge_work(kinds: tuple[WorkFacts, ...]) -> Judged:
    late = [kind.key for kind in kinds if kind.count and kind.oldest_seconds > kind.limit_seconds]
    more = {
        "kinds": {
            kind.key: {
                "count": kind.count,
                "oldest_seconds": round(kind.oldest_seconds, 1),
                "limit_seconds": kind.limit_seconds,
            }
            for kind in kinds
        }
    }
    return (DEGRADED, f"overdue: {', '.join(late)}", more) if late else (OK, "nothing is overdue", more)


def _judge_broker(queues: Mapping[str, int]) -> Judged:
    return OK, "answers", {"queues": dict(queues)}
