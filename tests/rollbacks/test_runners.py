"""Runners: a procedure names its queue, who serves it runs it, and nobody serving it is noticed."""

from __future__ import annotations

import datetime as dt
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery, current_app
from django.conf import settings
from django.test import Client

from comms.consumers import route_event
from comms.models import Message
from comms.rules.routing import is_stale
from config.celery import _serve_own_queues
from core import heartbeats, hints
from core.actors import Actor
from core.clock import utcnow
from core.models import Event, User
from core.sweeps import run_sweep
from core.watchdog import Watchdog
from incidents.models import Incident
from rollbacks import policy
from rollbacks.executor import presence, run_due
from rollbacks.executor.lease import claim
from rollbacks.models import Rollback, Runner
from rollbacks.selectors.runners import missing_runners, queues_to_wake
from rollbacks.services.runners import look_after_queues
from rollbacks.states import RunnerKind
from tests import signing_in
from tests.processes import database_environment
from tests.rollbacks.workshop import PROCEDURE, Workshop, ask, states, step

pytestmark = pytest.mark.django_db(transaction=True)
NOWHERE = "redis://127.0.0.1:1/0"


class Hosts:
    """Other hosts: `manage.py runner` as processes, each with a playbook of its own and no broker."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.running: list[subprocess.Popen[bytes]] = []

    def start(self, host: str, playbook: Path, queues: str = "edge") -> subprocess.Popen[bytes]:
        var_dir = self._folder / host
        var_dir.mkdir(mode=0o700, exist_ok=True)
        ours = {
            "FIREBREAK_HOST": host,
            "PLAYBOOK_DIR": str(playbook),
            "RUNNER_QUEUES": queues,
            "VAR_DIR": str(var_dir),
            "HOME": str(self._folder),
            "CELERY_BROKER_URL": NOWHERE,
            "REDIS_URL": NOWHERE,
        }
        with (self._folder / f"{host}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "manage.py", "runner"],
                env=database_environment() | ours,
                cwd=settings.BASE_DIR,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.running.append(process)
        self.until(lambda: Runner.objects.filter(host=host).exists(), f"{host} to say that it is there")
        return process

    def until(self, look: Callable[[], bool], what: str, seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while not look():
            if time.monotonic() > deadline:
                logs = "\n".join(path.read_text()[-2000:] for path in self._folder.glob("*.log"))
                raise AssertionError(f"waited {seconds:.0f} s for {what}:\n{logs}")
            time.sleep(0.1)


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[Hosts]:
    found = Hosts(tmp_path)
    yield found
    for process in found.running:
        if process.poll() is None:
            process.kill()
        process.wait()


@pytest.fixture
def edge(workshop: Workshop) -> Workshop:
    workshop.procedure["queue"] = "edge"
    return workshop


def _due_for_long(rollback: Rollback, seconds: float = 31) -> None:
    Rollback.objects.filter(pk=rollback.pk).update(due_at=utcnow() - dt.timedelta(seconds=seconds))


def _runner(queue: str = "edge", age: float = 0, **more: Any) -> Runner:
    values: dict[str, Any] = {"host": "far", "pid": 7, "kind": "runner", "digests": policy.digests()}
    beat_at = utcnow() - dt.timedelta(seconds=age)
    return Runner.objects.create(queues=[queue], beat_at=beat_at, **values | more)


def _events(incident: Incident, kind: str) -> list[str]:
    return list(Event.objects.filter(stream=incident.stream, kind=kind).values_list("summary", flat=True))


# --- on another host ------------------------------------------------------------------------------
@pytest.mark.faults
def test_a_runner_on_another_host_runs_its_queue_with_its_own_playbook_and_no_broker(
    edge: Workshop, incident: Incident, commander: Actor, hosts: Hosts
) -> None:
    with edge.open():
        rollback = ask(incident, commander)
        assert run_due(now=utcnow()) == 0, "this process serves the default queue"
        digests = policy.digests()
    hosts.start("edge-1", edge.folder)
    told = Runner.objects.get(host="edge-1")
    assert (told.kind, told.queues, told.digests) == ("runner", ["edge"], digests)

    def is_through() -> bool:
        rollback.refresh_from_db()
        return rollback.due_at is None

    hosts.until(is_through, "the rollback to end")
    assert (rollback.state, states(rollback)) == ("succeeded", ["succeeded"] * 13)
    assert set(rollback.steps.filter(host__gt="").values_list("host", flat=True)) == {"edge-1"}


@pytest.mark.faults
def test_a_runner_with_another_playbook_leaves_it_to_the_one_with_the_right_one(
    edge: Workshop, incident: Incident, commander: Actor, hosts: Hosts, tmp_path: Path
) -> None:
    other = Workshop(tmp_path / "elsewhere")
    other.procedure["queue"] = "edge"
    with edge.open():
        rollback = ask(incident, commander)
    hosts.start("edge-old", other.write())
    time.sleep(3)  # it looks every two seconds
    rollback.refresh_from_db()
    assert (rollback.state, rollback.fence) == ("approved", 0), "it was not even claimed"
    hosts.start("edge-new", edge.folder)
    hosts.until(lambda: Rollback.objects.filter(pk=rollback.pk, state="succeeded").exists(), "its end")
    assert other.ran == []
    assert step(rollback, "switch_version").host == "edge-new"


@pytest.mark.faults
def test_a_runner_that_is_stopped_ends_its_step_and_says_goodbye(
    edge: Workshop, incident: Incident, commander: Actor, hosts: Hosts
) -> None:
    edge.command("backup_config", "time.sleep(3)")
    with edge.open():
        rollback = ask(incident, commander)
    process = hosts.start("edge-1", edge.folder)
    hosts.until(lambda: "backup_config" in edge.ran, "the step to begin")
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 0
    rollback.refresh_from_db()
    assert states(rollback)[:3] == ["succeeded", "succeeded", "pending"]
    assert (rollback.state, rollback.lease_until) == ("validating", None), "the next one may go on at once"
    assert not Runner.objects.exists()


def test_a_process_that_serves_no_queue_is_no_runner(settings: Any) -> None:
    settings.RUNNER_QUEUES = []
    presence.report(RunnerKind.WORKER)
    assert not Runner.objects.exists()


# --- nobody there ---------------------------------------------------------------------------------
def test_no_runner_is_noticed_within_a_minute_paged_once_and_shown(
    edge: Workshop, incident: Incident, commander: Actor, make_user: Callable[..., User], now: dt.datetime
) -> None:
    with edge.open():
        rollback = ask(incident, commander)
        assert look_after_queues(now=utcnow()) == 0, "a runner may only be starting again"
        _due_for_long(rollback)
        _runner(queue="default")  # of another queue
        _runner(age=31, pid=8)  # silent
        assert look_after_queues(now=utcnow()) == 1
        assert look_after_queues(now=utcnow()) == 0, "once"
        (trouble,) = missing_runners()
    rollback.refresh_from_db()
    assert rollback.state == "approved", "it waits on"
    (said,) = _events(incident, "rollback.no_runner")
    assert "no runner for queue edge" in said
    assert (trouble.level, trouble.text) == ("critical", "No runner for queue edge")
    assert rollback.ref in trouble.detail
    route_event(Event.objects.get(stream=incident.stream, kind="rollback.no_runner"), now)
    message = Message.objects.get(template="runner_missing")
    assert "NO RUNNER FOR QUEUE edge" in message.subject
    assert f"manage.py rollback {rollback.ref} --run" in message.body
    browser = Client()
    signing_in.sign_in(browser, make_user("vic", "viewer"))
    assert "No runner for queue edge" in browser.get(f"/rollbacks/{rollback.ref}/").content.decode()


def test_the_page_forgets_it_when_a_runner_comes_and_the_next_absence_is_paged_again(
    edge: Workshop, incident: Incident, commander: Actor, settings: Any
) -> None:
    with edge.open():
        rollback = ask(incident, commander)
        _due_for_long(rollback)
        assert look_after_queues(now=utcnow()) == 1
        settings.RUNNER_QUEUES = ["edge"]
        assert claim() == (rollback.pk, 1)
        rollback.refresh_from_db()
        assert rollback.no_runner_at is None
        Rollback.objects.filter(pk=rollback.pk).update(lease_until=None)
        _due_for_long(rollback)
        assert look_after_queues(now=utcnow()) == 1
    assert len(_events(incident, "rollback.no_runner")) == 2


@pytest.mark.parametrize(
    ("state", "stale"), [("approved", False), ("verifying", False), ("succeeded", True), ("expired", True)]
)
def test_the_message_does_not_leave_once_it_is_over(state: str, stale: bool) -> None:
    asked = is_stale("runner_missing", incident_open=True, acknowledged=True, rollback_state=state)
    assert asked is stale


def test_a_living_runner_a_lease_and_a_step_in_the_middle_are_left_alone(
    edge: Workshop, incident: Incident, commander: Actor
) -> None:
    with edge.open():
        rollback = ask(incident, commander)
        _due_for_long(rollback)
        right = _runner()
        assert look_after_queues(now=utcnow()) == 0
        right.delete()
        Rollback.objects.filter(pk=rollback.pk).update(lease_until=utcnow() + dt.timedelta(seconds=9))
        assert look_after_queues(now=utcnow()) == 0
        Rollback.objects.filter(pk=rollback.pk).update(lease_until=None, state="executing")
        rollback.steps.filter(position=4).update(state="running")
        assert look_after_queues(now=utcnow()) == 0, "that is services.recovery's"


def test_a_queue_that_a_procedure_names_is_missed_before_anything_waits_there(edge: Workshop) -> None:
    with edge.open():
        (trouble,) = missing_runners()
        assert (trouble.level, trouble.text) == ("warning", "No runner for queue edge")
        _runner()
        assert missing_runners() == ()


# --- another version ------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("digests", "said"),
    [
        (
            {PROCEDURE: "a" * 64},
            f"has procedure {PROCEDURE} with digest {'a' * 12}…, the rollback was approved",
        ),
        ({}, f"has no procedure {PROCEDURE}, the rollback was approved"),
    ],
)
def test_where_every_runner_has_another_version_it_fails_clean_and_says_which(
    edge: Workshop, incident: Incident, commander: Actor, digests: dict[str, str], said: str
) -> None:
    _runner(digests=digests)
    with edge.open():
        rollback = ask(incident, commander)
        assert look_after_queues(now=utcnow()) == 0
        _due_for_long(rollback)
        assert look_after_queues(now=utcnow()) == 1
    rollback.refresh_from_db()
    assert rollback.state == "failed"
    assert f"runner far {said}" in rollback.outcome
    assert rollback.procedure_digest[:12] in rollback.outcome
    assert "nothing was changed" in rollback.outcome
    assert edge.ran == []


def test_one_that_has_changed_something_needs_a_person_instead(
    edge: Workshop, incident: Incident, commander: Actor
) -> None:
    _runner(digests={})
    with edge.open():
        rollback = ask(incident, commander)
        Rollback.objects.filter(pk=rollback.pk).update(
            state="executing", started_at=utcnow(), mutated_at=utcnow()
        )
        rollback.steps.filter(position__lt=5).update(state="succeeded")
        _due_for_long(rollback)
        assert look_after_queues(now=utcnow()) == 1
    rollback.refresh_from_db()
    assert rollback.state == "needs_attention"
    assert "has no procedure" in rollback.attention
    assert rollback.steps.get(position=5).state == "cancelled", "a person can decide about it"


# --- hints ----------------------------------------------------------------------------------------
def test_hints_reach_the_queue_of_the_rollback(
    edge: Workshop, incident: Incident, commander: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[tuple[str, str | None]] = []
    monkeypatch.setattr(hints, "_quiet_until", 0.0)  # a test before may have met a slow broker
    monkeypatch.setattr(
        type(current_app._get_current_object()),  # type: ignore[attr-defined]
        "send_task",
        lambda _app, task, queue=None, **_: sent.append((task, queue)),
    )
    with edge.open():
        rollback = ask(incident, commander)
        assert ("rollbacks.run_due", "runner.edge") in sent
        assert queues_to_wake() == [], "nobody would hear it: it would lie in the broker"
        _runner()
        assert queues_to_wake() == [], "nor does a runner without a broker"
        _runner(kind="worker", pid=8)
        assert queues_to_wake() == ["edge"]
        sent.clear()
        look_after_queues(now=utcnow())
        assert sent == [("rollbacks.run_due", "runner.edge")]
        Rollback.objects.filter(pk=rollback.pk).update(due_at=utcnow() + dt.timedelta(seconds=60))
        assert queues_to_wake() == []


@pytest.mark.parametrize(
    ("given", "own", "heard"),
    [
        (["runner.default"], ["default"], {"runner.default"}),
        (["runner.default"], ["edge", "lab"], {"runner.edge", "runner.lab"}),
        (["runner.default"], ["default", "edge"], {"runner.default", "runner.edge"}),
        (["checks"], ["edge"], {"checks"}),
    ],
)
def test_a_worker_of_rollbacks_listens_to_the_queues_of_its_host(
    settings: Any, given: list[str], own: list[str], heard: set[str]
) -> None:
    settings.RUNNER_QUEUES = own
    app = Celery("test", set_as_current=False)
    app.amqp.queues.select(given)
    _serve_own_queues(instance=SimpleNamespace(app=app))
    assert set(app.amqp.queues.consume_from) == heard


def test_the_watchdog_takes_over_when_its_own_queues_are_idle_whoever_runs_others(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, _function, _seconds in settings.SWEEPS:
        heartbeats.beat(f"sweep:{name}")
    watchdog = Watchdog()
    watchdog._started_at -= 1000
    settings.SWEEP_PARTS = {"rollbacks.run_due": ("edge",)}
    assert watchdog._overdue() == ["rollbacks.run_due"]
    run_sweep("rollbacks.run_due")
    assert watchdog._overdue() == []
    settings.SWEEP_PARTS = {"rollbacks.run_due": ("edge", "lab")}
    assert watchdog._overdue() == ["rollbacks.run_due"]
    settings.SWEEP_PARTS = {"rollbacks.run_due": ()}
    assert watchdog._overdue() == [], "this host runs no rollbacks"
