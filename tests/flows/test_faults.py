"""The same story while things are taken away: Redis, and the worker in mid-step."""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis
from django.conf import settings

from core.embedded.valkey import EmbeddedValkey, url
from tests.flows.stack import Firebreak, wait_for

pytestmark = pytest.mark.story


@pytest.mark.faults
def test_redis_flushed_and_stopped_during_the_story(launch: Callable[..., Firebreak], tmp_path: Path) -> None:
    """It still ends well, later by seconds: the rows are the truth, the watchdog does what is due."""
    broker_dir = tmp_path / "broker"
    broker_dir.mkdir(mode=0o700)
    broker = EmbeddedValkey(broker_dir, durable=False)
    broker.start()
    try:
        firebreak = launch(REDIS_URL=url(broker_dir))
        redis.Redis.from_url(url(broker_dir).split("?")[0]).flushall()
        firebreak.break_demo()
        broker.stop()
        incident = firebreak.incident("monitoring", timeout=150)
        assert firebreak.storefront()["version"] == "1.4.2"
        told = {"Subject: INCIDENT ALERT", "Subject: ROLLBACK INITIATED", "Subject: RECOVERED"}
        wait_for(
            lambda: all(any(line in mail for mail in firebreak.mails()) for line in told), "the e-mails", 90
        )
        # Nobody gets an error while it is gone.
        status, declared = firebreak.post(
            "/incidents/", {"title": "declared without Redis", "severity": "P3"}
        )
        assert (status, declared["status"]) == (201, "investigating")
        assert "intact" in firebreak.manage("verify_timeline", incident["ref"])
    finally:
        broker.stop()


def slow_playbook(folder: Path, seconds: int) -> tuple[Path, Path]:
    """A playbook whose switch signs a ledger and then takes its time; returns it and the ledger."""
    playbook, ledger = folder / "playbook", folder / "ledger"
    shutil.copytree(settings.BASE_DIR / "playbook", playbook)
    code = (
        f"import os, sys, time; open({str(ledger)!r}, 'a').write(os.environ['FIREBREAK_ROLLBACK'] + chr(10));"
        f" time.sleep({seconds}); os.execv(sys.argv[1], sys.argv[1:])"
    )
    commands = playbook / "commands.yaml"
    old = 'argv: [demo/bin/storefront, switch-version, --site, "{var_dir}/storefront", "{target_version}"]\n  timeout: 60s'
    assert old in commands.read_text()
    new = old.replace("argv: [", f'argv: ["{{python}}", "-c", "{code}", ').replace("60s", "10m")
    commands.write_text(commands.read_text().replace(old, new))
    return playbook, ledger


@pytest.mark.faults
def test_a_worker_killed_in_mid_step_is_replaced_and_the_command_runs_once(
    launch: Callable[..., Firebreak], tmp_path: Path
) -> None:
    """The command outlives its worker: the next one waits for it, and the rollback goes on to its end."""
    folder, ledger = slow_playbook(tmp_path, seconds=10)
    firebreak = launch(PLAYBOOK_DIR=str(folder))
    firebreak.break_demo()
    wait_for(ledger.exists, "the switch to begin", 90)
    _runner(firebreak).send_signal(signal.SIGKILL)
    incident = firebreak.incident("monitoring", timeout=150)
    (rollback,) = firebreak.all("/rollbacks/")
    assert rollback["state"] == "succeeded"
    assert ledger.read_text().split() == [rollback["ref"]]
    assert firebreak.storefront()["version"] == "1.4.2"
    assert "intact" in firebreak.manage("verify_timeline", incident["ref"])


@pytest.mark.faults
def test_a_worker_killed_with_its_command_pages_a_person_and_never_repeats_it(
    launch: Callable[..., Firebreak], tmp_path: Path
) -> None:
    folder, ledger = slow_playbook(tmp_path, seconds=300)
    firebreak = launch(PLAYBOOK_DIR=str(folder))
    firebreak.break_demo()
    wait_for(ledger.exists, "the switch to begin", 90)
    worker = _runner(firebreak)
    (supervisor,) = [p for p in worker.children() if "program.py" in " ".join(p.cmdline())]
    command = supervisor.children()
    killed_at = time.monotonic()
    for process in (worker, supervisor, *command):
        process.send_signal(signal.SIGKILL)

    def lost() -> Any:
        (rollback,) = firebreak.all("/rollbacks/")
        return rollback if rollback["state"] == "needs_attention" else None

    rollback = wait_for(lost, "needs_attention", 90)
    wait_for(lambda: any("ROLLBACK NEEDS A PERSON" in mail for mail in firebreak.mails()), "the page", 60)
    assert time.monotonic() - killed_at < 60, "a person is paged within 60 s (rulings, States)"
    (step,) = [
        step
        for step in firebreak.get(f"/rollbacks/{rollback['ref']}/")["steps"]
        if step["key"] == "switch_version"
    ]
    assert (step["state"], "its read-back says no" in step["note"]) == ("unknown", True)

    # The worker is back by now; the command has run once and is not run again.
    wait_for(lambda: firebreak.children("runner@"), "the worker's successor", 60)
    time.sleep(5)
    assert ledger.read_text().split() == [rollback["ref"]]
    assert firebreak.get(f"/incidents/{rollback['incident']}/")["active_rollback"] == rollback["ref"]

    # A token cannot decide; a person ends it, and the service is free.
    status, _problem = firebreak.post(f"/rollbacks/{rollback['ref']}/steps/4/abort/", {"reason": "by token"})
    assert status == 403
    firebreak.shell(
        "from core.actors import actor_for_user; from core.clock import utcnow; from core.models import User\n"
        "from incidents.services.people import assign_role; from incidents.models import Incident\n"
        "from rollbacks.services.attention import abort_rollback; from rollbacks.models import Rollback\n"
        "from dataclasses import replace\n"  # as who has just signed in: deciding asks for it
        "admin = User.objects.get(username='admin'); rollback = Rollback.objects.get()\n"
        "actor = replace(actor_for_user(admin), authenticated_at=utcnow())\n"
        "assign_role(incident_id=rollback.incident_id, role='technical_lead', username='admin', actor=actor, now=utcnow())\n"
        "abort_rollback(rollback_id=rollback.pk, position=4, reason='switched by hand', actor=actor, now=utcnow())\n"
    )
    assert firebreak.get(f"/rollbacks/{rollback['ref']}/")["state"] == "resolved_by_hand"
    assert firebreak.get(f"/incidents/{rollback['incident']}/")["active_rollback"] is None


def _runner(firebreak: Firebreak) -> psutil.Process:
    (worker,) = [p for p in firebreak.children("runner@") if "celery" in " ".join(p.cmdline())]
    return worker


def test_a_wrong_playbook_stops_the_start(tmp_path: Path) -> None:
    folder = tmp_path / "playbook"
    shutil.copytree(settings.BASE_DIR / "playbook", folder)
    severities = folder / "severities.yaml"
    severities.write_text(severities.read_text().replace("response_time: 15m", "response_time: soon"))
    firebreak = Firebreak(tmp_path / "var", PLAYBOOK_DIR=str(folder))
    with pytest.raises(AssertionError, match=r"severities.yaml:5: P0.response_time"):
        firebreak.start()
