"""Running due checks: claim what is due, ask the sources concurrently, take the answers in as they come."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import logging
import queue
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar

from django.db import connection

from core import shutdown
from core.clock import utcnow
from core.http import GuardedClient
from core.operation import vitals
from incidents.facts import Question, Reading
from incidents.services.measuring import observe_all
from incidents.sources import SOURCES, Source
from incidents.states import FailureKind

logger = logging.getLogger(__name__)

IN_FLIGHT = 400
BATCH = 200
# How long answers are collected before they are written: a batch costs three statements, whatever its size.
COLLECT_SECONDS = 0.1
# A run that always finds something due ends after this long, so that a worker can be stopped.
RUN_SECONDS = 60.0

# The next slot lies on a grid of the monitor's own, which its id shifts: monitors of one interval do not
# all come at its beginning. Slots missed while nobody looked are skipped, and checks that were brought
# forward do not move the grid.
_CLAIM = """
WITH due AS (
    SELECT id, extract(epoch FROM clock_timestamp()) AS moment, (id * 7919) %% interval_seconds AS shift
      FROM incidents_monitor
     WHERE enabled AND next_check_due_at <= clock_timestamp()
     ORDER BY next_check_due_at LIMIT %s FOR UPDATE SKIP LOCKED)
UPDATE incidents_monitor m
   SET next_check_due_at = to_timestamp(due.shift + m.interval_seconds
           * (floor((due.moment - due.shift) / m.interval_seconds) + 1))
  FROM due WHERE m.id = due.id
RETURNING m.id, m.source, m.metric, m.interval_seconds, coalesce(m.answered_at, m.created_at)
"""

Answers = Mapping[int, Reading | None]
_one_at_a_time = threading.Lock()


def run_due_checks(*, now: dt.datetime) -> int:
    """Check every due monitor, a few hundred at a time; returns how many.

    Slow sources hold up nobody: new checks begin while theirs are under way, and what is still awaited
    when the run is over is taken in apart, so that the next one begins at once. One run a process is
    enough, and a second one would take a thread from other work.
    """
    if not _one_at_a_time.acquire(blocking=False):
        return 0
    try:
        poller = _Poller()
        try:
            checked = _begin_checks(poller)
        except BaseException:
            poller.close()
            raise
        if not poller.under_way or shutdown.requested():
            _take_in_the_rest(poller)
        else:
            threading.Thread(target=_take_in_apart, args=(poller,), name="last answers").start()
        return checked
    finally:
        _one_at_a_time.release()


def _begin_checks(poller: _Poller) -> int:
    checked, ends = 0, time.monotonic() + RUN_SECONDS
    while time.monotonic() < ends and not shutdown.requested():
        room = min(BATCH, IN_FLIGHT - len(poller.under_way))
        batch = _claim(room) if room else {}
        checked += poller.begin(batch)
        _take_in(poller)
        if not poller.under_way and len(batch) < BATCH:
            break
    return checked


def _take_in(poller: _Poller) -> None:
    answers = poller.collect()
    if answers:
        vitals.progress()
        observe_all(answers, now=utcnow())


def _take_in_the_rest(poller: _Poller) -> None:
    try:
        while poller.under_way:
            _take_in(poller)
    finally:
        poller.close()


def _take_in_apart(poller: _Poller) -> None:
    try:
        _take_in_the_rest(poller)
    except Exception:
        logger.exception("the last answers of a run are lost")
    finally:
        connection.close()


def _claim(limit: int) -> dict[int, Question]:
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM, [limit])
        rows = cursor.fetchall()
    return {pk: Question(json.loads(source), *rest) for pk, source, *rest in rows}


class _Poller:
    """Asks sources on an event loop in a thread of its own, which touches no database."""

    # What this process awaits: a run and the last answers of the one before it do not ask twice.
    _awaited: ClassVar[set[int]] = set()

    def __init__(self) -> None:
        self.under_way: set[int] = set()  # monitors whose question was begun and not collected
        self._answers: queue.SimpleQueue[Answers] = queue.SimpleQueue()
        self._loop = asyncio.new_event_loop()
        # Names are resolved in threads; those that nobody resolves must not use up the few of the default.
        self._loop.set_default_executor(ThreadPoolExecutor(IN_FLIGHT, thread_name_prefix="resolving"))
        self._thread = threading.Thread(target=self._loop.run_forever, name="polling", daemon=True)
        self._client = GuardedClient(connections=IN_FLIGHT)
        self._thread.start()

    def close(self) -> None:
        """Give up what is still awaited."""
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._awaited.difference_update(self.under_way)

    async def _end(self) -> None:
        questions = asyncio.all_tasks() - {asyncio.current_task()}
        for question in questions:
            question.cancel()
        await asyncio.gather(*questions, return_exceptions=True)
        await self._client.__aexit__()

    def begin(self, batch: Mapping[int, Question]) -> int:
        """Ask these questions, whose answers are collected later; returns how many.

        A source that takes longer than the interval misses a slot: it is not asked twice at once.
        """
        new = {pk: asked for pk, asked in batch.items() if pk not in self._awaited}
        self.under_way.update(new)
        self._awaited.update(new)
        for source, ids in _asked_together(new):
            work = self._ask(source, {pk: new[pk] for pk in ids})
            asyncio.run_coroutine_threadsafe(work, self._loop)
        return len(new)

    def collect(self) -> dict[int, Reading]:
        """What was answered since the last time, after waiting a moment for more."""
        found: dict[int, Reading | None] = {}
        ends = time.monotonic() + COLLECT_SECONDS
        while len(found) < len(self.under_way):
            try:
                found |= self._answers.get(timeout=max(0.0, ends - time.monotonic()))
            except queue.Empty:
                break
        self.under_way.difference_update(found)
        self._awaited.difference_update(found)
        return {pk: reading for pk, reading in found.items() if reading is not None}

    async def _ask(self, source: Source, questions: Mapping[int, Question]) -> None:
        try:
            if source.read_many is not None:
                answers = await source.read_many(self._client, list(questions.values()))
                found: Answers = dict(zip(questions, answers, strict=True))
            else:
                found = {pk: await source.read(self._client, asked) for pk, asked in questions.items()}
        except Exception as error:  # one source's surprise must not spoil the others
            logger.exception("a source failed unexpectedly")
            failed = Reading.failed(FailureKind.INTERNAL, f"{type(error).__name__}: {error}")
            found = dict.fromkeys(questions, failed)
        self._answers.put(found)


def _asked_together(batch: Mapping[int, Question]) -> Iterable[tuple[Source, Sequence[int]]]:
    """The questions in groups of those that one request can ask."""
    groups: dict[tuple[str, str], list[int]] = defaultdict(list)
    for pk, asked in batch.items():
        kind = asked.source["type"]
        together: Callable[[Question], str] | None = SOURCES[kind].together
        groups[kind, together(asked) if together else str(pk)].append(pk)
    return [(SOURCES[kind], ids) for (kind, _key), ids in groups.items()]
