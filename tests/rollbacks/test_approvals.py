"""Approvals of real people: how many, in time, about the plan as it stands, and the one who breaks the glass."""

from __future__ import annotations

import contextlib
import datetime as dt
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from comms.models import Contact, Message
from core.actors import AUTOMATION, Actor, ActorKind
from core.assurance import ReauthenticationRequired
from core.errors import Conflict, FirebreakError, Invalid, NotAllowed
from core.live_panels import audiences
from core.models import Event, User
from core.outbox import deliver_pending
from core.playbook import get_playbook, use_playbook
from incidents.models import Incident, Responder, RoleGrant, Service
from incidents.services.incidents import change_severity
from incidents.services.people import assign_role
from rollbacks.models import Rollback
from rollbacks.selectors.authority import why_not_authorised
from rollbacks.services.break_glass import break_glass
from rollbacks.services.editing import edit_rollback
from rollbacks.services.recovery import flag_lost_rollbacks
from rollbacks.services.requests import (
    ApprovalRefused,
    TargetUnverified,
    approve_rollback,
    cancel_rollback,
    reject_rollback,
    request_rollback,
)
from rollbacks.states import RollbackState
from tests.rollbacks.workshop import PROCEDURE

pytestmark = pytest.mark.django_db
MakeActor = Callable[..., Actor]
WHY = "the approver's phone is dead"


@pytest.fixture
def asking(incident: Incident, now: dt.datetime) -> Callable[..., Rollback]:
    def ask(actor: Actor, **more: Any) -> Rollback:
        more = {"now": now, "reason": "checkout fails", **more}
        return request_rollback(incident_id=incident.pk, service="shop", actor=actor, **more)

    return ask


@pytest.fixture
def holding(incident: Incident, make_actor: MakeActor, commander: Actor, now: dt.datetime) -> MakeActor:
    """`holding("tom", "technical_lead")`: a responder who holds the role on the incident."""

    def make(username: str, role: str) -> Actor:
        actor = make_actor(username, "responder", role)
        if role != "engineering_manager":
            assign_role(incident_id=incident.pk, role=role, username=username, actor=commander, now=now)
        return actor

    return make


@pytest.fixture
def p1(incident: Incident, commander: Actor, now: dt.datetime) -> Incident:
    """The technical lead decides it, approved by the commander or the engineering manager."""
    return change_severity(
        incident_id=incident.pk, severity="P1", reason="less bad", actor=commander, now=now
    )


@pytest.fixture
def declared() -> Iterator[Callable[..., None]]:
    """`declared(people=3)`: change the shop's procedure for the rest of the test."""
    with contextlib.ExitStack() as until_the_end:

        def declare(**fields: object) -> None:
            playbook = get_playbook()
            own = playbook["procedures"][PROCEDURE].model_copy(update=fields)
            sections = {**playbook.sections, "procedures": {**playbook["procedures"], PROCEDURE: own}}
            until_the_end.enter_context(use_playbook(replace(playbook, sections=sections)))

        yield declare


@pytest.fixture
def older(shop: Service, now: dt.datetime) -> str:
    """1.8.0 was good before 1.9.0."""
    long_ago = now - dt.timedelta(days=9)
    shop.releases.create(
        version="1.8.0", state="good", deployed_at=long_ago, recorded_at=long_ago, good_at=now
    )
    return "1.8.0"


def token_of(actor: Actor) -> Actor:
    return replace(actor, kind=ActorKind.TOKEN, label=f"{actor.label} (token ci)", token_id="x")


def approve(rollback: Rollback, actor: Actor, now: dt.datetime, **more: Any) -> Rollback:
    return approve_rollback(rollback_id=rollback.pk, actor=actor, now=now, **more)


def edit(rollback: Rollback, actor: Actor, now: dt.datetime, **changes: Any) -> Rollback:
    return edit_rollback(rollback_id=rollback.pk, changes=changes, actor=actor, now=now)


