"""Asking for a rollback and deciding about it: one at a time, by whom the policy says."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction

from core.actors import AUTOMATION, Actor, ActorKind, Level
from core.errors import Conflict, FirebreakError, Invalid, NotAllowed
from core.models import Event
from incidents.models import Incident, RoleGrant, Service
from incidents.services.incidents import IncidentHeld, change_severity, resolve_incident
from incidents.services.people import assign_role
from incidents.services.services import record_release
from rollbacks.models import Rollback
from rollbacks.services.attention import abort_rollback
from rollbacks.services.recovery import flag_lost_rollbacks
from rollbacks.services.requests import (
    ApprovalRefused,
    RollbackUnderWay,
    TargetUnverified,
    approve_rollback,
    cancel_rollback,
    reject_rollback,
    request_rollback,
)

pytestmark = pytest.mark.django_db
MakeActor = Callable[..., Actor]


def _request(incident: Incident, actor: Actor, now: dt.datetime, **more: Any) -> Rollback:
    return request_rollback(
        incident_id=incident.pk,
        service="shop",
        reason="checkout fails",
        actor=actor,
        now=now,
        **more,
    )


def _kinds(incident: Incident) -> list[str]:
    return list(Event.objects.filter(stream=incident.stream).order_by("seq").values_list("kind", flat=True))


def test_the_commander_of_a_p0_decides_alone(incident: Incident, commander: Actor, now: dt.datetime) -> None:
    rollback = _request(incident, commander, now)
    assert (rollback.state, rollback.trigger) == ("approved", "manual")
    assert (rollback.from_version, rollback.target_version) == ("2.0.0", "1.9.0")
    assert [step.phase for step in rollback.steps.all()] == ["validate"] * 3 + ["execute"] * 6 + [
        "verify"
    ] * 4


def test_a_responder_without_the_role_asks_and_the_commander_approves(
    incident: Incident, commander: Actor, make_actor: MakeActor, now: dt.datetime
) -> None:
    rollback = _request(incident, make_actor("rob"), now)
    assert rollback.state == "awaiting_approval"
    assert approve_rollback(rollback_id=rollback.pk, actor=commander, now=now).state == "approved"


def test_a_p1_needs_a_second_person(
    incident: Incident, commander: Actor, make_actor: MakeActor, now: dt.datetime
) -> None:
    change_severity(incident_id=incident.pk, severity="P1", reason="less bad", actor=commander, now=now)
    lead = make_actor("tom", "responder", "technical_lead", "engineering_manager")
    assign_role(incident_id=incident.pk, role="technical_lead", username="tom", actor=lead, now=now)
    rollback = _request(incident, lead, now)
    assert rollback.state == "awaiting_approval"
    with pytest.raises(ApprovalRefused, match="own request"):
        approve_rollback(rollback_id=rollback.pk, actor=lead, now=now)
    with pytest.raises(ApprovalRefused, match="Approval is for"):
        approve_rollback(rollback_id=rollback.pk, actor=make_actor("eve"), now=now)
    approve_rollback(rollback_id=rollback.pk, actor=commander, now=now)
    assert rollback.approvals.get().role == "incident_commander"


def test_a_grant_taken_away_takes_the_authority_with_it(
    incident: Incident, commander: Actor, now: dt.datetime
) -> None:
    RoleGrant.objects.all().delete()
    assert _request(incident, commander, now).state == "awaiting_approval"


def test_a_tokens_request_awaits_a_person_and_a_token_never_approves(
    incident: Incident, commander: Actor, now: dt.datetime
) -> None:
    token = Actor(
        ActorKind.TOKEN,
        "ida (token ci)",
        Level.ADMINISTRATOR,
        user_id=commander.user_id,
        token_id="x",
    )
    rollback = _request(incident, token, now)
    assert rollback.state == "awaiting_approval"
    with pytest.raises(ApprovalRefused, match="Only a person"):
        approve_rollback(rollback_id=rollback.pk, actor=token, now=now)
    assert approve_rollback(rollback_id=rollback.pk, actor=commander, now=now).state == "approved"


def test_rejecting_frees_the_service_and_the_incident(
    incident: Incident, commander: Actor, make_actor: MakeActor, now: dt.datetime
) -> None:
    rollback = _request(incident, make_actor("rob"), now)
    with pytest.raises(IncidentHeld, match=rollback.ref):
        resolve_incident(incident_id=incident.pk, resolution="gone", actor=commander, now=now)
    reject_rollback(rollback_id=rollback.pk, reason="fix forward", actor=commander, now=now)
    resolve_incident(incident_id=incident.pk, resolution="fixed forward", actor=commander, now=now)
    assert "rollback.rejected" in _kinds(incident)


def test_nobody_approved_in_time(
    incident: Incident, make_actor: MakeActor, commander: Actor, now: dt.datetime
) -> None:
    rollback = _request(incident, make_actor("rob"), now - dt.timedelta(minutes=16))
    assert flag_lost_rollbacks(now=now) == 1
    rollback.refresh_from_db()
    assert rollback.state == "expired"
    with pytest.raises(FirebreakError):
        approve_rollback(rollback_id=rollback.pk, actor=commander, now=now)


def test_cancelling_before_it_runs_ends_it(incident: Incident, commander: Actor, now: dt.datetime) -> None:
    rollback = _request(incident, commander, now)
    cancel_rollback(rollback_id=rollback.pk, reason="wrong service", actor=commander, now=now)
    rollback.refresh_from_db()
    assert rollback.state == "cancelled"
    assert {step.state for step in rollback.steps.all()} == {"skipped"}
    with pytest.raises(Conflict):
        cancel_rollback(rollback_id=rollback.pk, reason="again", actor=commander, now=now)


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"target_version": "2.0.0"}, "target_version"),
        ({"procedure": "rm_rf"}, "procedure"),
        ({"parameters": {"command": "; rm -rf /"}}, "parameters/command"),
    ],
)
def test_a_wrong_request_names_the_field(
    incident: Incident, commander: Actor, now: dt.datetime, more: dict[str, object], field: str
) -> None:
    with pytest.raises(Invalid) as caught:
        _request(incident, commander, now, **more)
    assert field in caught.value.fields
    assert not Rollback.objects.exists()


@pytest.mark.parametrize("target", ["9.9.9", "--upload-pack=x", "1.9.0; reboot", "../1.9.0"])
def test_only_a_verified_good_release_is_a_target(
    incident: Incident, commander: Actor, now: dt.datetime, target: str
) -> None:
    with pytest.raises(TargetUnverified):
        _request(incident, commander, now, target_version=target)


def test_a_release_that_was_not_clean_long_enough_is_no_target(
    shop: Service, incident: Incident, commander: Actor, now: dt.datetime
) -> None:
    record_release(service_id=shop.pk, version="2.1.0", actor=commander, now=now)
    record_release(service_id=shop.pk, version="2.1.1", actor=commander, now=now + dt.timedelta(seconds=5))
    with pytest.raises(TargetUnverified, match="never clean for long enough"):
        _request(incident, commander, now, target_version="2.1.0")
    assert _request(incident, commander, now).target_version == "2.0.0"


def test_a_viewer_may_not_ask(incident: Incident, make_actor: MakeActor, now: dt.datetime) -> None:
    with pytest.raises(NotAllowed):
        _request(incident, make_actor("vera", "viewer"), now)


def test_automation_without_admission_awaits_approval(incident: Incident, now: dt.datetime) -> None:
    assert _request(incident, AUTOMATION, now).state == "awaiting_approval"


@pytest.mark.parametrize(
    "state",
    ["succeeded", "failed", "cancelled", "rejected", "expired", "resolved_by_hand", "handed_over"],
)
def test_the_database_refuses_to_leave_an_end(
    incident: Incident, commander: Actor, now: dt.datetime, state: str
) -> None:
    rollback = _request(incident, commander, now)
    Rollback.objects.filter(pk=rollback.pk).update(state=state)
    with pytest.raises(IntegrityError, match=r"cannot become|ended_rollback"), transaction.atomic():
        Rollback.objects.filter(pk=rollback.pk).update(state="approved")


def test_the_database_refuses_a_lower_fence(incident: Incident, commander: Actor, now: dt.datetime) -> None:
    rollback = _request(incident, commander, now)
    Rollback.objects.filter(pk=rollback.pk).update(fence=5)
    with pytest.raises(IntegrityError, match="fence"), transaction.atomic():
        Rollback.objects.filter(pk=rollback.pk).update(fence=4)


def test_nothing_to_decide_before_it_needs_attention(
    incident: Incident, commander: Actor, now: dt.datetime
) -> None:
    rollback = _request(incident, commander, now)
    with pytest.raises(Conflict, match="nothing to decide"):
        abort_rollback(rollback_id=rollback.pk, position=1, reason="x", actor=commander, now=now)


@pytest.mark.django_db(transaction=True)
def test_fifty_requests_at_once_give_one_rollback(
    incident: Incident, commander: Actor, now: dt.datetime
) -> None:
    outcomes: list[str] = []
    start = threading.Barrier(50)

    def ask() -> None:
        start.wait()
        try:
            outcomes.append(_request(incident, commander, now).ref)
        except RollbackUnderWay:
            outcomes.append("refused")
        except Exception as error:
            outcomes.append(repr(error))
        finally:
            connection.close()

    threads = [threading.Thread(target=ask) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rollback = Rollback.objects.get()
    assert sorted(outcomes) == sorted([rollback.ref] + ["refused"] * 49)
    assert rollback.ref.endswith("-0001"), "a refused request uses up no number"
