"""The worker asks the rule of request and approval once more: what it may not begin changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from core.actors import Actor, ActorKind
from core.clock import utcnow
from incidents.models import Incident, Responder, RoleGrant, Service
from incidents.services.incidents import change_severity
from incidents.services.people import assign_role
from rollbacks.models import Rollback
from rollbacks.services.break_glass import break_glass
from rollbacks.services.editing import edit_rollback
from rollbacks.services.requests import approve_rollback
from tests.rollbacks.workshop import Workshop, ask, run

pytestmark = pytest.mark.django_db(transaction=True)
MakeActor = Callable[..., Actor]


@pytest.fixture
def lead(incident: Incident, commander: Actor, make_actor: MakeActor) -> Actor:
    """Tom is technical lead of the incident."""
    tom = make_actor("tom", "responder", "technical_lead")
    assign_role(incident_id=incident.pk, role="technical_lead", username="tom", actor=commander, now=utcnow())
    return tom


@pytest.fixture
def p1(incident: Incident, commander: Actor) -> Incident:
    """The technical lead decides it, approved by the commander or the engineering manager."""
    return change_severity(
        incident_id=incident.pk, severity="P1", reason="less bad", actor=commander, now=utcnow()
    )


def approve(rollback: Rollback, actor: Actor) -> Rollback:
    return approve_rollback(rollback_id=rollback.pk, actor=actor, now=utcnow())


def run_in_spite_of_the_state(rollback: Rollback) -> Rollback:
    """As if somebody had written `approved` beside Firebreak."""
    Rollback.objects.filter(pk=rollback.pk).update(state="approved", due_at=utcnow())
    return run(rollback)


def test_what_one_person_let_run_by_breaking_the_glass_runs(
    workshop: Workshop, p1: Incident, lead: Actor
) -> None:
    with workshop.open():
        rollback = ask(p1, lead)
        assert rollback.state == "awaiting_approval"
        break_glass(rollback_id=rollback.pk, reason="nobody else answers", actor=lead, now=utcnow())
        assert run(rollback).state == "succeeded"
    assert workshop.ran.count("switch_version") == 1


def test_who_broke_the_glass_must_still_hold_the_role(workshop: Workshop, p1: Incident, lead: Actor) -> None:
    with workshop.open():
        rollback = ask(p1, lead)
        break_glass(rollback_id=rollback.pk, reason="nobody else answers", actor=lead, now=utcnow())
        Responder.objects.filter(user=lead.user_id).update(until=utcnow())
        rollback = run(rollback)
    assert (rollback.state, workshop.ran) == ("failed", [])
    assert rollback.outcome.startswith("not started: nobody who approved holds the role any more")


@pytest.mark.faults
def test_who_edited_the_plan_and_may_decide_it_is_whose_authority_counts(
    workshop: Workshop, shop: Service, incident: Incident, commander: Actor, make_actor: MakeActor
) -> None:
    workshop.procedure["parameters"] = {"speed": {"pattern": "^[a-z]+$", "default": "slow"}}
    with workshop.open():
        rollback = ask(incident, make_actor("rob"))
        changes = {"parameters": {"speed": "fast"}}
        edit_rollback(rollback_id=rollback.pk, changes=changes, actor=commander, now=utcnow())
        assert run(rollback).state == "succeeded"


def test_an_edit_by_who_may_not_decide_takes_the_requesters_authority_away(
    workshop: Workshop, shop: Service, incident: Incident, commander: Actor, make_actor: MakeActor
) -> None:
    workshop.procedure["parameters"] = {"speed": {"pattern": "^[a-z]+$", "default": "slow"}}
    with workshop.open():
        rollback = ask(incident, commander)
        changes = {"parameters": {"speed": "fast"}}
        edited = edit_rollback(
            rollback_id=rollback.pk, changes=changes, actor=make_actor("rob"), now=utcnow()
        )
        assert edited.state == "awaiting_approval"
        rollback = run_in_spite_of_the_state(edited)
    assert (rollback.state, workshop.ran) == ("failed", [])


def test_one_of_three_who_lost_the_role_is_one_too_few(
    workshop: Workshop, incident: Incident, commander: Actor, lead: Actor, make_actor: MakeActor
) -> None:
    workshop.procedure["people"] = 3
    emma = make_actor("emma", "responder", "engineering_manager")
    with workshop.open():
        rollback = ask(incident, commander)
        for who in (lead, emma):
            rollback = approve(rollback, who)
        assert rollback.state == "approved"
        RoleGrant.objects.filter(user=emma.user_id).delete()
        rollback = run(rollback)
    assert (rollback.state, workshop.ran) == ("failed", [])
    assert rollback.outcome == "not started: 3 persons must stand behind it, and 2 do"


@pytest.mark.faults
def test_two_persons_who_still_stand_behind_it_let_it_run(
    workshop: Workshop, incident: Incident, commander: Actor, make_actor: MakeActor
) -> None:
    workshop.procedure["people"] = 2
    with workshop.open():
        rollback = ask(incident, commander)
        approve(rollback, make_actor("emma", "responder", "engineering_manager"))
        assert run(rollback).state == "succeeded"


def test_what_a_token_asked_for_never_runs_without_a_persons_approval(
    workshop: Workshop, incident: Incident, commander: Actor
) -> None:
    token = replace(commander, kind=ActorKind.TOKEN, label="ida (token ci)", token_id="x")
    with workshop.open():
        rollback = run_in_spite_of_the_state(ask(incident, token))
    assert (rollback.state, workshop.ran) == ("failed", [])
    assert rollback.outcome == "not started: requested by a token: a person decides"


def test_an_approval_that_an_edit_made_void_lets_nothing_run(
    workshop: Workshop, p1: Incident, lead: Actor, commander: Actor, make_actor: MakeActor
) -> None:
    """There and back again: the plan is the one that was approved, the approval is not."""
    workshop.procedure["parameters"] = {"speed": {"pattern": "^[a-z]+$", "default": "slow"}}
    rob = make_actor("rob")
    with workshop.open():
        rollback = approve(ask(p1, lead), commander)
        for speed in ("fast", "slow"):
            changes = {"parameters": {"speed": speed}}
            rollback = edit_rollback(rollback_id=rollback.pk, changes=changes, actor=rob, now=utcnow())
        rollback = run_in_spite_of_the_state(rollback)
    assert (rollback.state, workshop.ran) == ("failed", [])
    assert rollback.outcome == "not started: its approval is no longer valid"