def events(rollback: Rollback, kind: str) -> list[Event]:
    return list(Event.objects.filter(stream=rollback.incident.stream, kind=kind).order_by("seq"))


# --- approvals


def test_an_approval_by_the_requester_or_by_a_stranger_counts_for_nothing(
    p1: Incident, asking: Callable[..., Rollback], holding: MakeActor, make_actor: MakeActor, now: dt.datetime
) -> None:
    lead = holding("tom", "technical_lead")
    rollback = asking(lead)
    for who, why in ((lead, "own request"), (make_actor("eve"), "Approval is for")):
        with pytest.raises(ApprovalRefused, match=why):
            approve(rollback, who, now)
        with pytest.raises(ApprovalRefused, match=why):
            reject_rollback(rollback_id=rollback.pk, reason="no", actor=who, now=now)
    assert not rollback.approvals.exists()


def test_a_role_without_its_grant_approves_nothing(
    asking: Callable[..., Rollback], commander: Actor, make_actor: MakeActor, now: dt.datetime
) -> None:
    rollback = asking(make_actor("rob"))
    RoleGrant.objects.filter(user=commander.user_id).delete()
    assert Responder.objects.filter(user=commander.user_id, until=None, role="incident_commander").exists()
    with pytest.raises(ApprovalRefused, match="Approval is for"):
        approve(rollback, commander, now)


def test_an_approval_asks_who_it_is(
    asking: Callable[..., Rollback], commander: Actor, make_actor: MakeActor, now: dt.datetime
) -> None:
    rollback = asking(make_actor("rob"))
    with pytest.raises(ReauthenticationRequired):
        approve(rollback, replace(commander, authenticated_at=None), now)
    with pytest.raises(ReauthenticationRequired):
        break_glass_of(rollback, replace(commander, authenticated_at=None), now)


def break_glass_of(rollback: Rollback, actor: Actor, now: dt.datetime, reason: str = WHY) -> Rollback:
    Rollback.objects.filter(pk=rollback.pk).update(people=2)  # somebody is missing
    return break_glass(rollback_id=rollback.pk, reason=reason, actor=actor, now=now)


def test_three_persons_stand_behind_it_one_after_the_other(
    declared: Callable[..., None],
    asking: Callable[..., Rollback],
    commander: Actor,
    holding: MakeActor,
    now: dt.datetime,
) -> None:
    declared(people=3)
    rollback = asking(commander)
    assert (rollback.state, rollback.people) == ("awaiting_approval", 3)
    lead = holding("tom", "technical_lead")
    version = rollback.version
    waiting = approve(rollback, lead, now, reason="I looked")
    assert (waiting.state, waiting.version > version) == ("awaiting_approval", True)
    with pytest.raises(Conflict, match="already"):
        approve(rollback, lead, now)
    (first,) = events(rollback, "rollback.approval_given")
    assert "I looked" in first.summary
    assert first.summary.endswith("3 persons must stand behind it, and 2 do.")
    later = now + dt.timedelta(minutes=5)
    emma = replace(holding("emma", "engineering_manager"), authenticated_at=later)
    approved = approve(rollback, emma, later)
    assert approved.state == "approved"
    assert approved.approval_expires_at == now + dt.timedelta(minutes=15), "the first one runs out first"
    assert why_not_authorised(approved, later) == ""
    assert why_not_authorised(approved, now + dt.timedelta(minutes=16)) == "its approval has expired"


def test_who_approved_one_of_several_may_still_reject_it(
    declared: Callable[..., None], asking: Callable[..., Rollback], commander: Actor, holding: MakeActor,
    now: dt.datetime,
) -> None:  # fmt: skip
    declared(people=3)
    rollback, lead = asking(commander), holding("tom", "technical_lead")
    approve(rollback, lead, now)
    rejected = reject_rollback(rollback_id=rollback.pk, reason="second thoughts", actor=lead, now=now)
    assert rejected.state == "rejected"
    assert list(rollback.approvals.values_list("decision", flat=True)) == ["approved", "rejected"]


