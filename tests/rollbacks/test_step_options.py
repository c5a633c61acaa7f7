"""What a procedure may say about a step: read-backs, attempts, conditions, undoing; and what follows."""

from __future__ import annotations

import datetime as dt

import pytest
from django.db import connection

from core.actors import Actor
from core.clock import utcnow
from core.models import Event
from core.playbook import PlaybookError, load
from incidents.models import Incident, Release, Service
from rollbacks.executor import run_due
from rollbacks.models import Rollback
from tests.rollbacks.workshop import Workshop, ask, run, states, step

pytestmark = pytest.mark.django_db(transaction=True)

CHANGE = {"key": "change", "command": "switch_version", "mutating": True, "verify_after": "release_is_back"}
SECOND = {"key": "second", "command": "update_config", "mutating": True, "verify_after": "traffic_is_back"}


def test_what_may_be_repeated_is_tried_again_after_a_while(
    workshop: Workshop, incident: Incident, commander: Actor
) -> None:
    workshop.command("switch_version", f"sys.exit(open({str(workshop.ledger)!r}).read().count('switch') < 3)")
    workshop.only({**CHANGE, "repeatable": True, "attempts": 3, "backoff": "100ms"})
    with workshop.open():
        rollback = run(ask(incident, commander))
    assert (rollback.state, step(rollback, "change").attempt) == ("succeeded", 3)
    assert workshop.ran.count("switch_version") == 3
    retried = Event.objects.filter(stream=incident.stream, kind="rollback.step_retried")
    assert [event.data["attempt"] for event in retried] == [1, 2]


def test_attempts_end_and_each_waits_twice_as_long(
    workshop: Workshop, incident: Incident, commander: Actor
) -> None:
    workshop.command("switch_version", "sys.exit(7)")
    workshop.only({**CHANGE, "repeatable": True, "attempts": 3, "backoff": "40s"})
    with workshop.open():
        rollback = ask(incident, commander)
        for waited in (40, 80):
            run_due(now=utcnow())
            rollback.refresh_from_db()
            due = step(rollback, "change").due_at
            assert due is not None
            assert waited - 5 < (due - utcnow()).total_seconds() <= waited
            assert (rollback.state, rollback.lease_until) == ("executing", None), "no worker is held"
            rollback.steps.update(due_at=utcnow() - dt.timedelta(seconds=1))
            Rollback.objects.filter(pk=rollback.pk).update(due_at=utcnow())
        rollback = run(rollback)
    assert (rollback.state, step(rollback, "change").state) == ("needs_attention", "failed")
    assert workshop.ran.count("switch_version") == 3


def test_a_change_that_does_not_read_back_has_failed(
    workshop: Workshop, incident: Incident, commander: Actor
) -> None:
    workshop.command("release_is_back", "print('still 2.0.0'); sys.exit(1)")
    workshop.only(CHANGE)
    with workshop.open():
        rollback = run(ask(incident, commander))
    changed = step(rollback, "change")
    assert (rollback.state, changed.state, changed.exit_code) == ("needs_attention", "failed", 0)
    assert "its read-back says no: still 2.0.0" in changed.note
    assert workshop.probed == ["release_is_back"] * 3, "an effect may need a moment to show"
    assert workshop.ran.count("switch_version") == 1


def test_what_is_there_already_is_skipped_and_counts_as_switched(
    workshop: Workshop, incident: Incident, commander: Actor, shop: Service
) -> None:
    workshop.only({**CHANGE, "switches": True, "verify_before": "release_is_back"})
    with workshop.open():
        rollback = run(ask(incident, commander))
    assert (rollback.state, step(rollback, "change").state) == ("succeeded", "skipped")
    assert (workshop.ran, rollback.mutated_at) == (["health_check", "smoke_tests"], None)
    assert Release.objects.get(service=shop, state="live").version == "1.9.0"


def test_a_failure_may_be_passed_over_and_be_a_condition(
    workshop: Workshop, incident: Incident, commander: Actor
) -> None:
    """The performance procedure: only when the score stays bad does the switch follow."""
    quick = {"key": "quick", "command": "clear_caches", "on_failure": "continue"}
    workshop.only(quick, {**CHANGE, "only_if_failed": "quick"}, {**SECOND, "only_if_failed": "quick"})
    workshop.command("clear_caches", "sys.exit(1)")
    with workshop.open():
        rollback = run(ask(incident, commander))
    assert rollback.state == "succeeded"
    assert states(rollback) == ["succeeded", "failed", "succeeded", "succeeded", "succeeded"]
    assert step(rollback, "quick").tolerated


def test_without_the_failure_the_version_stays_and_the_ledger_too(
    workshop: Workshop, incident: Incident, commander: Actor, shop: Service
) -> None:
    quick = {"key": "quick", "command": "clear_caches", "on_failure": "continue"}
    workshop.only(quick, {**CHANGE, "switches": True, "only_if_failed": "quick"})
    with workshop.open():
        rollback = run(ask(incident, commander))
    assert (rollback.state, step(rollback, "change").state) == ("succeeded", "skipped")
    assert "without leaving 2.0.0" in rollback.outcome
    assert Release.objects.get(service=shop, state="live").version == "2.0.0"
    assert "switch_version" not in workshop.ran


