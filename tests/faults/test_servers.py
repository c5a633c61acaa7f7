"""The database and the broker taken away in mid-rollback, and messages that come a hundred times."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter

import pytest
import redis
from celery import current_app
from django.db import connection

from core.actors import SYSTEM, Actor
from core.clock import utcnow
from core.embedded.postgres import EmbeddedPostgres
from core.embedded.valkey import EmbeddedValkey, broker_url, url
from incidents.models import Incident
from incidents.services.incidents import declare_incident
from incidents.services.people import assign_role
from rollbacks.models import Rollback
from rollbacks.services.requests import RollbackUnderWay, TargetUnverified, request_rollback
from tests.conftest import make_service
from tests.faults.world import World, restart_immediately
from tests.rollbacks.workshop import step

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.faults
def test_postgresql_restarted_in_mid_step_costs_nothing(
    database: EmbeddedPostgres, world: World, incident: Incident, commander: Actor
) -> None:
    """An immediate restart is a crash: every session is cut off while the command runs."""
    world.one_change("time.sleep(4)")
    rollback = world.asked(incident, commander)
    world.worker()
    world.until_ran("switch_version")
    restart_immediately(database)
    world.until_rest(rollback)
    world.check(rollback)
    assert rollback.state == "succeeded"
    assert world.workshop.ran == ["switch_version"]


@pytest.mark.faults
@pytest.mark.parametrize("fault", ["worker", "supervisor"])
def test_postgresql_away_while_the_worker_or_its_command_dies(
    fault: str, database: EmbeddedPostgres, world: World, incident: Incident, commander: Actor
) -> None:
    """Two faults at once: whoever comes when the database is back finds out what happened."""
    world.one_change("time.sleep(3)")
    rollback = world.asked(incident, commander)
    worker = world.worker()
    world.until_ran("switch_version")
    (run_dir,) = world.run_dirs(rollback)
    database.stop()
    if fault == "worker":
        worker.kill()
    else:
        world.kill_supervisor(run_dir)
    database.start()
    world.worker()
    world.until_rest(rollback)
    world.check(rollback)
    assert rollback.state == ("succeeded" if fault == "worker" else "needs_attention")
    assert world.workshop.ran == ["switch_version"]


@pytest.mark.faults
def test_postgresql_restarted_again_and_again(
    database: EmbeddedPostgres, world: World, incident: Incident, commander: Actor
) -> None:
    world.one_change("time.sleep(6)")
    rollback = world.asked(incident, commander)
    world.worker()
    world.worker()
    for _ in range(8):
        restart_immediately(database)
        with contextlib.suppress(AssertionError):
            world.until(lambda: Rollback.objects.get().due_at is None, "the end", 1.5)
    world.until_rest(rollback)
    world.check(rollback)
    assert rollback.state == "succeeded"
    assert world.workshop.ran == ["switch_version"]


@pytest.mark.faults
def test_the_same_message_a_hundred_times_runs_it_once(
    broker: EmbeddedValkey, world: World, incident: Incident, commander: Actor
) -> None:
    world.one_change("time.sleep(0.5)")
    world.workshop.steps(  # no step that waits: nothing but the messages wakes anybody
        validate=[{"key": "before", "command": "health_check"}],
        verify=[{"key": "after", "command": "smoke_tests"}],
    )
    rollback = world.asked(incident, commander)
    world.of_procfile("runner")
    with current_app.connection_for_write(url=broker_url(broker.var_dir)) as link:
        for _ in range(100):
            current_app.send_task("rollbacks.run_due", connection=link, ignore_result=True)
    world.until_rest(rollback)
    queue = redis.Redis.from_url(url(broker.var_dir).split("?")[0])
    world.until(lambda: queue.llen("runner.default") == 0, "the last message to be taken")
    world.check(rollback)
    assert rollback.state == "succeeded"
    assert world.workshop.ran == ["health_check", "switch_version", "smoke_tests"]


def _slow_in_every_phase(world: World) -> None:
    world.one_change("time.sleep(3)")
    slow = {"kind": "wait", "duration": "4s"}
    world.workshop.steps(validate=[{"key": "before", **slow}], verify=[{"key": "after", **slow}])


@pytest.mark.faults
@pytest.mark.parametrize("fault", ["flushed", "stopped"])
@pytest.mark.parametrize("phase", ["approved", "validating", "executing", "verifying"])
def test_redis_flushed_or_stopped_in_every_phase(
    fault: str, phase: str, broker: EmbeddedValkey, world: World, incident: Incident, commander: Actor
) -> None:
    """The rows are the truth: beat's sweeps find the work, and without a broker the watchdog does it."""
    _slow_in_every_phase(world)
    rollback = world.asked(incident, commander)
    if phase != "approved":
        for name in ("runner", "comms", "beat", "watchdog"):
            world.of_procfile(name)
        world.until_state(rollback, phase)
    if fault == "flushed":
        redis.Redis.from_url(url(broker.var_dir).split("?")[0]).flushall()
    else:
        broker.stop()
    if phase == "approved":
        for name in ("runner", "comms", "beat", "watchdog"):
            world.of_procfile(name)
    world.until_rest(rollback, 120)
    world.check(rollback)
    assert rollback.state == "succeeded"
    assert world.workshop.ran == ["switch_version"]