def test_who_lost_the_role_meanwhile_is_no_longer_counted(
    declared: Callable[..., None], asking: Callable[..., Rollback], commander: Actor, holding: MakeActor,
    now: dt.datetime,
) -> None:  # fmt: skip
    declared(people=3)
    rollback = asking(commander)
    approve(rollback, holding("tom", "technical_lead"), now)
    RoleGrant.objects.filter(user__username="tom").delete()
    assert approve(rollback, holding("emma", "engineering_manager"), now).state == "awaiting_approval"
    assert approve(rollback, holding("max", "engineering_manager"), now).state == "approved"


def test_automation_alone_starts_nothing_that_asks_for_persons(
    declared: Callable[..., None], asking: Callable[..., Rollback], commander: Actor, now: dt.datetime
) -> None:
    alone = asking(AUTOMATION, automatic_allowed=True)
    assert (alone.state, why_not_authorised(alone, now)) == ("approved", "")
    cancel_rollback(rollback_id=alone.pk, reason="again", actor=commander, now=now)
    declared(automatic=False)
    waiting = asking(AUTOMATION, automatic_allowed=True)
    assert waiting.state == "awaiting_approval"
    assert approve(waiting, commander, now).state == "approved"


def test_a_database_takes_two_persons_and_no_glass(
    declared: Callable[..., None], asking: Callable[..., Rollback], commander: Actor, holding: MakeActor,
    now: dt.datetime,
) -> None:  # fmt: skip
    declared(returns="database", automatic=False, people=2)
    rollback = asking(commander)
    assert rollback.state == "awaiting_approval"
    with pytest.raises(ApprovalRefused, match="always returned by two persons"):
        break_glass(rollback_id=rollback.pk, reason=WHY, actor=commander, now=now)
    assert approve(rollback, holding("tom", "technical_lead"), now).state == "approved"
    Rollback.objects.filter(pk=rollback.pk).update(people=1)
    rollback.approvals.all().delete()
    rollback.refresh_from_db()
    assert why_not_authorised(rollback, now) == "2 persons must stand behind it, and 1 does"


