"""Signs of life prove work: a process whose threads are all stuck falls silent."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection

from core import heartbeats, sweeps
from core.models import HealthSnapshot, Heartbeat, Process
from core.operation import snapshot, vitals
from core.operation.vitals import STUCK_AFTER_SECONDS, Vitals

pytestmark = pytest.mark.django_db


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(max_workers=2) as made:
        yield made


def _old(process: Vitals) -> None:
    process._progress_at = time.monotonic() - STUCK_AFTER_SECONDS - 1


def test_a_sign_of_life_says_who_and_what(pool: ThreadPoolExecutor) -> None:
    mine = Vitals("comms", prove=lambda: pool.submit(lambda: None))
    mine.worked()
    assert mine.report()
    row = Process.objects.get()
    assert (row.name, len(row.playbook_digest)) == ("comms", 64)
    assert row.worked_at is not None
    assert row.version.startswith("0.")
    assert row.skew_seconds is not None
    assert abs(row.skew_seconds) < 1
    started = row.started_at
    assert mine.report()
    row.refresh_from_db()
    assert row.started_at == started, "the second sign is not a second start"


def test_a_worker_whose_threads_are_all_stuck_goes_silent_and_comes_back(pool: ThreadPoolExecutor) -> None:
    stuck = threading.Event()
    mine = Vitals("comms", prove=lambda: pool.submit(lambda: None))
    for _ in range(2):
        pool.submit(stuck.wait)
    try:
        mine.report()  # the question waits in the queue
        _old(mine)
        assert not mine.report(), "no thread has come to the question"
        mine.progress()
        assert mine.report(), "long work that goes on is no silence"
        _old(mine)
        assert not mine.report()
    finally:
        stuck.set()
    deadline = time.monotonic() + 10
    while not mine.report() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert mine.report()


def test_a_successor_forgets_the_dead_of_its_name_only() -> None:
    with connection.cursor() as cursor:
        for name, pid in (("comms", 4_000_001), ("runner", 4_000_002)):
            cursor.execute(
                "INSERT INTO core_process (name, host, pid, version, playbook_digest, started_at, beat_at)"
                " VALUES (%s, %s, %s, '1', '', now(), now())",
                [name, _host(), pid],
            )
    Vitals("comms").report()
    assert sorted(Process.objects.values_list("name", "pid")) == sorted(
        [("comms", _pid()), ("runner", 4_000_002)]
    )


def test_who_ends_in_order_is_not_missed() -> None:
    mine = Vitals("web")
    mine.report()
    mine.stop()
    assert not Process.objects.exists()


def test_long_work_of_a_process_that_is_not_watched_does_nothing() -> None:
    vitals.progress()
    vitals.worked()


def test_a_sweep_costs_one_small_write_and_tells_how_long_it_took(
    monkeypatch: pytest.MonkeyPatch, django_assert_num_queries: object
) -> None:
    monkeypatch.setattr(sweeps, "close_old_connections", lambda: None)  # the test's transaction lives in it

    def sweep(*, now: object) -> int:
        time.sleep(0.02)
        return 7

    monkeypatch.setattr(sweeps, "sweep_function", lambda _name: sweep)
    assert sweeps.run_sweep("core.sweep_outbox") == 7
    with django_assert_num_queries(1):  # type: ignore[operator]
        sweeps.run_sweep("core.sweep_outbox")
    row = Heartbeat.objects.get(component="sweep:core.sweep_outbox")
    assert row.seconds is not None
    assert row.seconds >= 0.02


def test_a_process_that_has_just_started_cries_no_wolf() -> None:
    young = Vitals("watchdog")
    snapshot.look_after(young)
    kept = HealthSnapshot.objects.get()
    assert [trouble["key"] for trouble in kept.troubles if trouble["key"].startswith("process.")] == []
    young._started_at -= 60
    snapshot.look_after(young)
    kept.refresh_from_db()
    assert "process.web" in {trouble["key"] for trouble in kept.troubles}
    # And what a settled process found is not overwritten by a young one.
    snapshot.look_after(Vitals("web"))
    kept.refresh_from_db()
    assert kept.taken_by.startswith("watchdog")


def test_heartbeats_keep_the_last_known_duration() -> None:
    heartbeats.beat("sweep:x", seconds=1.5)
    heartbeats.beat("sweep:x")
    assert Heartbeat.objects.get().seconds == 1.5


def _host() -> str:
    from django.conf import settings

    return str(settings.HOST_NAME)


def _pid() -> int:
    import os

    return os.getpid()
