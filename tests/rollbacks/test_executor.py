"""Rollbacks run for real: commands in their own session, failures, cancels, dead and stale workers."""

from __future__ import annotations

import contextlib
import datetime as dt
import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import psutil
import pytest
from django.db import connection

from core.actors import SYSTEM, Actor
from core.clock import utcnow
from core.errors import Conflict, NotAllowed
from core.models import Event
from incidents.facts import Reading
from incidents.models import Incident, Release, RoleGrant, Service
from incidents.services.measuring import observe
from incidents.services.monitors import create_monitor
from incidents.states import SampleOutcome
from rollbacks import policy
from rollbacks.executor import run_due
from rollbacks.executor.commands import check_playbook
from rollbacks.executor.lease import claim
from rollbacks.models import Rollback
from rollbacks.policy import ProcedureChanged
from rollbacks.services.attention import abort_rollback, mark_step_done
from rollbacks.services.recovery import flag_lost_rollbacks
from rollbacks.services.requests import cancel_rollback
from rollbacks.states import RollbackState
from rollbacks.transitions import StaleWorker, move_rollback
from tests.rollbacks.workshop import Workshop, ask, run, states

pytestmark = pytest.mark.django_db(transaction=True)
MakeActor = Callable[..., Actor]


def _kinds(incident: Incident) -> list[str]:
    return list(Event.objects.filter(stream=incident.stream).order_by("seq").values_list("kind", flat=True))


def test_all_steps_in_order_and_the_ledger_follows(
    workshop: Workshop, shop: Service, incident: Incident, commander: Actor
) -> None:
    with workshop.open():
        rollback = run(ask(incident, commander))
    assert rollback.state == "succeeded"
    assert states(rollback) == ["succeeded"] * 13
    assert workshop.ran == [
        "health_check", "backup_config", "verify_rollback_target",
        "verify_rollback_target",  # once more, right before the switch
        "switch_version", "update_config",
        "update_load_balancer", "clear_caches", "purge_cdn", "restart_services", "smoke_tests", "health_check", "user_access_test",
    ]  # fmt: skip
    assert workshop.probed == [
        "release_is_back", "configuration_is_back", "traffic_is_back", "caches_are_back", "cdn_is_back", "servers_are_back",
    ]  # fmt: skip
    incident.refresh_from_db()
    assert incident.status == "monitoring"
    assert not incident.holds.exists()
    releases = dict(Release.objects.filter(service=shop).values_list("version", "state"))
    assert releases == {"1.9.0": "live", "2.0.0": "rolled_back"}
    assert _kinds(incident)[-2:] == ["rollback.succeeded", "incident.status_changed"]


def test_a_failing_check_before_any_change_ends_clean(
    workshop: Workshop, incident: Incident, commander: Actor
) -> None:
    workshop.command("verify_rollback_target", "print('no such release'); sys.exit(3)")
    with workshop.open():
        rollback = run(ask(incident, commander))
    assert rollback.state == "failed"
    assert "nothing was changed" in rollback.outcome
    step = rollback.steps.get(key="verify_target")
    assert (step.state, step.exit_code, step.output_tail) == ("failed", 3, "no such release\n")
    assert "switch_version" not in workshop.ran
    incident.refresh_from_db()
    assert incident.status == "investigating"


def test_a_failing_change_waits_for_a_person_who_marks_it_done(
    workshop: Workshop, incident: Incident, commander: Actor, make_actor: MakeActor
) -> None:
    workshop.command("update_config", "sys.exit(1)")
    with workshop.open():
        rollback = run(ask(incident, commander))
        assert rollback.state == "needs_attention"
        assert "Update configuration" in rollback.attention
        decide = {"rollback_id": rollback.pk, "position": 5, "reason": "copied by hand", "now": utcnow()}
        with pytest.raises(NotAllowed):
            mark_step_done(actor=make_actor("rob"), **decide)  # type: ignore[arg-type]
        with pytest.raises(Conflict, match="does not wait"):
            mark_step_done(actor=commander, **(decide | {"position": 4}))  # type: ignore[arg-type]
        with pytest.raises(Conflict, match="under way"):
            ask(incident, commander)  # the service stays locked
        mark_step_done(actor=commander, **decide)  # type: ignore[arg-type]
        rollback = run(rollback)
    assert rollback.state == "succeeded"
    assert workshop.ran.count("update_config") == 1
    assert "rollback.step_marked_done" in _kinds(incident)