@pytest.mark.django_db(transaction=True)
def test_of_two_who_approve_at_once_both_count_and_it_is_approved_once(
    declared: Callable[..., None], asking: Callable[..., Rollback], make_actor: MakeActor, holding: MakeActor,
    commander: Actor, now: dt.datetime,
) -> None:  # fmt: skip
    declared(people=2)
    rollback = asking(make_actor("rob"))
    lead = holding("tom", "technical_lead")
    emma = holding("emma", "engineering_manager")
    outcomes: list[str] = []
    start = threading.Barrier(3)

    playbook = get_playbook()

    def decide(who: Actor) -> None:
        start.wait()
        try:
            with use_playbook(playbook):
                outcomes.append(approve(rollback, who, now).state)
        except Conflict:
            outcomes.append("too late")
        except Exception as error:
            outcomes.append(repr(error))
        finally:
            connection.close()

    threads = [threading.Thread(target=decide, args=(who,)) for who in (lead, emma, commander)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["approved", "awaiting_approval", "too late"]
    assert rollback.approvals.count() == 2
    assert len(events(rollback, "rollback.approved")) == 1


# --- expiry


def test_what_was_approved_and_never_begun_expires(
    asking: Callable[..., Rollback], commander: Actor, now: dt.datetime
) -> None:
    rollback = asking(commander, now=now - dt.timedelta(minutes=16))
    assert rollback.state == "approved"
    assert why_not_authorised(rollback, now) == "its approval has expired"
    Rollback.objects.filter(pk=rollback.pk).update(lease_until=now + dt.timedelta(minutes=1))
    assert flag_lost_rollbacks(now=now) == 0, "a worker holds it: that one decides"
    Rollback.objects.filter(pk=rollback.pk).update(lease_until=None)
    assert flag_lost_rollbacks(now=now) == 1
    rollback.refresh_from_db()
    assert (rollback.state, rollback.outcome) == (
        "expired", "it was approved, and no worker began it in time",
    )  # fmt: skip


def test_what_nobody_approved_in_time_is_not_approved_afterwards(
    asking: Callable[..., Rollback], commander: Actor, make_actor: MakeActor, now: dt.datetime
) -> None:
    rollback = asking(make_actor("rob"), now=now - dt.timedelta(minutes=16))
    with pytest.raises(Conflict, match="in time"):
        approve(rollback, commander, now)
    assert flag_lost_rollbacks(now=now) == 1


# --- judged again when it is to run


def test_at_execution_everybody_must_still_hold_what_they_held(
    p1: Incident, asking: Callable[..., Rollback], holding: MakeActor, commander: Actor, now: dt.datetime
) -> None:
    rollback = asking(holding("tom", "technical_lead"))
    approved = approve(rollback, commander, now)
    assert why_not_authorised(approved, now) == ""
    RoleGrant.objects.filter(user=commander.user_id).delete()
    assert why_not_authorised(approved, now).startswith("nobody who approved holds the role any more")


def test_at_execution_the_requester_must_still_be_there_and_hold_the_authority(
    asking: Callable[..., Rollback], commander: Actor, now: dt.datetime
) -> None:
    rollback = asking(commander)
    assert why_not_authorised(rollback, now) == ""
    RoleGrant.objects.all().delete()
    assert "requester is not Incident Commander" in why_not_authorised(rollback, now)
    Rollback.objects.filter(pk=rollback.pk).update(requested_by_user=None)
    rollback.refresh_from_db()
    assert why_not_authorised(rollback, now) == "the account that requested it is gone"


def test_at_execution_a_switched_off_account_holds_nothing(
    asking: Callable[..., Rollback], commander: Actor, now: dt.datetime
) -> None:
    rollback = asking(commander)
    User.objects.filter(username=commander.label).update(is_active=False)
    assert why_not_authorised(rollback, now)


def test_at_execution_the_severity_of_that_moment_counts(
    incident: Incident, asking: Callable[..., Rollback], commander: Actor, now: dt.datetime
) -> None:
    rollback = asking(commander)
    change_severity(incident_id=incident.pk, severity="P1", reason="less bad", actor=commander, now=now)
    rollback = Rollback.objects.select_related("incident", "service").get(pk=rollback.pk)
    assert "Technical Lead decides with approval" in why_not_authorised(rollback, now)


@pytest.mark.parametrize("changed", [{"target_version": "1.8.0"}, {"parameters": {"command": "x"}}])
def test_at_execution_a_plan_that_was_changed_beside_firebreak_is_refused(
    asking: Callable[..., Rollback], commander: Actor, now: dt.datetime, changed: dict[str, Any]
) -> None:
    rollback = asking(commander)
    Rollback.objects.filter(pk=rollback.pk).update(**changed)
    rollback.refresh_from_db()
    assert why_not_authorised(rollback, now) == "the plan was edited after it was requested"


def test_judging_costs_the_same_however_many_approved(
    declared: Callable[..., None], asking: Callable[..., Rollback], commander: Actor, holding: MakeActor,
    now: dt.datetime,
) -> None:  # fmt: skip
    declared(people=4)
    rollback = asking(commander)

    def queries() -> int:
        found = Rollback.objects.select_related("incident", "service").get(pk=rollback.pk)
        with CaptureQueriesContext(
            connection,
        ) as caught:
            why_not_authorised(found, now)
        return len(caught)

    before = queries()
    for name in ("emma", "max", "mia"):
        approve(rollback, holding(name, "engineering_manager"), now)
    assert (before, queries()) == (3, 3)


# --- editing


def test_another_target_is_another_plan_and_voids_what_was_approved(
    p1: Incident, asking: Callable[..., Rollback], holding: MakeActor, commander: Actor, older: str,
    now: dt.datetime,
) -> None:  # fmt: skip
    lead, emma = holding("tom", "technical_lead"), holding("emma", "engineering_manager")
    rollback = asking(lead)
    approve(rollback, emma, now)
    digest = Rollback.objects.get(pk=rollback.pk).plan_digest
    edited = edit(rollback, commander, now, target_version=older)
    assert (edited.state, edited.target_version, edited.plan_digest != digest) == (
        "awaiting_approval", older, True,
    )  # fmt: skip
    (event,) = events(rollback, "rollback.edited")
    assert event.data["void"] == ["emma"]
    assert "1.9.0 → 1.8.0" in event.summary
    with pytest.raises(ApprovalRefused, match="edited the plan"):
        approve(edited, commander, now)
    with pytest.raises(ApprovalRefused, match="own request"):
        approve(edited, lead, now)
    assert approve(edited, emma, now).state == "approved", "she looks at the new plan"


def test_edited_to_and_fro_the_old_approval_stays_void(
    p1: Incident, asking: Callable[..., Rollback], holding: MakeActor, commander: Actor, older: str,
    make_actor: MakeActor, now: dt.datetime,
) -> None:  # fmt: skip
    rollback = asking(holding("tom", "technical_lead"))
    approve(rollback, commander, now)
    rob = make_actor("rob")
    edit(rollback, rob, now, target_version=older)
    again = edit(rollback, rob, now, target_version="1.9.0")
    assert again.state == "awaiting_approval"
    assert approve(again, commander, now).state == "approved"
    assert [row.voided_at is None for row in rollback.approvals.order_by("pk")] == [False, True]


def test_edited_by_who_may_decide_it_alone_it_is_theirs_and_runs(
    asking: Callable[..., Rollback], commander: Actor, make_actor: MakeActor, older: str, now: dt.datetime
) -> None:
    rollback = asking(make_actor("rob"))
    edited = edit(rollback, commander, now, target_version=older)
    assert (edited.state, why_not_authorised(edited, now)) == ("approved", "")
    back = edit(edited, make_actor("eve"), now, target_version="1.9.0")
    assert back.state == "awaiting_approval", "a responder's plan is not the commander's"
    assert why_not_authorised(back, now)


def test_other_words_are_the_same_plan(
    asking: Callable[..., Rollback], commander: Actor, make_actor: MakeActor, now: dt.datetime
) -> None:
    rollback = asking(commander)
    edited = edit(
        rollback, make_actor("rob"), now, reason="checkout and cart fail", expected_duration_seconds=5
    )
    assert (edited.state, edited.reason, edited.expected_duration_seconds) == (
        "approved", "checkout and cart fail", 5,
    )  # fmt: skip
    assert edited.version > rollback.version
    assert why_not_authorised(edited, now) == ""
    same = edit(edited, commander, now, reason="checkout and cart fail", target_version="1.9.0")
    assert same.version == edited.version
    assert len(events(rollback, "rollback.edited")) == 1


def test_a_broken_glass_is_for_the_plan_it_was_broken_for(
    p1: Incident, asking: Callable[..., Rollback], holding: MakeActor, older: str, now: dt.datetime
) -> None:
    lead = holding("tom", "technical_lead")
    rollback = asking(lead)
    break_glass(rollback_id=rollback.pk, reason=WHY, actor=lead, now=now)
    edited = edit(rollback, lead, now, target_version=older)
    assert (edited.state, edited.break_glass) == ("awaiting_approval", False)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"target_version": "9.9.9"}, TargetUnverified),
        ({"target_version": "2.0.0"}, Invalid),
        ({"parameters": {"command": "; reboot"}}, Invalid),
        ({"reason": "  "}, Invalid),
        ({"state": "approved"}, Invalid),
        ({"procedure": "other"}, Invalid),
    ],
)
def test_a_wrong_edit_changes_nothing(
    asking: Callable[..., Rollback], commander: Actor, make_actor: MakeActor, now: dt.datetime,
    changes: dict[str, Any], error: type[FirebreakError],
) -> None:  # fmt: skip
    rollback = asking(make_actor("rob"))
    with pytest.raises(error):
        edit(rollback, commander, now, **changes)
    rollback.refresh_from_db()
    assert (rollback.target_version, rollback.reason, rollback.edited_by_user) == (
        "1.9.0", "checkout fails", None,
    )  # fmt: skip


