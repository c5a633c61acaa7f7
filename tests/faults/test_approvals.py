"""Who must not let a rollback run, and what an approval stops being worth: nothing runs in any of it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import replace

import pytest
from django.db import connection

from core.actors import AUTOMATION, SYSTEM, Actor, ActorKind, Level
from core.clock import utcnow
from core.errors import FirebreakError, NotAllowed, NotFound
from incidents.models import Incident, Responder, RoleGrant
from incidents.services.people import assign_role
from rollbacks import policy
from rollbacks.models import Approval, Rollback
from rollbacks.services.recovery import flag_lost_rollbacks
from rollbacks.services.requests import approve_rollback
from tests.rollbacks.workshop import Workshop, ask, run

pytestmark = pytest.mark.django_db(transaction=True)
MakeActor = Callable[..., Actor]
Stranger = Callable[[Incident, MakeActor, Actor], Actor]


def _requester(incident: Incident, make_actor: MakeActor, rob: Actor) -> Actor:
    """Who asked, and has been given the role since."""
    assert rob.user_id is not None
    RoleGrant.objects.create(user_id=rob.user_id, role="incident_commander")
    Responder.objects.filter(incident=incident, role="incident_commander").delete()
    assign_role(incident_id=incident.pk, role="incident_commander", username="rob", actor=rob, now=utcnow())
    return rob


def _requesters_token(incident: Incident, make_actor: MakeActor, rob: Actor) -> Actor:
    return Actor(ActorKind.TOKEN, "rob (token)", Level.COMMANDER, user_id=rob.user_id, token_id="x")


def _commanders_token(incident: Incident, make_actor: MakeActor, rob: Actor) -> Actor:
    holder = Responder.objects.get(incident=incident, role="incident_commander")
    return Actor(ActorKind.TOKEN, "ida (token)", Level.ADMINISTRATOR, user_id=holder.user_id, token_id="x")


def _stranger(incident: Incident, make_actor: MakeActor, rob: Actor) -> Actor:
    return make_actor("eve", "commander")


def _administrator(incident: Incident, make_actor: MakeActor, rob: Actor) -> Actor:
    return make_actor("root", "administrator")


def _commander_of_another_incident(incident: Incident, make_actor: MakeActor, rob: Actor) -> Actor:
    """Granted the role, but not holding it here."""
    return make_actor("max", "commander", "incident_commander")


def _holder_without_a_grant(incident: Incident, make_actor: MakeActor, rob: Actor) -> Actor:
    RoleGrant.objects.filter(role="incident_commander").delete()
    holder = Responder.objects.get(incident=incident, role="incident_commander")
    return Actor(ActorKind.USER, "ida", Level.COMMANDER, user_id=holder.user_id, authenticated_at=utcnow())


def _viewer(incident: Incident, make_actor: MakeActor, rob: Actor) -> Actor:
    return make_actor("vic", "viewer")


def _nobody(incident: Incident, make_actor: MakeActor, rob: Actor) -> Actor:
    return make_actor("ned", "")


def _long_signed_in(incident: Incident, make_actor: MakeActor, rob: Actor) -> Actor:
    holder = Responder.objects.get(incident=incident, role="incident_commander")
    return Actor(
        ActorKind.USER,
        "ida",
        Level.COMMANDER,
        user_id=holder.user_id,
        authenticated_at=utcnow() - dt.timedelta(days=1),
    )


def _system(incident: Incident, make_actor: MakeActor, rob: Actor) -> Actor:
    return SYSTEM


def _automation(incident: Incident, make_actor: MakeActor, rob: Actor) -> Actor:
    return AUTOMATION


@pytest.mark.parametrize(
    "who",
    [
        _requester, _requesters_token, _commanders_token, _stranger, _administrator,
        _commander_of_another_incident, _holder_without_a_grant, _viewer, _nobody, _long_signed_in, _system,
        _automation,
    ],
    ids=lambda who: who.__name__.strip("_"),
)  # fmt: skip
def test_these_approve_nothing(
    who: Stranger, workshop: Workshop, incident: Incident, commander: Actor, make_actor: MakeActor
) -> None:
    with workshop.open():
        rob = make_actor("rob")
        rollback = ask(incident, rob)
        assert rollback.state == "awaiting_approval"
        with pytest.raises(FirebreakError) as refused:
            approve_rollback(rollback_id=rollback.pk, actor=who(incident, make_actor, rob), now=utcnow())
        assert isinstance(refused.value, NotAllowed | NotFound), refused.value
        _nothing_runs(workshop, rollback, "awaiting_approval")
    assert not Approval.objects.exists()


@pytest.mark.parametrize(
    ("what", "said"),
    [
        (
            "UPDATE rollbacks_rollback SET approval_expires_at = now() - interval '1 s'",
            "approval has expired",
        ),
        ("DELETE FROM incidents_rolegrant", "nobody who approved holds the role"),
        ("UPDATE incidents_responder SET until = now()", "nobody who approved holds the role"),
        ("UPDATE core_user SET is_active = false", "nobody who approved holds the role"),
        ("DELETE FROM rollbacks_approval", "decides"),
        ("UPDATE rollbacks_approval SET decision = 'rejected'", "decides"),
        ("UPDATE rollbacks_approval SET plan_digest = repeat('0', 64)", "approval is no longer valid"),
        ("UPDATE rollbacks_rollback SET plan_digest = repeat('0', 64)", "edited"),
    ],
)
def test_an_approval_that_is_worth_nothing_any_more(
    what: str, said: str, workshop: Workshop, incident: Incident, commander: Actor, make_actor: MakeActor
) -> None:
    """Too old, of somebody who lost the role or the account, taken back, or of another plan."""
    with workshop.open():
        rollback = ask(incident, make_actor("rob"))
        approve_rollback(rollback_id=rollback.pk, actor=commander, now=utcnow())
        with connection.cursor() as cursor:
            cursor.execute(what)
        _nothing_runs(workshop, rollback, "failed")
    assert said in rollback.outcome


def test_an_approval_is_of_the_plan_that_was_seen(
    workshop: Workshop, incident: Incident, commander: Actor, make_actor: MakeActor
) -> None:
    """Whoever edits the plan with all its digests made new still has no approval of that plan."""
    workshop.procedure["parameters"] = {"word": {"pattern": "^[a-z]+$", "default": "safe"}}
    with workshop.open():
        rollback = ask(incident, make_actor("rob"))
        approve_rollback(rollback_id=rollback.pk, actor=commander, now=utcnow())
        digest = policy.plan_digest(
            procedure_digest=rollback.procedure_digest,
            service="shop",
            target_version=rollback.target_version,
            parameters={"word": "other"},
        )
        Rollback.objects.filter(pk=rollback.pk).update(parameters={"word": "other"}, plan_digest=digest)
        _nothing_runs(workshop, rollback, "failed")
    assert "approval is no longer valid" in rollback.outcome


def test_a_request_that_expired_is_not_approved(
    workshop: Workshop, incident: Incident, commander: Actor, make_actor: MakeActor
) -> None:
    with workshop.open():
        rollback = ask(incident, make_actor("rob"))
        Rollback.objects.filter(pk=rollback.pk).update(approval_expires_at=utcnow() - dt.timedelta(seconds=1))
        flag_lost_rollbacks(now=utcnow())
        with pytest.raises(FirebreakError, match="expired"):
            approve_rollback(rollback_id=rollback.pk, actor=commander, now=utcnow())
        _nothing_runs(workshop, rollback, "expired")


@pytest.mark.faults
def test_the_same_person_decides_once(
    workshop: Workshop, incident: Incident, commander: Actor, make_actor: MakeActor
) -> None:
    with workshop.open():
        rollback = ask(incident, make_actor("rob"))
        approve_rollback(rollback_id=rollback.pk, actor=commander, now=utcnow())
        with pytest.raises(FirebreakError):
            approve_rollback(rollback_id=rollback.pk, actor=commander, now=utcnow())
        with pytest.raises(FirebreakError):
            approve_rollback(
                rollback_id=rollback.pk, actor=replace(commander, label="ida again"), now=utcnow()
            )
        assert run(rollback).state == "succeeded"
    assert Approval.objects.count() == 1


def _nothing_runs(workshop: Workshop, rollback: Rollback, state: str) -> None:
    if state != "awaiting_approval":  # that rests with a time: when it expires
        run(rollback)
    rollback.refresh_from_db()
    assert rollback.state == state
    assert workshop.ran == []