def test_a_person_may_abort_and_the_service_is_free_again(
    workshop: Workshop, incident: Incident, commander: Actor
) -> None:
    workshop.command("switch_version", "sys.exit(1)")
    with workshop.open():
        rollback = run(ask(incident, commander))
        abort_rollback(
            rollback_id=rollback.pk, position=4, reason="vendor fixes it", actor=commander, now=utcnow()
        )
        rollback.refresh_from_db()
        assert rollback.state == "resolved_by_hand"
        assert set(states(rollback)[4:]) == {"skipped"}
        assert ask(incident, commander).state == "approved"


def test_a_command_that_hangs_is_stopped_with_its_children(
    workshop: Workshop, incident: Incident, commander: Actor
) -> None:
    child = "import time; time.sleep(600)"
    workshop.command(
        "switch_version",
        f"import subprocess, signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        f"p = subprocess.Popen([sys.executable, '-c', {child!r}])\nprint(p.pid, flush=True)\ntime.sleep(600)",
        timeout="2s",
    )
    with workshop.open():
        rollback = run(ask(incident, commander))
    step = rollback.steps.get(key="switch_version")
    assert (rollback.state, step.state) == ("needs_attention", "timed_out")
    deadline = time.monotonic() + 10
    while _is_alive(int(step.output_tail)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not _is_alive(int(step.output_tail))


def _is_alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def test_the_command_sees_six_variables_and_no_terminal(
    workshop: Workshop, incident: Incident, commander: Actor
) -> None:
    code = "print(sorted(set(os.environ) - {'LC_CTYPE'})); print(sys.stdin.read() == ''); print(os.getsid(0) == os.getpid())"
    workshop.command("health_check", code)
    with workshop.open():
        rollback = run(ask(incident, commander))
    names, stdin_empty, own_session = rollback.steps.get(position=1).output_tail.splitlines()
    assert names == str(["FIREBREAK_FENCE", "FIREBREAK_ROLLBACK", "FIREBREAK_STEP", "HOME", "LANG", "PATH"])
    assert (stdin_empty, own_session) == ("True", "True")


def test_output_is_cleaned_and_only_its_end_is_kept(
    workshop: Workshop, incident: Incident, commander: Actor
) -> None:
    workshop.command(
        "health_check",
        r"sys.stdout.buffer.write(b'\xff\x00\x1b[31mred\x1b[0m ' + b'x' * 300_000 + b' end\n')",
    )
    with workshop.open():
        rollback = run(ask(incident, commander))
    tail = rollback.steps.get(position=1).output_tail
    assert tail.endswith(" end\n")
    assert tail.startswith("… ")
    assert len(tail) < 70_000


def test_a_program_that_is_missing_is_a_clean_failure(
    workshop: Workshop, incident: Incident, commander: Actor
) -> None:
    workshop.commands["health_check"] = {"argv": ["no/such/program"], "timeout": "5s"}
    with workshop.open():
        rollback = run(ask(incident, commander))
    assert (rollback.state, rollback.steps.get(position=1).exit_code) == ("failed", 127)


def test_a_changed_playbook_is_refused(workshop: Workshop, incident: Incident, commander: Actor) -> None:
    with workshop.open():
        rollback = ask(incident, commander)
    workshop.command("switch_version", "print('something else')")
    with workshop.open():
        assert run_due(now=utcnow()) == 0
        rollback.refresh_from_db()
        assert rollback.state == "approved", "another runner may have it; tests of runners tell the rest"
        with pytest.raises(ProcedureChanged, match="differs from the one requested"):
            check_playbook(rollback)
    assert workshop.ran == []


def test_a_playbook_that_changes_under_a_worker_is_noticed_before_the_next_step(
    workshop: Workshop, incident: Incident, commander: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    with workshop.open():
        rollback = ask(incident, commander)
        right = policy.digests()
    workshop.command("switch_version", "print('something else')")
    monkeypatch.setattr("rollbacks.executor.lease.policy", SimpleNamespace(digests=lambda: right))
    with workshop.open():
        rollback = run(rollback)
    assert rollback.state == "failed"
    assert "differs from the one requested" in rollback.outcome
    assert workshop.ran == []


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        (
            "UPDATE rollbacks_rollback SET target_version = '1.8.0'",
            "1.8.0 is no longer a verified good release",
        ),
        ("UPDATE rollbacks_rollback SET reason = reason, plan_digest = 'forged'", "the plan was edited"),
        (
            "UPDATE rollbacks_rollback SET approval_expires_at = now() - interval '1 s'",
            "approval has expired",
        ),
        (
            "UPDATE incidents_release SET state = 'quarantined' WHERE version = '1.9.0'",
            "no longer a verified good release",
        ),
        ("DELETE FROM incidents_rolegrant", "decides"),
    ],
)
def test_what_was_approved_is_judged_again_when_it_runs(
    workshop: Workshop, incident: Incident, commander: Actor, statement: str, said: str
) -> None:
    with workshop.open():
        rollback = ask(incident, commander)
        with connection.cursor() as cursor:
            cursor.execute(statement)
        rollback = run(rollback)
    assert rollback.state == "failed"
    assert said in rollback.outcome
    assert workshop.ran == []


