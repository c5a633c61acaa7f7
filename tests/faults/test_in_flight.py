"""Rows and procedures edited while a rollback is under way: what was approved runs, or a person is asked."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection

from core.actors import Actor
from core.clock import utcnow
from incidents.models import Incident
from rollbacks.executor import run_due
from rollbacks.models import Rollback
from tests.faults.world import World
from tests.rollbacks.workshop import Workshop, ask, run, step

pytestmark = pytest.mark.django_db(transaction=True)
CHANGE: dict[str, Any] = {"mutating": True, "verify_after": "traffic_is_back"}


def _stopped_between_two_changes(workshop: Workshop, incident: Incident, actor: Actor) -> Rollback:
    workshop.only(
        {"key": "first", "command": "switch_version", **CHANGE},
        {"key": "rest", "kind": "wait", "duration": "1h"},
        {"key": "second", "command": "update_config", **CHANGE},
    )
    workshop.procedure["parameters"] = {"word": {"pattern": "^[a-z]+$", "default": "safe"}}
    with workshop.open():
        rollback = ask(incident, actor)
        run_due(now=utcnow())
    assert step(rollback, "rest").state == "waiting"
    return rollback


def _go_on(workshop: Workshop, rollback: Rollback, statement: str) -> Rollback:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        cursor.execute("UPDATE rollbacks_rollback SET due_at = now() WHERE state = 'executing'")
        cursor.execute("UPDATE rollbacks_rollbackstep SET due_at = now() WHERE state = 'waiting'")
    with workshop.open():
        return run(rollback)


@pytest.mark.parametrize(
    "edit",
    [
        "target_version = '0.0.1'",
        """parameters = '{"word": "other"}'""",
        """parameters = '{"word": "--force"}'""",
        "plan_digest = repeat('0', 64)",
    ],
)
def test_a_plan_edited_by_sql_in_flight_stops_before_its_next_command(
    edit: str, workshop: Workshop, incident: Incident, commander: Actor
) -> None:
    rollback = _stopped_between_two_changes(workshop, incident, commander)
    rollback = _go_on(workshop, rollback, f"UPDATE rollbacks_rollback SET {edit}")
    assert rollback.state == "needs_attention"
    assert "requested" in rollback.attention
    assert workshop.ran == ["health_check", "switch_version"]


def test_a_step_that_a_row_calls_undone_is_not_done_again(
    workshop: Workshop, incident: Incident, commander: Actor
) -> None:
    """The folder of its attempt has been claimed: what ran is known there, whatever the row says."""
    rollback = _stopped_between_two_changes(workshop, incident, commander)
    rollback = _go_on(
        workshop,
        rollback,
        "UPDATE rollbacks_rollbackstep SET state = 'pending', attempt = 0, exit_code = NULL WHERE key = 'first'",
    )
    assert rollback.state == "succeeded"
    assert workshop.ran.count("switch_version") == 1


def test_a_procedure_edited_on_disk_does_not_reach_a_worker_that_runs(
    world: World, incident: Incident, commander: Actor
) -> None:
    """A playbook is read when a worker starts."""
    world.one_change("time.sleep(3)")
    rollback = world.asked(incident, commander)
    world.worker()
    world.until_ran("switch_version")
    world.workshop.step("after", duration="200ms")
    world.workshop.write()
    world.until_rest(rollback)
    world.check(rollback)
    assert rollback.state == "succeeded"


@pytest.mark.faults
def test_a_procedure_edited_while_its_worker_dies_is_for_a_person(
    world: World, incident: Incident, commander: Actor
) -> None:
    """The next worker waits for what has begun, begins nothing, and asks nobody before it is over."""
    world.one_change("time.sleep(15)")
    rollback = world.asked(incident, commander)
    worker = world.worker()
    world.until_ran("switch_version")
    worker.kill()
    world.workshop.step("after", duration="200ms")
    world.worker()
    world.until_rest(rollback)
    assert (world.site / "live").exists(), "a person is asked while the command still runs"
    assert rollback.state == "needs_attention"
    assert "differs from the one requested" in rollback.attention
    world.check(rollback)
    assert world.workshop.ran == ["switch_version"]


@pytest.mark.faults
def test_a_target_that_vanishes_between_its_check_and_the_switch_changes_nothing(
    world: World, incident: Incident, commander: Actor
) -> None:
    world.one_change(switches=True)
    artifact = world.site / "1.9.0.tar"
    world.site.mkdir()
    artifact.touch()
    world.workshop.procedure["target_check"] = "verify_rollback_target"
    world.workshop.command("verify_rollback_target", f"sys.exit(not os.path.exists({str(artifact)!r}))")
    world.workshop.command("backup_config", "time.sleep(3)")
    world.workshop.steps(
        validate=[
            {"key": "target", "command": "verify_rollback_target"},
            {"key": "backup", "command": "backup_config"},
        ]
    )
    rollback = world.asked(incident, commander)
    world.worker()
    world.until_ran("backup_config")
    artifact.unlink()
    world.until_rest(rollback)
    world.check(rollback)
    assert rollback.state == "failed"
    assert "not there any more" in rollback.outcome
    assert "switch_version" not in world.workshop.ran