@pytest.mark.faults
def test_redis_stopped_pages_a_person_all_the_same(
    broker: EmbeddedValkey, world: World, incident: Incident, commander: Actor
) -> None:
    world.one_change("sys.exit(1)")
    rollback = world.asked(incident, commander)
    broker.stop()
    world.of_procfile("watchdog")
    world.until_rest(rollback)
    world.check(rollback)
    assert (rollback.state, step(rollback, "change").state) == ("needs_attention", "failed")


@pytest.mark.faults
def test_two_beats_eight_workers_and_two_hundred_rollbacks(
    broker: EmbeddedValkey, world: World, commander: Actor
) -> None:
    """Each runs once, whoever is woken how often; of two requests for a service one is refused."""
    world.one_change()
    world.workshop.commands["switch_version"]["argv"][0:2] = ["{python}", "-I", "-S", "-c"]
    world.workshop.commands["release_is_back"]["argv"][0:2] = ["{python}", "-I", "-S", "-c"]
    incidents = [_incident_of(f"shop{number}", commander) for number in range(200)]
    for _ in range(8):
        world.of_procfile("runner")
    for name in ("comms", "beat", "beat", "watchdog"):
        world.of_procfile(name)
    refused: list[str] = []
    with world.workshop.open():
        halves = [
            threading.Thread(
                target=_ask_for_all, args=(incidents[start:] + incidents[:start], commander, refused)
            )
            for start in (0, 50, 100, 150)
        ]
        for half in halves:
            half.start()
        for half in halves:
            half.join()
    assert len(refused) == 600, "every service was asked for four times at once"

    def all_rest() -> bool:
        return not Rollback.objects.filter(due_at__isnull=False).exists()

    world.until(all_rest, "two hundred rollbacks", 1200)
    rollbacks = list(Rollback.objects.all())
    world.check(*rollbacks)
    assert Counter(rollback.state for rollback in rollbacks) == {"succeeded": 200}
    assert Counter(world.workshop.runs) == {(r.ref, "switch_version"): 1 for r in rollbacks}


def _incident_of(slug: str, actor: Actor) -> tuple[int, str]:
    now = utcnow()
    make_service(slug, now)
    incident = declare_incident(actor=SYSTEM, now=now, title=slug, severity="P0", services=[slug])
    assign_role(
        incident_id=incident.pk, role="incident_commander", username=actor.label, actor=actor, now=now
    )
    return incident.pk, slug


def _ask_for_all(incidents: list[tuple[int, str]], actor: Actor, refused: list[str]) -> None:
    for incident, slug in incidents:
        try:
            request_rollback(incident_id=incident, service=slug, reason="broken", actor=actor, now=utcnow())
        except (RollbackUnderWay, TargetUnverified):  # the second when the first one is over already
            refused.append(slug)
    connection.close()
