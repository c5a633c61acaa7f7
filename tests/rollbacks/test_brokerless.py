"""`manage.py rollback`: one approved rollback brought to its end with PostgreSQL alone."""

from __future__ import annotations

import datetime as dt
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from django.conf import settings

from core.actors import Actor
from incidents.models import Incident
from rollbacks.models import Rollback
from tests.processes import database_environment, manage
from tests.rollbacks.workshop import Workshop, ask, states, step

pytestmark = pytest.mark.django_db(transaction=True)
NOWHERE = "redis://127.0.0.1:1/0"
MakeActor = Callable[..., Actor]


def _alone(workshop: Workshop, broker: str = NOWHERE) -> dict[str, str]:
    var_dir = workshop.folder.parent / "var"
    var_dir.mkdir(mode=0o700, exist_ok=True)
    return {
        "PLAYBOOK_DIR": str(workshop.folder),
        "VAR_DIR": str(var_dir),
        "HOME": str(var_dir.parent),
        "CELERY_BROKER_URL": broker,
        "REDIS_URL": broker,
    }


def _run(workshop: Workshop, rollback: Rollback, *words: str, broker: str = NOWHERE) -> tuple[int, str]:
    done = manage("rollback", rollback.ref, *words, **_alone(workshop, broker))
    rollback.refresh_from_db()
    return done.returncode, done.stdout + done.stderr


@pytest.mark.faults
def test_it_finishes_an_approved_rollback_through_waits_and_soak_whatever_its_queue(
    workshop: Workshop, incident: Incident, commander: Actor
) -> None:
    workshop.procedure["queue"] = "edge"
    workshop.procedure["verify"].insert(0, {"key": "rest", "name": "Rest", "kind": "wait", "duration": "2s"})
    with workshop.open():
        rollback = ask(incident, commander)
    code, said = _run(workshop, rollback, "--run")
    assert (code, rollback.state) == (0, "succeeded"), said
    assert set(states(rollback)) == {"succeeded"}
    for line in (
        "Rest: waiting, until",
        "Switch to previous version: succeeded",
        f"{rollback.ref}: executing",
    ):
        assert line in said
    assert rollback.outcome in said
    incident.refresh_from_db()
    assert incident.status == "monitoring"


@pytest.mark.faults
def test_a_frozen_broker_costs_seconds_and_no_more(
    workshop: Workshop, incident: Incident, commander: Actor
) -> None:
    """It takes connections and never answers."""
    with workshop.open():
        rollback = ask(incident, commander)
    with socket.create_server(("127.0.0.1", 0), backlog=50) as frozen:
        began = time.monotonic()
        code, said = _run(
            workshop, rollback, "--run", broker=f"redis://127.0.0.1:{frozen.getsockname()[1]}/0"
        )
    assert (code, rollback.state) == (0, "succeeded"), said
    assert time.monotonic() - began < 90


@pytest.mark.faults
def test_what_needs_a_person_ends_with_three_and_says_where(
    workshop: Workshop, incident: Incident, commander: Actor
) -> None:
    workshop.command("update_config", "sys.exit(1)")
    with workshop.open():
        rollback = ask(incident, commander)
    code, said = _run(workshop, rollback, "--run")
    assert (code, rollback.state) == (3, "needs_attention"), said
    assert rollback.attention in said
    assert f"/rollbacks/{rollback.ref}/" in said
    code, said = _run(workshop, rollback, "--run")
    assert (code, workshop.ran.count("update_config")) == (3, 1)
    assert "nothing to run" in said


def test_what_fails_clean_ends_with_one(workshop: Workshop, incident: Incident, commander: Actor) -> None:
    workshop.command("health_check", "sys.exit(2)")
    with workshop.open():
        rollback = ask(incident, commander)
    code, said = _run(workshop, rollback, "--run")
    assert (code, rollback.state) == (1, "failed")
    assert "nothing was changed" in said


def test_what_nobody_approved_is_refused(
    workshop: Workshop, incident: Incident, make_actor: MakeActor
) -> None:
    with workshop.open():
        rollback = ask(incident, make_actor("rob"))
    code, said = _run(workshop, rollback, "--run")
    assert (code, rollback.state, workshop.ran) == (1, "awaiting_approval", [])
    assert f"{rollback.ref} is not approved" in said
    assert "Traceback" not in said


@pytest.mark.faults
def test_another_playbook_is_refused_before_anything_is_claimed(
    workshop: Workshop, incident: Incident, commander: Actor, tmp_path: Path
) -> None:
    with workshop.open():
        rollback = ask(incident, commander)
    other = Workshop(tmp_path / "elsewhere")
    other.write()
    code, said = _run(other, rollback, "--run")
    assert (code, rollback.state, rollback.fence) == (1, "approved", 0)
    assert (
        f"was approved with the procedure storefront_rollback of digest {rollback.procedure_digest[:12]}…"
        in said
    )
    assert "has it with digest" in said


def test_without_run_it_shows_the_state_the_plan_and_what_would_happen(
    workshop: Workshop, incident: Incident, commander: Actor
) -> None:
    workshop.commands["update_config"]["argv"] = ["deploy", "--password=hunter2hunter2", "{target_version}"]
    with workshop.open():
        rollback = ask(incident, commander)
    code, said = _run(workshop, rollback)
    assert (code, rollback.state, workshop.ran) == (0, "approved", [])
    for text in ("2.0.0 → 1.9.0", "Approved", "execute  Switch to previous version: pending $", "--run"):
        assert text in said
    assert "deploy" in said
    assert "hunter2" not in said


def test_an_unknown_reference_is_named(workshop: Workshop, db: None) -> None:
    workshop.write()
    done = manage("rollback", "RB-2020-01-01-0001", **_alone(workshop))
    assert done.returncode == 1
    assert "There is no rollback RB-2020-01-01-0001." in done.stderr


@pytest.mark.faults
def test_it_stops_between_two_steps_and_goes_on_when_asked_again(
    workshop: Workshop, incident: Incident, commander: Actor
) -> None:
    workshop.command("backup_config", "time.sleep(2)")
    with workshop.open():
        rollback = ask(incident, commander)
    process = subprocess.Popen(
        [sys.executable, "manage.py", "rollback", rollback.ref, "--run"],
        env=database_environment() | _alone(workshop),
        cwd=settings.BASE_DIR,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 60
        while "backup_config" not in workshop.ran:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 1
    assert "run it again to go on" in said
    assert states(rollback)[:3] == ["succeeded", "succeeded", "pending"]
    code, _said = _run(workshop, rollback, "--run")
    assert (code, rollback.state) == (0, "succeeded")
    assert workshop.ran.count("backup_config") == 1


@pytest.mark.faults
def test_a_step_that_another_host_had_begun_becomes_a_persons_even_when_nothing_else_runs(
    workshop: Workshop, incident: Incident, commander: Actor
) -> None:
    with workshop.open():
        rollback = ask(incident, commander)
    long_ago = rollback.requested_at - dt.timedelta(minutes=2)
    Rollback.objects.filter(pk=rollback.pk).update(
        state="executing", started_at=long_ago, mutated_at=long_ago, fence=1, lease_until=long_ago
    )
    rollback.steps.filter(position__lt=4).update(state="succeeded")
    rollback.steps.filter(position=4).update(state="running", attempt=1, host="gone")
    code, said = _run(workshop, rollback, "--run")
    assert (code, rollback.state) == (3, "needs_attention"), said
    assert step(rollback, "switch_version").state == "unknown"
    assert workshop.ran == []