def test_an_edited_plan_is_refused_after_approval(
    workshop: Workshop, incident: Incident, commander: Actor, shop: Service
) -> None:
    with workshop.open():
        rollback = ask(incident, commander)
        Release.objects.filter(service=shop, version="1.9.0").update(version="1.9.1")
        Rollback.objects.filter(pk=rollback.pk).update(target_version="1.9.1")
        rollback = run(rollback)
    assert rollback.state == "failed"
    assert "edited" in rollback.outcome


def test_cancel_between_checks_is_clean_and_after_a_change_needs_a_person(
    workshop: Workshop, incident: Incident, commander: Actor
) -> None:
    workshop.command("backup_config", "time.sleep(30)")
    workshop.command("update_config", "time.sleep(1.5)")
    with workshop.open():
        first = ask(incident, commander)
        with _cancelling(first, commander, when=lambda: "backup_config" in workshop.ran):
            first = run(first)
        assert first.state == "cancelled"
        assert "switch_version" not in workshop.ran

    workshop.command("backup_config", "")
    with workshop.open():
        second = ask(incident, commander)
        with _cancelling(second, commander, when=lambda: "update_config" in workshop.ran):
            second = run(second)
    assert second.state == "needs_attention"
    assert second.steps.get(key="update_config").state == "succeeded", "a change is let finish"
    assert second.steps.get(key="update_load_balancer").state == "cancelled"


@contextlib.contextmanager
def _cancelling(rollback: Rollback, actor: Actor, *, when: Callable[[], bool]) -> Iterator[None]:
    def wait_and_cancel() -> None:
        while not when():
            time.sleep(0.05)
        cancel_rollback(rollback_id=rollback.pk, reason="changed my mind", actor=actor, now=utcnow())
        connection.close()

    thread = threading.Thread(target=wait_and_cancel)
    thread.start()
    yield
    thread.join()


