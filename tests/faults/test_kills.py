"""kill -9 at every point between claim and mark, and at any moment of a command: 0 or 1 times, always."""

from __future__ import annotations

import datetime as dt
import os
import random
import signal
import time
from typing import Any

import pytest

from core.actors import SYSTEM, Actor
from core.models import Event
from incidents.models import Incident, Sample
from incidents.services.monitors import create_monitor
from rollbacks.models import Decision
from tests.faults.world import World
from tests.rollbacks.test_confirmation import consider
from tests.rollbacks.workshop import step

pytestmark = pytest.mark.django_db(transaction=True)
NOWHERE = {"type": "http_json", "url": "http://127.0.0.1:9/m.json", "path": "x"}


def long(*values: object) -> Any:
    """For `make faults` alone: `make test` has a tier of minutes."""
    return pytest.param(*values, marks=pytest.mark.faults)


@pytest.mark.parametrize(
    "failpoint",
    [
        "worker.spawned",
        "worker.settling",
        *(long(f"worker.{name}") for name in ("claimed", "starting", "running", "ended", "settled")),
    ],
)
def test_a_worker_killed_anywhere_is_replaced_and_the_command_runs_once(
    failpoint: str, world: World, incident: Incident, commander: Actor
) -> None:
    world.one_change("time.sleep(0.3)")
    rollback = world.asked(incident, commander)
    assert world.worker(failpoint=failpoint).wait(60) == -signal.SIGKILL
    world.worker()
    world.until_rest(rollback)
    world.check(rollback)
    assert rollback.state == "succeeded"
    assert world.workshop.ran == ["switch_version"]


@pytest.mark.faults
@pytest.mark.parametrize("failpoint", ["worker.unconfirmed", "worker.confirming", "worker.confirmed"])
@pytest.mark.parametrize(("level", "state"), [("critical", "succeeded"), ("ok", "cancelled")])
def test_a_worker_killed_at_the_gate_changes_nothing_that_was_not_confirmed(
    failpoint: str, level: str, state: str, world: World, incident: Incident, now: dt.datetime
) -> None:
    world.one_change()
    monitor = create_monitor(
        actor=SYSTEM, now=now, service="shop", metric="error_rate", source=NOWHERE, enabled=False
    )
    measured: dict[str, Any] = {"monitor": monitor, "outcome": "ok", "value": 0.4}
    Sample.objects.create(**measured, at=now, level="critical")
    with world.workshop.open():
        rollback = consider(incident, now, monitor=monitor.pk, at=now).rollback
    assert rollback is not None
    later = [Sample(**measured, at=now + dt.timedelta(seconds=n), level=level) for n in (1, 2)]
    if failpoint != "worker.unconfirmed":
        Sample.objects.bulk_create(later)
    assert world.worker(failpoint=failpoint).wait(60) == -signal.SIGKILL
    assert world.workshop.ran == []
    if failpoint == "worker.unconfirmed":
        Sample.objects.bulk_create(later)
    world.worker()
    world.until_rest(rollback)
    world.check(rollback)
    assert rollback.state == state
    assert world.workshop.ran == (["switch_version"] if state == "succeeded" else [])
    told = Event.objects.filter(kind__in=("rollback.breach_confirmed", "rollback.not_confirmed"))
    assert told.count() == 1
    assert Decision.objects.filter(rollback=rollback).count() == (1 if state == "succeeded" else 2)


@pytest.mark.parametrize(
    ("failpoint", "runs", "state"),
    [
        long("supervisor.begun", 0, "succeeded or needs_attention"),
        long("supervisor.claimed", 0, "needs_attention"),
        long("supervisor.before_start", 0, "needs_attention"),
        ("supervisor.started", None, "succeeded or needs_attention"),
        ("supervisor.ended", 1, "succeeded"),
        long("supervisor.written", 1, "succeeded"),
    ],
)
@pytest.mark.parametrize("worker_too", [False, pytest.param(True, marks=pytest.mark.faults)])
def test_a_supervisor_killed_anywhere_leaves_it_to_the_read_back(
    failpoint: str,
    runs: int | None,
    state: str,
    worker_too: bool,
    world: World,
    incident: Incident,
    commander: Actor,
) -> None:
    """What the read-back cannot confirm, and may not be repeated, waits for a person who is paged."""
    world.one_change("time.sleep(0.3)")
    rollback = world.asked(incident, commander)
    worker = world.worker(failpoint=failpoint)
    world.until(world.struck.exists, "the failpoint")
    if worker_too:
        worker.kill()
        world.worker()
    died = time.monotonic()
    world.until_rest(rollback)
    assert time.monotonic() - died < 60, "a person is paged within 60 s"
    world.check(rollback)
    assert rollback.state in state
    ran = len(world.workshop.ran)
    if failpoint == "supervisor.begun":  # it died before its claim: nothing began, another one may
        assert ran == (1 if rollback.state == "succeeded" else 0)
    elif runs is not None:
        assert ran == runs
    if rollback.state == "needs_attention":
        assert step(rollback, "change").state == "unknown"
        assert Event.objects.filter(kind="rollback.needs_attention").count() == 1


def test_what_may_be_repeated_is_repeated_when_nobody_can_know(
    world: World, incident: Incident, commander: Actor
) -> None:
    world.one_change("time.sleep(0.3)", repeatable=True, backoff="100ms")
    rollback = world.asked(incident, commander)
    world.worker(failpoint="supervisor.before_start")
    world.until_rest(rollback)
    world.check(rollback)
    assert (rollback.state, step(rollback, "change").attempt) == ("succeeded", 2)
    assert world.workshop.ran == ["switch_version"]