def test_only_a_person_edits_and_only_before_it_runs(
    asking: Callable[..., Rollback], commander: Actor, make_actor: MakeActor, now: dt.datetime
) -> None:
    rollback = asking(commander)
    with pytest.raises(NotAllowed, match="Only a person"):
        edit(rollback, token_of(commander), now, reason="x")
    with pytest.raises(NotAllowed):
        edit(rollback, make_actor("vera", "viewer"), now, reason="x")
    Rollback.objects.filter(pk=rollback.pk).update(state=RollbackState.VALIDATING)
    with pytest.raises(Conflict, match="not edited any more"):
        edit(rollback, commander, now, reason="x")


# --- breaking the glass


def test_one_person_breaks_the_glass_and_management_is_told(
    p1: Incident, asking: Callable[..., Rollback], holding: MakeActor, now: dt.datetime
) -> None:
    Contact.objects.create(name="Boss", kind="team", email="boss@example.org", audiences=["management"])
    lead = holding("tom", "technical_lead")
    rollback = asking(lead)
    broken = break_glass(rollback_id=rollback.pk, reason=WHY, actor=lead, now=now)
    assert (broken.state, broken.break_glass, why_not_authorised(broken, now)) == ("approved", True, "")
    assert broken.approvals.get().decision == "broke"
    (event,) = events(rollback, "rollback.break_glass")
    assert "tom broke the glass" in event.summary
    assert WHY in event.summary
    assert "To be reviewed afterwards" in event.summary
    deliver_pending(now=now)
    message = Message.objects.get(template="break_glass")
    assert "management" in message.audiences
    assert WHY in message.body
    assert message.deliveries.filter(channel="email", recipient="boss@example.org").exists()
    RoleGrant.objects.filter(user=lead.user_id).delete()
    assert why_not_authorised(broken, now), "who broke it must hold the role still when it begins"