def test_a_lost_worker_in_mid_step_means_a_person_and_no_second_run(
    workshop: Workshop, incident: Incident, commander: Actor
) -> None:
    """What the loss of a host leaves in the database: a running step under a lease that nobody renews."""
    with workshop.open():
        rollback = ask(incident, commander)
        _leave_as_a_dead_worker_would(rollback)
        assert flag_lost_rollbacks(now=utcnow()) == 0, "the lease still runs"
        Rollback.objects.filter(pk=rollback.pk).update(lease_until=utcnow() - dt.timedelta(seconds=16))
        assert claim() is None, "a step begun on another host is not taken up here"
        assert flag_lost_rollbacks(now=utcnow()) == 1
        rollback.refresh_from_db()
        assert rollback.state == "needs_attention"
        assert rollback.steps.get(position=4).state == "unknown"
        assert "nobody knows" in rollback.attention
        assert run_due(now=utcnow()) == 0
    assert workshop.ran == []


def _leave_as_a_dead_worker_would(rollback: Rollback) -> None:
    now = utcnow()
    Rollback.objects.filter(pk=rollback.pk).update(
        state="executing",
        started_at=now,
        mutated_at=now,
        fence=1,
        lease_until=now + dt.timedelta(seconds=20),
        lease_owner="gone:1",
    )
    rollback.steps.filter(position__lt=4).update(state="succeeded")
    rollback.steps.filter(position=4).update(state="running", attempt=1, started_at=now, host="gone")


def test_a_worker_lost_between_steps_is_simply_replaced(
    workshop: Workshop, incident: Incident, commander: Actor
) -> None:
    with workshop.open():
        rollback = ask(incident, commander)
        _leave_as_a_dead_worker_would(rollback)
        rollback.steps.filter(position=4).update(state="pending")
        Rollback.objects.filter(pk=rollback.pk).update(lease_until=utcnow() - dt.timedelta(seconds=1))
        assert run(rollback).state == "succeeded"
    assert workshop.ran.count("switch_version") == 1
    assert "health_check" not in workshop.ran[:1]


def test_a_worker_that_wakes_late_writes_nothing(incident: Incident, commander: Actor) -> None:
    rollback = ask(incident, commander)
    sleeper = Rollback.objects.get(pk=rollback.pk)
    claimed = claim()
    assert claimed == (rollback.pk, 1)
    with pytest.raises(StaleWorker):
        move_rollback(sleeper, RollbackState.VALIDATING)


@pytest.mark.faults
def test_eight_workers_run_it_once(workshop: Workshop, incident: Incident, commander: Actor) -> None:
    with workshop.open():
        rollback = ask(incident, commander)
        workers = [threading.Thread(target=_work) for _ in range(8)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        rollback = run(rollback)
    assert rollback.state == "succeeded"
    assert len(workshop.ran) == 13


def _work() -> None:
    try:
        run_due(now=utcnow())
    finally:
        connection.close()


def test_the_soak_fails_on_a_critical_sample_and_waits_for_an_answer(
    workshop: Workshop, incident: Incident, commander: Actor
) -> None:
    workshop.soak("1s")
    monitor = create_monitor(
        actor=SYSTEM, now=utcnow(), service="shop", metric="error_rate",
        source={"type": "http_json", "url": "http://127.0.0.1:1/", "path": "e"},
    )  # fmt: skip
    with workshop.open():
        rollback = ask(incident, commander)
        deadline = time.monotonic() + 30
        while rollback.steps.get(position=13).state != "waiting" and time.monotonic() < deadline:
            run_due(now=utcnow())
        # Catastrophic: anything less may still be made of the minute before the switch.
        observe(monitor_id=monitor.pk, reading=Reading(SampleOutcome.OK, 0.6), now=utcnow())
        rollback = run(rollback)
    assert rollback.state == "needs_attention"
    assert "critical during the soak" in rollback.steps.get(position=13).note


def test_a_grant_lost_after_approval_stops_it(
    workshop: Workshop, incident: Incident, commander: Actor, make_actor: MakeActor
) -> None:
    from rollbacks.services.requests import approve_rollback

    with workshop.open():
        rollback = ask(incident, make_actor("rob"))
        approve_rollback(rollback_id=rollback.pk, actor=commander, now=utcnow())
        RoleGrant.objects.all().delete()
        rollback = run(rollback)
    assert rollback.state == "failed"
    assert "nobody who approved" in rollback.outcome