def _kill_in_mid_command(world: World, incident: Incident, actor: Actor, seed: int) -> None:
    """At a random moment of a command of half a second: its worker, its supervisor, or all there is of it."""
    chance = random.Random(seed)
    victims = ("worker", "supervisor", "both", "all")[seed % 4]
    rollback = world.asked(incident, actor)
    worker = world.worker()
    world.until(lambda: any((d / "claim").exists() for d in world.run_dirs(rollback)), "the claim")
    time.sleep(chance.uniform(0, 0.6))
    if victims != "supervisor":
        worker.kill()
    if victims != "worker":
        for run_dir in world.run_dirs(rollback):
            world.kill_supervisor(run_dir)
    if victims == "all":
        world.kill_commands(rollback)
    if victims != "supervisor":
        world.worker()
    world.until_rest(rollback, 90)
    world.check(rollback)
    runs = [ref for ref, name in world.workshop.runs if ref == rollback.ref]
    assert len(runs) <= 1, f"seed {seed}, {victims}: it ran {len(runs)} times"
    if victims == "worker":
        assert (rollback.state, len(runs)) == ("succeeded", 1)


@pytest.mark.parametrize("seed", range(1))
def test_killed_in_mid_command_it_has_run_once_or_not_at_all(
    seed: int, world: World, incident: Incident, commander: Actor
) -> None:
    world.one_change("time.sleep(0.5)")
    _kill_in_mid_command(world, incident, commander, seed)


@pytest.mark.faults
@pytest.mark.parametrize("seed", range(100, 150))
def test_killed_in_mid_command_fifty_times(
    seed: int, world: World, incident: Incident, commander: Actor
) -> None:
    world.one_change("time.sleep(0.5)")
    _kill_in_mid_command(world, incident, commander, seed)


def _of_the_rollback() -> list[str]:
    """What the timeline tells of rollbacks; that messages were delivered may come later."""
    told = Event.objects.filter(kind__startswith="rollback.").order_by("pk")
    return list(told.values_list("summary", flat=True))


@pytest.mark.faults
def test_a_worker_that_sleeps_through_its_lease_wakes_and_writes_nothing(
    world: World, incident: Incident, commander: Actor
) -> None:
    world.one_change("time.sleep(1)")
    rollback = world.asked(incident, commander)
    sleeper = world.worker()
    world.until_ran("switch_version")
    sleeper.send_signal(signal.SIGSTOP)
    world.worker()
    world.until_rest(rollback)
    before = _of_the_rollback()
    sleeper.send_signal(signal.SIGCONT)
    time.sleep(3)
    assert _of_the_rollback() == before
    world.check(rollback)
    assert rollback.state == "succeeded"
    assert world.workshop.ran == ["switch_version"]


@pytest.mark.faults
def test_stopped_for_a_minute_with_the_leases_of_production(
    world: World, incident: Incident, commander: Actor
) -> None:
    """SIGSTOP for 60 s in mid-command: another worker takes it up within 45 s of the last renewal."""
    world.one_change("time.sleep(20)")
    rollback = world.asked(incident, commander)
    sleeper = world.worker(FAULTS_REAL_LEASES="1")
    world.until_ran("switch_version")
    sleeper.send_signal(signal.SIGSTOP)
    stopped = time.monotonic()
    world.worker(FAULTS_REAL_LEASES="1")
    world.until_rest(rollback, 75)
    assert time.monotonic() - stopped < 45
    time.sleep(max(0.0, 60 - (time.monotonic() - stopped)))
    sleeper.send_signal(signal.SIGCONT)
    time.sleep(10)
    world.check(rollback)
    assert rollback.state == "succeeded"
    assert world.workshop.ran == ["switch_version"]


@pytest.mark.faults
def test_a_killed_worker_is_replaced_within_45_s_with_the_leases_of_production(
    world: World, incident: Incident, commander: Actor
) -> None:
    world.one_change("time.sleep(5)")
    rollback = world.asked(incident, commander)
    worker = world.worker(FAULTS_REAL_LEASES="1")
    world.until_ran("switch_version")
    worker.kill()
    killed = time.monotonic()
    world.worker(FAULTS_REAL_LEASES="1")
    world.until_rest(rollback, 75)
    assert time.monotonic() - killed < 45
    world.check(rollback)
    assert (rollback.state, world.workshop.ran) == ("succeeded", ["switch_version"])


@pytest.mark.faults
def test_a_host_that_is_gone_is_noticed_and_a_person_asked(
    world: World, incident: Incident, commander: Actor
) -> None:
    """Its worker and everything else of it; the worker of another host does not touch the command."""
    world.one_change("time.sleep(30)")
    rollback = world.asked(incident, commander)
    worker = world.worker(FIREBREAK_HOST="a")
    world.until_ran("switch_version")
    worker.kill()
    world.worker(FIREBREAK_HOST="b")
    world.until_rest(rollback)
    assert (rollback.state, step(rollback, "change").state) == ("needs_attention", "unknown")
    assert "the worker on a died" in rollback.attention
    (run_dir,) = world.run_dirs(rollback)
    world.kill_supervisor(run_dir)
    world.end_what_is_left()
    world.check(rollback)
    assert os.path.exists(run_dir / "claim")
