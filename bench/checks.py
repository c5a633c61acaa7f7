"""How many monitors the `checks` worker checks in a minute, beside the same HTTP client with nothing around it."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import psutil
import psycopg

from bench.asking import KINDS
from bench.servers import ROOT
from bench.stored import FIRST

START_SECONDS = 30.0
AIMS = {"http_json": 20_000, "prometheus": 20_000, "both": 40_000}


@dataclass
class Checked:
    """Checks a minute of one kind with so many samples stored, each window beside its ceiling's."""

    kind: str
    samples: int
    own: list[float] = field(default_factory=list)
    ceiling: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)  # seconds of the worker's, for one check
    failed: int = 0

    @property
    def rate(self) -> float:
        return statistics.median(self.own)

    @property
    def ceiling_rate(self) -> float:
        return statistics.median(self.ceiling)

    @property
    def aim(self) -> int:
        return AIMS[self.kind]


def measure(
    link: psycopg.Connection, worker: psutil.Process, port: int, samples: int, *, rounds: int, seconds: float
) -> list[Checked]:
    """Every kind: in each round worker and ceiling take their turn, every second round in the other order."""
    found = []
    for kind in KINDS:
        one = Checked(kind, samples)
        for number in range(rounds):
            if number % 2:
                _ask(port, one, seconds)
                _check(link, worker, one, seconds)
            else:
                _check(link, worker, one, seconds)
                _ask(port, one, seconds)
        found.append(one)
    return found


def _check(link: psycopg.Connection, worker: psutil.Process, found: Checked, seconds: float) -> None:
    """Let monitors be due again as soon as they were checked, so that there is always more than can be done."""
    kinds = [found.kind] if found.kind in FIRST else list(FIRST)
    firsts = [FIRST[kind] for kind in kinds]
    link.execute(
        "UPDATE incidents_monitor SET enabled = true, next_check_due_at = now() WHERE id / 100000 * 100000 = ANY(%s)",
        [firsts],
    )
    before = newest_sample(link)
    await_that(lambda: newest_sample(link) > before, "the first check")
    time.sleep(0.5)
    before, took, began = newest_sample(link), _processor(worker), time.perf_counter()
    time.sleep(seconds)
    row = link.execute(
        "SELECT count(*), count(*) FILTER (WHERE outcome <> 'ok') FROM incidents_sample WHERE id > %s",
        [before],
    ).fetchone()
    lasted, took = time.perf_counter() - began, _processor(worker) - took
    assert row
    found.own.append(row[0] / lasted * 60)
    found.processor.append(took / max(1, row[0]))
    found.failed += row[1]
    pause(link)


def _ask(port: int, found: Checked, seconds: float) -> None:
    words = [sys.executable, "-m", "bench.asking", str(port), found.kind, str(seconds)]
    done = subprocess.run(words, cwd=ROOT, check=True, capture_output=True, text=True)
    count, lasted = done.stdout.split()
    found.ceiling.append(int(count) / float(lasted) * 60)


def pause(link: psycopg.Connection) -> None:
    """Nothing is due any more, and what was under way has been written."""
    link.execute("UPDATE incidents_monitor SET enabled = false WHERE enabled")
    newest, since = newest_sample(link), time.monotonic()
    while time.monotonic() - since < 0.7:
        time.sleep(0.1)
        if (now := newest_sample(link)) != newest:
            newest, since = now, time.monotonic()


def newest_sample(link: psycopg.Connection) -> int:
    row = link.execute("SELECT coalesce(max(id), 0) FROM incidents_sample").fetchone()
    assert row
    return int(row[0])


def await_that(seen: Callable[[], bool], what: str, seconds: float = START_SECONDS) -> None:
    """Look until it is seen."""
    ends = time.monotonic() + seconds
    while not seen():
        if time.monotonic() > ends:
            raise RuntimeError(f"{what}: nothing in {seconds:.0f} s")
        time.sleep(0.02)


def _processor(process: psutil.Process) -> float:
    took = process.cpu_times()
    return float(took.user + took.system)
