"""A single critical measurement: confirmed by those after it before anything is changed, or not."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Sequence
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from hypothesis import given
from hypothesis import strategies as st

from comms.rules.routing import is_stale
from core.actors import SYSTEM, Actor
from core.clock import utcnow
from core.models import Event
from core.outbox import deliver_pending
from incidents.facts import Reading
from incidents.models import Incident, Monitor, Sample, Service
from incidents.services.measuring import observe
from incidents.services.monitors import create_monitor, remove_monitor
from incidents.states import MonitorLevel, SampleOutcome
from rollbacks.executor import run_due
from rollbacks.facts import Breach
from rollbacks.models import Decision, Rollback
from rollbacks.rules.confirmation import Answer, judge_breach, seconds_to_confirm
from rollbacks.selectors.breaches import confirming_text
from rollbacks.selectors.decisions import situation_of
from rollbacks.services.decisions import consider_automatic_rollback, reconsider_unconfirmed
from rollbacks.services.editing import edit_rollback
from tests.rollbacks.workshop import Workshop, run, states

OK, WARNING, CRITICAL = MonitorLevel.OK, MonitorLevel.WARNING, MonitorLevel.CRITICAL
LEVELS = st.lists(st.sampled_from([OK, WARNING, MonitorLevel.HIGH, CRITICAL]), max_size=8)
SOURCE = {"type": "http_json", "url": "http://127.0.0.1:9/m.json", "path": "x"}
BAD, GOOD = 0.4, 0.001


# --- the rule --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("levels", "answer", "critical"),
    [
        ([], Answer.OPEN, 0),
        ([CRITICAL], Answer.OPEN, 1),
        ([CRITICAL, CRITICAL], Answer.CONFIRMED, 2),
        ([CRITICAL, OK], Answer.OPEN, 1),
        ([CRITICAL, OK, CRITICAL], Answer.CONFIRMED, 2),
        ([CRITICAL, OK, OK], Answer.REFUTED, 1),
        ([CRITICAL, WARNING, MonitorLevel.HIGH], Answer.REFUTED, 1),
        ([OK, OK], Answer.REFUTED, 0),
        ([CRITICAL, OK, OK, CRITICAL, CRITICAL], Answer.REFUTED, 1),  # what comes later does not count
    ],
)
def test_two_of_three(levels: Sequence[MonitorLevel], answer: Answer, critical: int) -> None:
    judged = judge_breach(levels, needed=2, of=3)
    assert (judged.answer, judged.critical) == (answer, critical)


@given(LEVELS, LEVELS, st.integers(1, 5), st.integers(0, 5))
def test_an_answer_once_given_stands(
    before: list[MonitorLevel], later: list[MonitorLevel], needed: int, more: int
) -> None:
    of = needed + more
    first = judge_breach(before, needed=needed, of=of)
    second = judge_breach([*before, *later], needed=needed, of=of)
    if first.answer is not Answer.OPEN:
        assert second.answer is first.answer
    if len(before) >= of:
        assert first.answer is not Answer.OPEN, "enough was measured to know"
    assert (first.answer is Answer.CONFIRMED) is (first.critical >= needed)


@given(LEVELS, st.randoms())
def test_the_order_within_the_three_says_nothing(levels: list[MonitorLevel], random: Any) -> None:
    shuffled = levels[:3]
    random.shuffle(shuffled)
    assert judge_breach(levels, needed=2, of=3) == judge_breach(shuffled, needed=2, of=3)


def test_a_push_source_gets_the_time_that_two_more_need() -> None:
    assert seconds_to_confirm(30, interval_seconds=60, pushed=False) == 30
    assert seconds_to_confirm(30, interval_seconds=60, pushed=True) == 130
    assert seconds_to_confirm(30, interval_seconds=5, pushed=True) == 30


# --- with the database -----------------------------------------------------------------------------


@pytest.fixture
def monitor(shop: Service, now: dt.datetime) -> Monitor:
    return create_monitor(
        actor=SYSTEM, now=now, service="shop", metric="error_rate", interval_seconds=60, source=SOURCE
    )


def measure(monitor: Monitor, *values: float, at: dt.datetime | None = None, step: float = 0.01) -> None:
    at = at or utcnow()
    for number, value in enumerate(values):
        reading = Reading(SampleOutcome.OK, value)
        observe(monitor_id=monitor.pk, reading=reading, now=at + dt.timedelta(seconds=number * step))


def start(monitor: Monitor, *values: float) -> Rollback:
    """Measure, and let events be delivered: the rollback that automation starts."""
    measure(monitor, *values)
    deliver_pending(now=utcnow())
    return Rollback.objects.get()


def look(rollback: Rollback) -> Rollback:
    run_due(now=utcnow())
    rollback.refresh_from_db()
    return rollback


@pytest.mark.django_db(transaction=True)
def test_nothing_is_changed_before_two_of_three_are_critical(workshop: Workshop, monitor: Monitor) -> None:
    workshop.steps(verify=[{"key": "after", "command": "smoke_tests"}])  # no soak: nothing measures it here
    with workshop.open():
        rollback = start(monitor, BAD)
        assert (rollback.breach_check, rollback.monitor) == ("waiting", monitor.pk)
        assert rollback.breach_check_until is not None
        assert 29 < (rollback.breach_check_until - rollback.requested_at).total_seconds() < 31
        look(rollback)
        # The validation ran meanwhile, and no worker is held: the row waits for its next look.
        assert states(rollback)[:3] == ["succeeded"] * 3
        assert (rollback.state, rollback.mutated_at, rollback.lease_until) == ("validating", None, None)
        assert confirming_text(rollback) == "Confirming: 1 of 2 critical measurements"
        assert "switch_version" not in workshop.ran
        measure(monitor, GOOD, BAD)
        rollback = run(rollback)
    assert (rollback.state, rollback.breach_check) == ("succeeded", "confirmed")
    assert confirming_text(rollback) == ""
    kinds = list(
        Event.objects.filter(kind__startswith="rollback.").order_by("pk").values_list("kind", flat=True)
    )
    confirmed, executing = kinds.index("rollback.breach_confirmed"), kinds.index("rollback.phase_entered")
    assert confirmed < executing, "confirmed before the phase that changes things"
    said = Event.objects.get(kind="rollback.breach_confirmed").summary
    assert said.endswith("confirmed: 2 of 3 measurements are critical")
    assert [decision.verdict for decision in Decision.objects.all()] == ["started"]


@pytest.mark.django_db(transaction=True)
def test_a_refuted_breach_ends_it_with_nothing_changed(
    workshop: Workshop, monitor: Monitor, shop: Service
) -> None:
    with workshop.open():
        rollback = look(start(monitor, BAD))
        measure(monitor, GOOD, GOOD)
        rollback = run(rollback)
        assert workshop.ran == ["health_check", "backup_config", "verify_rollback_target"]
    assert (rollback.state, rollback.breach_check, rollback.mutated_at) == ("cancelled", "refuted", None)
    said = (
        "not confirmed: 1 of 3 measurements of error rate was critical, and 2 of 3 are asked for;"
        " nothing was changed"
    )
    assert rollback.outcome == said
    event = Event.objects.get(kind="rollback.not_confirmed")
    assert event.summary == f"{rollback.ref}: {said}"
    incident = Incident.objects.get()
    assert (incident.status, incident.holds.exists()) == ("investigating", False), "the incident stays"
    decision = Decision.objects.first()
    assert decision is not None
    assert (decision.verdict, decision.rollback, decision.monitor) == ("refused", rollback, monitor.pk)
    assert [reason["code"] for reason in decision.reasons] == ["not_confirmed"]
    assert (decision.evidence["critical"], decision.evidence["measured"]) == (1, 3)
    # It has changed nothing, so it says nothing about the release, and takes nothing from the budgets.
    situation = situation_of(shop, metric="error_rate", now=utcnow())
    assert (situation.tried_before, situation.last_rollback, situation.started_today) == (False, None, 0)
    assert situation.started_lately == 1, "but it was a start"
    # People were told that it begins, so they are told that it does not go on.
    assert not is_stale(
        "attention_page", incident_open=True, acknowledged=False, rollback_state=rollback.state
    )


@pytest.mark.django_db(transaction=True)
def test_a_breach_that_goes_on_after_all_is_decided_again(workshop: Workshop, monitor: Monitor) -> None:
    """The monitor is critical all the while, so no event asks again."""
    with workshop.open():
        rollback = look(start(monitor, BAD))
        measure(monitor, GOOD, GOOD)
        rollback = run(rollback)
        assert rollback.breach_check == "refuted"
        assert reconsider_unconfirmed(now=utcnow()) == 0
        measure(monitor, BAD)
        assert reconsider_unconfirmed(now=utcnow()) == 0, "one is not enough"
        measure(monitor, BAD)
        found: list[int] = []
        twice = [threading.Thread(target=_sweep, args=(found,)) for _time in range(2)]
        for thread in twice:
            thread.start()
        for thread in twice:
            thread.join()
        assert sorted(found) == [0, 1], "two sweeps at once decide once"
        again = Rollback.objects.exclude(pk=rollback.pk).get()
        assert (again.state, again.breach_check, again.monitor) == ("approved", "", monitor.pk)
        assert again.reason == "error rate is critical again: 2 of 2 measurements"
        assert reconsider_unconfirmed(now=utcnow()) == 0
    assert not Event.objects.filter(kind="monitor.level_changed", data__worse=False).exists()


def _sweep(found: list[int]) -> None:
    found.append(reconsider_unconfirmed(now=utcnow()))
    connection.close()


@pytest.mark.django_db(transaction=True)
def test_without_measurements_in_time_nothing_is_changed(workshop: Workshop, monitor: Monitor) -> None:
    with workshop.open():
        rollback = look(start(monitor, BAD))
        for outcome in (SampleOutcome.ERROR, SampleOutcome.NO_DATA):  # neither says how the service is
            Sample.objects.create(monitor=monitor, at=utcnow(), outcome=outcome, level=OK)
        look(rollback)
        assert rollback.state == "validating"
        Rollback.objects.filter(pk=rollback.pk).update(breach_check_until=utcnow(), due_at=utcnow())
        rollback = run(rollback)
    assert (rollback.state, rollback.breach_check) == ("cancelled", "timed_out")
    assert rollback.outcome.startswith(
        "not confirmed in time: 1 of 1 measurements of error rate was critical"
    )


@pytest.mark.django_db(transaction=True)
def test_a_monitor_that_is_removed_meanwhile_confirms_nothing(
    workshop: Workshop, monitor: Monitor, commander: Actor
) -> None:
    with workshop.open():
        rollback = look(start(monitor, BAD))
        remove_monitor(monitor_id=monitor.pk, actor=commander, now=utcnow())
        Monitor.with_removed.filter(pk=monitor.pk).delete()
        Rollback.objects.filter(pk=rollback.pk).update(breach_check_until=utcnow(), due_at=utcnow())
        rollback = run(rollback)
    assert (rollback.state, rollback.mutated_at) == ("cancelled", None)
    assert "of error rate were critical" in rollback.outcome


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("measured", "more", "check"),
    [
        ([BAD], {}, "waiting"),
        ([BAD], {"catastrophic": True}, ""),  # a value so far off needs no second one
        ([BAD, BAD], {}, ""),  # confirmed before it was asked
        ([BAD, GOOD, BAD], {}, ""),
        ([GOOD, BAD], {}, "waiting"),
        ([], {}, "waiting"),
        ([0.03], {"level": "high"}, ""),
        ([BAD], {"monitor": None}, ""),  # no monitor measured it alone
    ],
)
def test_what_is_asked_for_confirmation(
    incident: Incident,
    monitor: Monitor,
    now: dt.datetime,
    measured: list[float],
    more: dict[str, Any],
    check: str,
) -> None:
    for number, value in enumerate(measured):
        level = CRITICAL if value == BAD else OK
        at = now - dt.timedelta(seconds=len(measured) - number)
        Sample.objects.create(monitor=monitor, at=at, outcome=SampleOutcome.OK, value=value, level=level)
    decision = consider(incident, now, **{"monitor": monitor.pk, "at": now, **more})
    assert decision.rollback is not None
    assert (decision.verdict, decision.rollback.breach_check) == ("started", check)


@pytest.mark.django_db
def test_three_warnings_that_are_critical_together_are_no_single_measurement(
    incident: Incident, monitor: Monitor, now: dt.datetime
) -> None:
    Sample.objects.create(monitor=monitor, at=now, outcome=SampleOutcome.OK, value=0.02, level=WARNING)
    decision = consider(incident, now, monitor=monitor.pk, at=now)
    assert decision.rollback is not None
    assert (decision.verdict, decision.rollback.breach_check) == ("started", "")


@pytest.mark.django_db
def test_a_push_monitor_has_two_of_its_intervals_and_ten_seconds(
    incident: Incident, shop: Service, now: dt.datetime
) -> None:
    pushed = Monitor.objects.create(
        service=shop, metric="error_rate", source={"type": "push"}, interval_seconds=300, created_at=now
    )
    rollback = consider(incident, now, monitor=pushed.pk, at=now).rollback
    assert rollback is not None
    assert rollback.breach_check_until == now + dt.timedelta(seconds=610)


@pytest.mark.django_db
def test_what_a_person_has_edited_is_theirs_and_waits_for_no_measurement(
    incident: Incident, monitor: Monitor, commander: Actor, shop: Service, now: dt.datetime
) -> None:
    rollback = consider(incident, now, monitor=monitor.pk, at=now).rollback
    assert rollback is not None
    shop.releases.create(
        version="1.8.0", state="good", deployed_at=now - dt.timedelta(days=9), recorded_at=now, good_at=now
    )
    edited = edit_rollback(
        rollback_id=rollback.pk, changes={"target_version": "1.8.0"}, actor=commander, now=now
    )
    assert (edited.breach_check, edited.breach_check_until) == ("", None)


@pytest.mark.django_db
def test_the_database_refuses_a_change_before_the_confirmation(
    incident: Incident, monitor: Monitor, now: dt.datetime
) -> None:
    rollback = consider(incident, now, monitor=monitor.pk, at=now).rollback
    assert rollback is not None
    with pytest.raises(IntegrityError, match="nothing_changes_before"), transaction.atomic():
        Rollback.objects.filter(pk=rollback.pk).update(mutated_at=now)
    Rollback.objects.filter(pk=rollback.pk).update(breach_check="confirmed")
    Rollback.objects.filter(pk=rollback.pk).update(mutated_at=now)


def consider(incident: Incident, now: dt.datetime, **more: Any) -> Decision:
    """Automation decides about the shop, whose error rate is critical."""
    said: dict[str, Any] = {
        "metric": "error_rate",
        "level": "critical",
        "effect": "automatic",
        "policy": "rollback_triggers",
        "cause": "Shop: error rate is critical",
    }
    decision = consider_automatic_rollback(
        incident_ref=incident.ref, service="shop", breach=Breach(**{**said, **more}), now=now
    )
    assert decision is not None
    return decision
