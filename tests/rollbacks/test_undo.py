"""The way back and another target: one transaction, another person, never a gap in the service's lock."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from django.db import connection, transaction

from core.actors import SYSTEM, Actor, ActorKind
from core.assurance import ReauthenticationRequired
from core.clock import utcnow
from core.errors import Conflict, FirebreakError, Invalid, NotAllowed, NotFound
from core.models import Event
from core.outbox import deliver_pending
from incidents.models import Incident, Release, Service
from incidents.services.incidents import IncidentHeld, resolve_incident
from incidents.services.people import assign_role
from incidents.services.services import quarantine_release, record_release, switch_back
from rollbacks.models import Rollback
from rollbacks.rules.admission import Limits, refusals
from rollbacks.selectors.decisions import situation_of
from rollbacks.selectors.targets import why_not_target
from rollbacks.selectors.undo import ledger_around, other_targets
from rollbacks.services.endings import ask_for_a_person, end_rollback
from rollbacks.services.requests import (
    ApprovalRefused,
    RollbackUnderWay,
    TargetUnverified,
    approve_rollback,
    request_rollback,
)
from rollbacks.services.undo import NothingToUndo, hand_over, undo_rollback
from rollbacks.states import LIVE_STATES, RollbackState, StepState
from rollbacks.transitions import move_rollback, move_step
from tests.rollbacks.workshop import Workshop, ask, run

pytestmark = pytest.mark.django_db
MakeActor = Callable[..., Actor]


@pytest.fixture
def rollback(incident: Incident, commander: Actor, now: dt.datetime) -> Rollback:
    """2.0.0 → 1.9.0, approved."""
    return request_rollback(
        incident_id=incident.pk, service="shop", reason="errors", actor=commander, now=now
    )


@pytest.fixture
def stuck(rollback: Rollback, now: dt.datetime) -> Rollback:
    """1.9.0 is live, and the first check of it failed: a person must decide."""
    return fail_verification(rollback, now)


@pytest.fixture
def older(shop: Service, now: dt.datetime) -> Release:
    return shop.releases.create(
        version="1.8.0",
        state="good",
        deployed_at=now - dt.timedelta(days=9),
        recorded_at=now - dt.timedelta(days=9),
        good_at=now - dt.timedelta(days=8),
    )


@pytest.fixture
def second(incident: Incident, make_actor: MakeActor, commander: Actor, now: dt.datetime) -> Actor:
    """Tom, technical lead of the incident."""
    tom = make_actor("tom", "responder", "technical_lead")
    assign_role(incident_id=incident.pk, role="technical_lead", username="tom", actor=tom, now=now)
    return tom


@transaction.atomic
def fail_verification(rollback: Rollback, now: dt.datetime, *, noted: bool = True) -> Rollback:
    """As the executor leaves it; without `noted` the ledger has not heard of the switch."""
    for state in (RollbackState.VALIDATING, RollbackState.EXECUTING, RollbackState.VERIFYING):
        move_rollback(rollback, state, started_at=now, mutated_at=now)
    for step in rollback.steps.all():
        fails = step.phase == "verify"
        end = StepState.FAILED if fails else StepState.SUCCEEDED
        for step_state in (StepState.STARTING, StepState.RUNNING, end):
            move_step(step, step_state)
        if fails:
            break
    if noted:
        _switch(rollback, now)
    ask_for_a_person(rollback, "smoke tests failed", actor=SYSTEM, now=now)
    return rollback


def _switch(rollback: Rollback, now: dt.datetime) -> None:
    switch_back(
        service_id=rollback.service_id,
        from_version=rollback.from_version,
        to_version=rollback.target_version,
        rollback_ref=rollback.ref,
        actor=SYSTEM,
        now=now,
    )


def _succeed(rollback: Rollback, now: dt.datetime) -> Rollback:
    for state in (RollbackState.VALIDATING, RollbackState.EXECUTING, RollbackState.VERIFYING):
        move_rollback(rollback, state, started_at=now, mutated_at=now)
    _switch(rollback, now)
    end_rollback(rollback, RollbackState.SUCCEEDED, "well", actor=SYSTEM, now=now)
    return rollback


def _undo(rollback: Rollback, actor: Actor, now: dt.datetime) -> Rollback:
    return undo_rollback(rollback_id=rollback.pk, reason="1.9.0 is worse", actor=actor, now=now)


def _hand_over(rollback: Rollback, actor: Actor, now: dt.datetime, target: str = "1.8.0") -> Rollback:
    return hand_over(rollback_id=rollback.pk, target_version=target, reason="further", actor=actor, now=now)


def test_undo_hands_over_to_a_child_that_awaits_another_person(
    stuck: Rollback, incident: Incident, commander: Actor, second: Actor, now: dt.datetime
) -> None:
    child = _undo(stuck, commander, now)
    stuck.refresh_from_db()
    assert (stuck.state, stuck.completed_at) == ("handed_over", now)
    assert child.ref in stuck.outcome
    assert (child.parent, child.state, child.people) == (stuck, "awaiting_approval", 2)
    assert (child.from_version, child.target_version, child.trigger) == ("1.9.0", "2.0.0", "manual")
    assert child.steps.count() == 13
    assert child.steps.get(switches=True).key == "switch_version"
    kinds = list(Event.objects.filter(stream=incident.stream).order_by("seq").values_list("kind", flat=True))
    assert kinds[-2:] == ["rollback.handed_over", "rollback.requested"]
    with pytest.raises(ApprovalRefused, match="own request"):
        approve_rollback(rollback_id=child.pk, actor=commander, now=now)
    assert approve_rollback(rollback_id=child.pk, actor=second, now=now).state == "approved"
    assert why_not_target(child) == "", "2.0.0 is not good, but two persons want it"


def test_the_incident_is_held_by_the_child_from_the_same_moment(
    stuck: Rollback, incident: Incident, commander: Actor, now: dt.datetime
) -> None:
    child = _undo(stuck, commander, now)
    assert list(incident.holds.values_list("reference", flat=True)) == [child.ref]
    with pytest.raises(IncidentHeld, match=child.ref):
        resolve_incident(incident_id=incident.pk, resolution="gone", actor=commander, now=now)


def test_what_succeeded_is_undone_by_a_child_and_stays_succeeded(
    rollback: Rollback, commander: Actor, now: dt.datetime
) -> None:
    child = _undo(_succeed(rollback, now), commander, now)
    rollback.refresh_from_db()
    assert (rollback.state, child.state, child.target_version) == ("succeeded", "awaiting_approval", "2.0.0")
    with pytest.raises(RollbackUnderWay, match=child.ref):
        _undo(rollback, commander, now)


def test_a_switch_that_succeeded_is_noted_before_it_is_undone(
    rollback: Rollback, shop: Service, commander: Actor, now: dt.datetime
) -> None:
    fail_verification(rollback, now, noted=False)
    child = _undo(rollback, commander, now)
    assert (child.from_version, child.target_version) == ("1.9.0", "2.0.0")
    assert Release.objects.get(service=shop, state="live").version == "1.9.0"


@pytest.mark.parametrize(
    ("end", "said"),
    [
        (StepState.FAILED, "“Switch to previous version” did not succeed: mark it done"),
        (StepState.UNKNOWN, "“Switch to previous version” did not succeed: mark it done"),
        (None, "Nothing was switched: abort instead"),
    ],
)
def test_what_never_switched_is_aborted_not_undone(
    rollback: Rollback, commander: Actor, now: dt.datetime, end: StepState | None, said: str
) -> None:
    for state in (RollbackState.VALIDATING, RollbackState.EXECUTING):
        move_rollback(rollback, state, started_at=now, mutated_at=now)
    if end is not None:
        switch = rollback.steps.get(switches=True)
        for step_state in (StepState.STARTING, StepState.RUNNING, end):
            move_step(switch, step_state)
    ask_for_a_person(rollback, "it stopped", actor=SYSTEM, now=now)
    with pytest.raises(NothingToUndo, match=said):
        _undo(rollback, commander, now)
    rollback.refresh_from_db()
    assert rollback.state == "needs_attention"


@pytest.mark.parametrize(
    "state", ["awaiting_approval", "executing", "resolved_by_hand", "cancelled", "handed_over"]
)
def test_only_what_waits_or_succeeded_is_undone(
    rollback: Rollback, commander: Actor, now: dt.datetime, state: str
) -> None:
    Rollback.objects.filter(pk=rollback.pk).update(state=state)
    with pytest.raises(NothingToUndo, match="nothing to undo"):
        _undo(rollback, commander, now)


def test_a_quarantined_version_is_not_returned_to_and_neither_is_one_of_another_schema(
    stuck: Rollback, shop: Service, commander: Actor, now: dt.datetime
) -> None:
    quarantine_release(service_id=shop.pk, version="2.0.0", reason="leaks", actor=commander, now=now)
    with pytest.raises(NothingToUndo, match=r"2\.0\.0 may not be returned to: quarantined since .* leaks"):
        _undo(stuck, commander, now)
    Release.objects.filter(version="2.0.0").update(quarantined_at=None, schema_version="13")
    Release.objects.filter(version="1.9.0").update(schema_version="12")
    with pytest.raises(NothingToUndo, match="schema 12"):
        _undo(stuck, commander, now)


def test_its_target_is_judged_again_when_it_runs(
    stuck: Rollback, shop: Service, commander: Actor, now: dt.datetime
) -> None:
    child = _undo(stuck, commander, now)
    quarantine_release(service_id=shop.pk, version="2.0.0", reason="leaks", actor=commander, now=now)
    assert why_not_target(child).startswith("2.0.0 may not be returned to: quarantined")
    Release.objects.filter(version="2.0.0").delete()
    assert why_not_target(child) == "2.0.0 may not be returned to: it is not recorded"


def test_what_was_deployed_since_is_not_undone_away(
    rollback: Rollback, shop: Service, commander: Actor, now: dt.datetime
) -> None:
    _succeed(rollback, now)
    record_release(service_id=shop.pk, version="2.1.0", actor=SYSTEM, now=now)
    with pytest.raises(NothingToUndo, match=r"2\.1\.0 is live by now"):
        _undo(rollback, commander, now)


def test_a_configuration_has_no_version_to_go_back_to(
    stuck: Rollback, older: Release, commander: Actor, now: dt.datetime
) -> None:
    Rollback.objects.filter(pk=stuck.pk).update(returns="configuration")
    with pytest.raises(NothingToUndo, match="returned the configuration"):
        _undo(stuck, commander, now)
    with pytest.raises(Conflict, match="returned the configuration"):
        _hand_over(stuck, commander, now)


def test_a_resolved_incident_is_reopened_first(
    rollback: Rollback, incident: Incident, commander: Actor, now: dt.datetime
) -> None:
    _succeed(rollback, now)
    resolve_incident(incident_id=incident.pk, resolution="well", actor=commander, now=now)
    with pytest.raises(Conflict, match="reopen it first"):
        _undo(rollback, commander, now)


def test_another_target_takes_over(
    stuck: Rollback, older: Release, shop: Service, commander: Actor, now: dt.datetime
) -> None:
    child = _hand_over(stuck, commander, now)
    stuck.refresh_from_db()
    assert (stuck.state, child.parent, child.state) == ("handed_over", stuck, "awaiting_approval")
    assert (child.from_version, child.target_version, child.people) == ("1.9.0", "1.8.0", 2)
    assert why_not_target(child) == ""
    quarantine_release(service_id=shop.pk, version="1.8.0", reason="leaks", actor=commander, now=now)
    assert "no longer a verified good release" in why_not_target(child), (
        "only undo may go to what is not good"
    )


def test_before_the_switch_another_target_takes_over_from_the_version_that_is_still_live(
    rollback: Rollback, older: Release, commander: Actor, now: dt.datetime
) -> None:
    for state in (RollbackState.VALIDATING, RollbackState.EXECUTING):
        move_rollback(rollback, state, started_at=now, mutated_at=now)
    ask_for_a_person(rollback, "the switch failed", actor=SYSTEM, now=now)
    assert [judged.version for judged in other_targets(rollback, ledger_around(rollback))] == ["1.8.0"]
    child = _hand_over(rollback, commander, now)
    assert (child.from_version, child.target_version) == ("2.0.0", "1.8.0")


def test_another_target_must_be_another_and_verified(
    stuck: Rollback, older: Release, commander: Actor, now: dt.datetime
) -> None:
    with pytest.raises(Invalid) as wrong:
        _hand_over(stuck, commander, now, "1.9.0")
    assert wrong.value.fields == {"target_version": f"1.9.0 is where {stuck.ref} goes already."}
    with pytest.raises(TargetUnverified, match="left by a rollback"):
        _hand_over(stuck, commander, now, "2.0.0")
    with pytest.raises(TargetUnverified, match="not recorded"):
        _hand_over(stuck, commander, now, "9.9.9")
    Rollback.objects.filter(pk=stuck.pk).update(state="executing")
    with pytest.raises(Conflict, match="nothing to hand over"):
        _hand_over(stuck, commander, now)


def test_after_two_that_followed_people_go_on_by_hand(
    stuck: Rollback, older: Release, commander: Actor, second: Actor, now: dt.datetime
) -> None:
    child = _undo(stuck, commander, now)
    fail_verification(approve_rollback(rollback_id=child.pk, actor=second, now=now), now)
    grandchild = _hand_over(child, commander, now)
    fail_verification(approve_rollback(rollback_id=grandchild.pk, actor=second, now=now), now)
    with pytest.raises(NothingToUndo, match="go on by hand"):
        _undo(grandchild, commander, now)
    with pytest.raises(Conflict, match="go on by hand"):
        _hand_over(grandchild, commander, now, "1.9.0")


@pytest.mark.parametrize("what", [_undo, _hand_over])
def test_a_person_with_the_role_asks_freshly_signed_in(
    stuck: Rollback,
    older: Release,
    commander: Actor,
    make_actor: MakeActor,
    now: dt.datetime,
    what: Callable[..., Rollback],
) -> None:
    token = Actor(ActorKind.TOKEN, "ci", commander.level, user_id=commander.user_id, token_id="x")
    refused: list[tuple[Actor, type[FirebreakError], str]] = [
        (replace(token, authenticated_at=now), NotAllowed, "Only a person"),
        (make_actor("vera", "viewer"), NotAllowed, "account level"),
        (make_actor("eve"), NotAllowed, "This is for"),
        (replace(commander, authenticated_at=None), ReauthenticationRequired, "."),
    ]
    for actor, error, said in refused:
        with pytest.raises(error, match=said):
            what(stuck, actor, now)
    Incident.objects.update(restricted=True)
    with pytest.raises(NotFound):
        what(stuck, make_actor("ann"), now)
    stuck.refresh_from_db()
    assert stuck.state == "needs_attention"


@pytest.mark.parametrize("reason", ["", "  "])
def test_a_reason_is_asked_for(stuck: Rollback, commander: Actor, now: dt.datetime, reason: str) -> None:
    with pytest.raises(Invalid):
        undo_rollback(rollback_id=stuck.pk, reason=reason, actor=commander, now=now)


def test_automation_leaves_alone_what_an_undo_reached(
    stuck: Rollback, shop: Service, commander: Actor, second: Actor, now: dt.datetime
) -> None:
    child = _undo(stuck, commander, now)
    approve_rollback(rollback_id=child.pk, actor=second, now=now)
    child.refresh_from_db()
    _succeed(child, now + dt.timedelta(seconds=1))
    situation = situation_of(shop, metric="error_rate", now=now)
    assert situation.live_version == "2.0.0"
    said = [reason.text for reason in refusals(situation, Limits(), now=now)]
    assert "2.0.0 was itself reached by a rollback; a person decides" in said


@pytest.mark.django_db(transaction=True)
def test_a_target_that_fails_is_quarantined_and_the_way_back_runs_like_any_rollback(
    workshop: Workshop, shop: Service, incident: Incident, commander: Actor, second: Actor
) -> None:
    workshop.command("smoke_tests", "sys.exit(sys.argv[1] == '1.9.0')")
    workshop.step("smoke_tests", attempts=1)
    with workshop.open():
        parent = run(ask(incident, commander))
        assert parent.state == "needs_attention"
        deliver_pending(now=utcnow())
        child = _undo(parent, commander, utcnow())
        approve_rollback(rollback_id=child.pk, actor=second, now=utcnow())
        child = run(child)
    assert (child.state, child.target_version) == ("succeeded", "2.0.0")
    ledger = {release.version: release for release in shop.releases.all()}
    assert ledger["2.0.0"].state == "live"
    assert (ledger["1.9.0"].state, ledger["1.9.0"].quarantined_at is None) == ("rolled_back", False)
    incident.refresh_from_db()
    assert incident.status == "monitoring"
    assert not incident.holds.exists()


@pytest.mark.faults
@pytest.mark.django_db(transaction=True)
def test_after_a_failure_between_switch_and_verification_the_ledger_follows_first(
    workshop: Workshop, shop: Service, incident: Incident, commander: Actor, second: Actor
) -> None:
    workshop.command("update_config", "sys.exit(sys.argv[1] == '1.9.0')")
    with workshop.open():
        parent = run(ask(incident, commander))
        assert (parent.state, shop.releases.get(state="live").version) == ("needs_attention", "2.0.0")
        child = _undo(parent, commander, utcnow())
        approve_rollback(rollback_id=child.pk, actor=second, now=utcnow())
        child = run(child)
    assert (child.state, child.from_version) == ("succeeded", "1.9.0")
    assert shop.releases.get(state="live").version == "2.0.0"


@pytest.mark.django_db(transaction=True)
def test_nobody_comes_between_parent_and_child(
    stuck: Rollback, older: Release, incident: Incident, commander: Actor, now: dt.datetime
) -> None:
    outcomes: list[str] = []
    start = threading.Barrier(12)

    def ask(what: Callable[[], Rollback]) -> None:
        start.wait()
        try:
            outcomes.append(what().ref)
        except (Conflict, RollbackUnderWay) as error:
            outcomes.append(error.code)
        except Exception as error:
            outcomes.append(repr(error))
        finally:
            connection.close()

    def fresh() -> Rollback:
        arguments: dict[str, Any] = {"incident_id": incident.pk, "service": "shop", "reason": "errors"}
        return request_rollback(**arguments, target_version="1.8.0", actor=commander, now=now)

    asks = [fresh, lambda: _undo(stuck, commander, now), lambda: _hand_over(stuck, commander, now)] * 4
    threads = [threading.Thread(target=ask, args=(what,)) for what in asks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    child = Rollback.objects.get(state__in=LIVE_STATES)
    assert child.parent_id == stuck.pk
    assert [outcome for outcome in outcomes if outcome.startswith("RB-")] == [child.ref]
    assert set(outcomes) <= {child.ref, "rollback_under_way", "nothing_to_undo", "conflict"}
    assert Rollback.objects.count() == 2