def test_glass_is_not_broken_lightly(
    p1: Incident, asking: Callable[..., Rollback], holding: MakeActor, make_actor: MakeActor, commander: Actor,
    now: dt.datetime,
) -> None:  # fmt: skip
    lead = holding("tom", "technical_lead")
    rollback = asking(lead)

    def refused(who: Actor, error: type[FirebreakError], match: str, reason: str = WHY) -> None:
        with pytest.raises(error, match=match):
            break_glass(rollback_id=rollback.pk, reason=reason, actor=who, now=now)

    refused(lead, Invalid, "at least 10", reason="too short")
    refused(token_of(lead), ApprovalRefused, "Only a person")
    refused(make_actor("eve"), ApprovalRefused, "This is for")
    refused(commander, ApprovalRefused, "approve it instead")
    approve(rollback, commander, now)
    refused(lead, Conflict, "nothing awaits approval")
    rollback.refresh_from_db()
    assert not rollback.break_glass


def test_who_asked_shares_no_rendering_with_who_may_approve(
    asking: Callable[..., Rollback], p1: Incident, make_actor: MakeActor
) -> None:
    """Two of the same level and grants: the page of one says `approve`, of the other why not."""
    first, second = (make_actor(name, "commander") for name in ("kim", "lee"))
    page = f"/incidents/{p1.ref}/"
    both = audiences([(first, page), (second, page)])
    assert both[0] == both[1] is not None, "before anything was asked they see the same"
    asking(first)
    mine, others = audiences([(first, page), (second, page)])
    assert mine != others == both[1]