def test_a_procedure_may_undo_what_it_did_the_last_step_first(
    workshop: Workshop, incident: Incident, commander: Actor, shop: Service
) -> None:
    workshop.only(
        {**CHANGE, "compensate_with": "backup_config"},
        {**SECOND, "compensate_with": "user_access_test"},
        {**CHANGE, "key": "third", "command": "restart_services", "on_failure": "compensate",
         "compensate_with": "clear_caches"},
    )  # fmt: skip
    workshop.command("restart_services", "sys.exit(1)")
    with workshop.open():
        rollback = run(ask(incident, commander))
    assert rollback.state == "failed"
    assert "all that was changed was put back" in rollback.outcome
    assert states(rollback) == ["succeeded", "compensated", "compensated", "compensated", "skipped"]
    assert workshop.ran[1:] == [
        "switch_version", "update_config", "restart_services", "clear_caches", "user_access_test", "backup_config",
    ]  # fmt: skip
    assert Release.objects.get(service=shop, state="live").version == "2.0.0"
    incident.refresh_from_db()
    assert incident.status == "investigating"


def test_what_cannot_be_undone_waits_for_a_person(
    workshop: Workshop, incident: Incident, commander: Actor
) -> None:
    workshop.only(CHANGE, {**SECOND, "on_failure": "compensate", "compensate_with": "user_access_test"})
    workshop.command("update_config", "sys.exit(1)")
    with workshop.open():
        rollback = run(ask(incident, commander))
    assert rollback.state == "needs_attention"
    assert "“Change” cannot be undone by itself" in rollback.attention
    assert step(rollback, "second").state == "compensated"


def test_an_undoing_that_fails_waits_for_a_person_and_is_not_repeated(
    workshop: Workshop, incident: Incident, commander: Actor
) -> None:
    workshop.only(
        {**CHANGE, "on_failure": "compensate", "compensate_with": "backup_config", "repeatable": True}
    )
    workshop.command("switch_version", "sys.exit(1)")
    workshop.command("backup_config", "sys.exit(1)")
    with workshop.open():
        rollback = run(ask(incident, commander))
    assert (rollback.state, step(rollback, "change").state) == ("needs_attention", "failed")
    assert workshop.ran.count("backup_config") == 1


def test_a_target_that_vanishes_between_check_and_switch_changes_nothing(
    workshop: Workshop, incident: Incident, commander: Actor, shop: Service
) -> None:
    """The target was there at the check; the same command says no right before the switch."""
    count = f"open({str(workshop.ledger)!r}).read().count('verify_rollback_target')"
    workshop.command("verify_rollback_target", f"print('no such artifact'); sys.exit({count} > 1)")
    with workshop.open():
        rollback = run(ask(incident, commander))
    assert (rollback.state, rollback.mutated_at) == ("failed", None)
    assert "the target is not there any more: no such artifact" in rollback.outcome
    assert "switch_version" not in workshop.ran


def test_a_target_quarantined_between_check_and_switch_changes_nothing(
    workshop: Workshop, incident: Incident, commander: Actor, shop: Service
) -> None:
    workshop.step("verify_target", kind="confirm", command=None, question="Is it there?", repeatable=None)
    step_ = next(s for s in workshop.procedure["validate"] if s["key"] == "verify_target")
    for field in ("command", "repeatable", "safe_in_drill"):
        step_.pop(field)
    with workshop.open():
        rollback = ask(incident, commander)
        run_due(now=utcnow())
        assert step(rollback, "verify_target").state == "waiting"
        with connection.cursor() as cursor:
            cursor.execute("UPDATE incidents_release SET state = 'quarantined' WHERE version = '1.9.0'")
        rollback.steps.filter(key="verify_target").update(state="succeeded")
        Rollback.objects.filter(pk=rollback.pk).update(due_at=utcnow())
        rollback = run(rollback)
    assert (rollback.state, rollback.mutated_at) == ("failed", None)
    assert "the target is not there any more" in rollback.outcome
    assert "switch_version" not in workshop.ran


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"verify_after": None}, "needs `verify_after`"),
        ({"attempts": 2}, "more than one attempt needs `repeatable: true`"),
        ({"safe_in_drill": True}, "never safe in a drill"),
        ({"verify_after": "no_such_command"}, "no command no_such_command"),
        ({"only_if_failed": "nothing"}, "no earlier step nothing"),
        ({"attempts": 0, "repeatable": True}, "greater than or equal to 1"),
        ({"backoff": "soon"}, "a duration"),
        ({"kind": "teleport"}, "its kind must be one of: command, http, assert, confirm, soak, wait"),
    ],
)
def test_a_wrong_step_is_named_by_file_and_field(
    workshop: Workshop, fields: dict[str, object], said: str
) -> None:
    workshop.only({name: value for name, value in {**CHANGE, **fields}.items() if value is not None})
    with pytest.raises(PlaybookError) as refused:
        load(workshop.write())
    assert said in str(refused.value)
    assert "storefront_rollback.yaml" in str(refused.value)


@pytest.mark.parametrize(
    ("top", "said"),
    [
        ({"returns": "database"}, "a database is returned by `people: 2`"),
        ({"returns": "database", "people": 2}, "`automatic: false`"),
        ({"target_check": "no_such_command"}, "no command no_such_command"),
    ],
)
def test_a_wrong_procedure_is_named(workshop: Workshop, top: dict[str, object], said: str) -> None:
    workshop.procedure |= top
    with pytest.raises(PlaybookError, match=said):
        load(workshop.write())
