"""What is said outside: public facts only, approved by the commander, everywhere at once or not at all."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from comms.facts import PublicFacts
from comms.models import (
    Component,
    ComponentDay,
    Contact,
    Delivery,
    Message,
    PublicIncident,
    PublicUpdate,
    Subscriber,
)
from comms.playbook import Route
from comms.rules.publishing import Approver, judge_approval, overall, propose, shown_state
from comms.services.components import set_component_state
from comms.services.composing import NobodyToTell, preview_draft, send_message
from comms.services.deliveries import retry_delivery
from comms.services.external import (
    NotPublic,
    approve_message,
    discard_message,
    draft_message,
    edit_message,
)
from comms.states import Template
from comms.wording import render_public
from core.actors import Actor, ActorKind, Level
from core.errors import Conflict, Invalid, NotAllowed, NotFound
from core.models import User
from core.outbox import deliver_pending
from core.versions import VersionChanged
from incidents.models import Incident, Service
from incidents.services.incidents import resolve_incident
from tests.comms.outside import Outside, drafts, kinds, make_outside, subscribe
from tests.signing_in import sign_in

GOLDEN = Path(__file__).with_name("golden")
AT = dt.datetime(2026, 11, 28, 21, 30, tzinfo=dt.UTC)
FACTS = PublicFacts(
    title="Checkout fails",
    status_label="Identified",
    impact="Checkout may be slow or unavailable.",
    update="We know the cause & are <undoing> an update.",
    root_cause="A faulty update",
    expected_duration="30 minutes",
    components=("Checkout", "Login"),
    started_at=AT,
    resolved_at=AT + dt.timedelta(minutes=45),
    status_url="https://status.example.test/",
)


@pytest.fixture
def outside(shop: Service, commander: Actor, now: dt.datetime) -> Outside:
    return make_outside(shop, commander, now)


def draft(outside: Outside, actor: Actor, now: dt.datetime, **fields: Any) -> Message:
    asked = {"template": Template.EXTERNAL_UPDATE, **fields}
    return draft_message(incident_id=outside.incident.pk, actor=actor, now=now, **asked)


# --- words ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "template", [Template.MAINTENANCE, Template.ISSUE_RESOLVED, Template.EXTERNAL_UPDATE]
)
def test_the_templates_are_the_policys_word_for_word(template: Template) -> None:
    assert render_public(template, FACTS).body == (GOLDEN / f"{template}.txt").read_text()


def test_what_is_missing_is_said_and_not_left_out() -> None:
    bare = replace(FACTS, expected_duration="", root_cause="")
    assert "Expected Duration: not known yet\n" in render_public(Template.MAINTENANCE, bare).body
    assert "Root Cause: under investigation\n" in render_public(Template.ISSUE_RESOLVED, bare).body


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"template": "maintenance"}, "say visibility: external"),
        ({"template": "incident_alert", "visibility": "external"}, "say visibility: internal"),
        (
            {"template": "maintenance", "visibility": "external", "audiences": ["everyone"]},
            "has no audiences",
        ),
        ({"template": "incident_alert"}, "name audiences"),
    ],
)
def test_a_route_cannot_send_inside_words_outside(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Route.model_validate({"event": "incident.declared", "channels": ["status_page"], **wrong})


# --- rules ------------------------------------------------------------------------------------------

USER, TOKEN, AUTOMATION = ActorKind.USER, ActorKind.TOKEN, ActorKind.AUTOMATION


@pytest.mark.parametrize(
    ("kind", "user", "grant", "commander", "is_open", "allowed"),
    [
        (USER, 1, True, 1, True, True),
        (USER, 1, True, 1, False, True),
        (USER, 2, True, 1, True, False),  # may hold the role, does not
        (USER, 1, False, 1, True, False),  # the grant was taken away
        (TOKEN, 1, True, 1, True, False),
        (AUTOMATION, None, False, None, True, False),
        (USER, 1, True, None, True, False),  # take the role first
        (USER, 1, True, None, False, True),  # it ended without a commander
        (USER, 1, False, None, False, False),
        (TOKEN, 1, True, None, False, False),
    ],
)
def test_the_commander_in_person_lets_it_out(
    kind: ActorKind, user: int | None, grant: bool, commander: int | None, is_open: bool, allowed: bool
) -> None:
    verdict = judge_approval(Approver(kind, user, grant), commander=commander, incident_open=is_open)
    assert verdict.allowed is allowed
    assert bool(verdict.reason) is not allowed


def test_the_page_says_the_worst_and_maintenance_hides_nothing_worse() -> None:
    assert overall([], []) == ("none", "All Systems Operational")
    assert overall(["operational", "under_maintenance"], []) == ("maintenance", "Service Under Maintenance")
    assert overall(["degraded_performance"], ["none"]) == ("minor", "Partially Degraded Service")
    assert overall(["operational"], ["critical"]) == ("critical", "Major Service Outage")
    assert overall(["partial_outage", "major_outage"], ["minor"])[0] == "critical"
    assert shown_state("operational", in_maintenance=True) == "under_maintenance"
    assert shown_state("major_outage", in_maintenance=True) == "major_outage"
    assert propose("maintenance", "P1", {"a": "A", "b": "B"}).components == dict.fromkeys(
        "ab", "partial_outage"
    )


# --- drafts by rule ---------------------------------------------------------------------------------


def test_a_p0_with_a_public_component_drafts_maintenance_and_its_end_the_resolution(
    outside: Outside, commander: Actor, now: dt.datetime
) -> None:
    deliver_pending(now=now)
    (maintenance,) = drafts(outside.incident)
    assert (maintenance.template, maintenance.drafted_by) == ("maintenance", "Firebreak")
    assert maintenance.public.components == {outside.component.public_id: "major_outage"}
    assert "4711" not in maintenance.subject + maintenance.body + str(maintenance.forms)
    assert not Delivery.objects.filter(message=maintenance).exists()
    approve_message(message_id=maintenance.pk, actor=commander, now=now)
    resolve_incident(
        incident_id=outside.incident.pk, resolution="tenant 4711 moved", actor=commander, now=now
    )
    deliver_pending(now=now)
    (resolved,) = drafts(outside.incident)
    assert resolved.template == "issue_resolved"
    assert resolved.public.components == {outside.component.public_id: "operational"}
    assert "4711" not in resolved.body
    approve_message(message_id=resolved.pk, actor=commander, now=now)
    public = PublicIncident.objects.get()
    assert (public.status, public.resolved_at is None) == ("resolved", False)
    outside.component.refresh_from_db()
    assert outside.component.state == "operational"


def test_what_was_never_said_is_not_resolved_and_its_draft_goes(
    outside: Outside, commander: Actor, now: dt.datetime
) -> None:
    deliver_pending(now=now)
    resolve_incident(incident_id=outside.incident.pk, resolution="over", actor=commander, now=now)
    deliver_pending(now=now)
    assert drafts(outside.incident) == []
    assert Message.objects.get(template="maintenance").state == "superseded"


@pytest.mark.parametrize("more", [{"severity": "P2"}, {"drill": True}, {"restricted": True}])
def test_lesser_ones_drills_and_restricted_ones_draft_nothing(
    shop: Service, commander: Actor, now: dt.datetime, more: dict[str, Any]
) -> None:
    outside = make_outside(shop, commander, now, **more)
    deliver_pending(now=now)
    assert drafts(outside.incident) == []
    if "severity" not in more:
        with pytest.raises(NotPublic):
            draft(outside, commander, now)


def test_without_a_public_name_there_is_nothing_to_say(
    incident: Incident, commander: Actor, now: dt.datetime
) -> None:
    deliver_pending(now=now)
    assert drafts(incident) == []
    with pytest.raises(NotPublic):
        draft_message(incident_id=incident.pk, template="external_update", actor=commander, now=now)


# --- the gate ---------------------------------------------------------------------------------------


def test_approved_everything_happens_at_once(outside: Outside, commander: Actor, now: dt.datetime) -> None:
    subscribe(3, now)
    Subscriber.objects.create(email="maybe@example.test", asked_at=now)
    message = draft(outside, commander, now, title="Checkout is slow", status="identified")
    assert preview_draft(message).recipients == 4
    approve_message(message_id=message.pk, actor=commander, now=now)
    message.refresh_from_db()
    assert (message.state, message.approved_by_id) == ("queued", commander.user_id)
    update = PublicUpdate.objects.get(message=message)
    assert (update.body, update.published_at) == (message.body, now)
    assert update.changes == [
        {
            "code": outside.component.public_id,
            "name": "Checkout",
            "old_status": "operational",
            "new_status": "major_outage",
        }
    ]
    outside.component.refresh_from_db()
    assert outside.component.state == "major_outage"
    by_channel = list(Delivery.objects.filter(message=message).values_list("channel", flat=True))
    assert sorted(by_channel) == ["status_page", "user_email", "user_email", "user_email"]
    assert not Delivery.objects.filter(recipient__contains="@").exists(), "receipts hold no address"
    assert kinds(outside.incident)[-2:] == ["message.drafted", "message.approved"]


def test_nothing_happens_when_something_fails(
    outside: Outside, commander: Actor, now: dt.datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = draft(outside, commander, now)
    monkeypatch.setattr("comms.services.external._TO_SUBSCRIBERS", "SELECT 1/0")
    with pytest.raises(Exception, match="division"):
        approve_message(message_id=message.pk, actor=commander, now=now)
    message.refresh_from_db()
    outside.component.refresh_from_db()
    assert (message.state, outside.component.state) == ("draft", "operational")
    assert not PublicIncident.objects.exists()


def test_only_the_commander_in_person_approves(
    outside: Outside, commander: Actor, make_actor: Callable[..., Actor], now: dt.datetime
) -> None:
    message = draft(outside, commander, now)
    token = replace(commander, kind=ActorKind.TOKEN)
    for other in (token, make_actor("ben", "administrator", "incident_commander"), make_actor("eve")):
        with pytest.raises(NotAllowed):
            approve_message(message_id=message.pk, actor=other, now=now)
    stale = replace(commander, authenticated_at=now - dt.timedelta(days=3))
    with pytest.raises(NotAllowed, match="Confirm that it is you"):
        approve_message(message_id=message.pk, actor=stale, now=now)
    assert Message.objects.get(pk=message.pk).state == "draft"


def test_two_people_write_and_nobodys_words_are_lost_or_approved_unread(
    outside: Outside, commander: Actor, now: dt.datetime
) -> None:
    message = draft(outside, commander, now)
    edit_message(message_id=message.pk, actor=commander, now=now, version=1, title="Login fails")
    for late in (edit_message, approve_message):
        with pytest.raises(VersionChanged):
            late(message_id=message.pk, actor=commander, now=now, version=1)
    approve_message(message_id=message.pk, actor=commander, now=now, version=2)
    for too_late in (edit_message, approve_message, discard_message):
        with pytest.raises(Conflict):
            too_late(message_id=message.pk, actor=commander, now=now)


def test_the_text_follows_the_fields_until_somebody_writes_it(
    outside: Outside, commander: Actor, now: dt.datetime
) -> None:
    message = draft(outside, commander, now)
    act: dict[str, Any] = {"message_id": message.pk, "actor": commander, "now": now}
    assert "Login fails" in edit_message(**act, title="Login fails").body
    assert edit_message(**act, body="My own words").body == "My own words\n"
    assert edit_message(**act, title="Again").body == "My own words\n"
    assert edit_message(**act, title="Again").subject == "Investigating: Again"


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"template": "incident_alert"}, "template"),
        ({"title": " "}, "title"),
        ({"status": "closed"}, "status"),
        ({"impact": "bad"}, "impact"),
        ({"components": {"nothing": "operational"}}, "components"),
        ({"components": {}}, "components"),
        ({"channels": ["email"]}, "channels"),
        ({"channels": ["pigeon"]}, "channels"),
        ({"status": "resolved", "resolved_at": AT - dt.timedelta(days=9)}, "resolved_at"),
    ],
)
def test_wrong_input_names_the_field_and_stores_nothing(
    outside: Outside, commander: Actor, now: dt.datetime, fields: dict[str, Any], named: str
) -> None:
    with pytest.raises(Invalid) as caught:
        draft(outside, commander, now, **fields)
    assert list(caught.value.fields) == [named]
    assert not PublicUpdate.objects.exists()


def test_a_restricted_incidents_messages_are_nobodys_else(
    shop: Service, commander: Actor, make_actor: Callable[..., Actor], now: dt.datetime
) -> None:
    outside = make_outside(shop, commander, now)
    message = draft(outside, commander, now)
    Incident.objects.filter(pk=outside.incident.pk).update(restricted=True)
    eve = make_actor("eve")
    for act in (edit_message, approve_message, discard_message):
        with pytest.raises(NotFound):
            act(message_id=message.pk, actor=eve, now=now)
    with pytest.raises(NotPublic):
        approve_message(message_id=message.pk, actor=commander, now=now)


@pytest.mark.django_db(transaction=True)
def test_two_approvers_at_once_send_once(outside: Outside, commander: Actor, now: dt.datetime) -> None:
    subscribe(5, now)
    message = draft(outside, commander, now)
    outcomes: list[str] = []
    start = threading.Barrier(4)

    def approve() -> None:
        start.wait()
        try:
            approve_message(message_id=message.pk, actor=commander, now=now, version=1)
            outcomes.append("sent")
        except Conflict:
            outcomes.append("late")
        finally:
            connections.close_all()

    threads = [threading.Thread(target=approve) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["late", "late", "late", "sent"]
    assert Delivery.objects.count() == 6
    assert PublicUpdate.objects.filter(published_at__isnull=False).count() == 1


def test_ten_thousand_subscribers_take_as_many_statements_as_three(
    outside: Outside, commander: Actor, now: dt.datetime
) -> None:
    def statements() -> int:
        message = draft(outside, commander, now, components={outside.component.public_id: "operational"})
        with CaptureQueriesContext(
            connection,
        ) as seen:
            approve_message(message_id=message.pk, actor=commander, now=now)
        return len(seen)

    statements()
    subscribe(3, now)
    few = statements()
    subscribe_more = [
        Subscriber(email=f"more{n}@example.test", asked_at=now, confirmed_at=now) for n in range(10_000)
    ]
    Subscriber.objects.bulk_create(subscribe_more, batch_size=2_000)
    assert statements() == few
    assert Delivery.objects.filter(channel="user_email").count() == 10_006


# --- components -------------------------------------------------------------------------------------


def test_a_commander_sets_a_component_and_the_days_count_the_time(
    outside: Outside, commander: Actor, make_actor: Callable[..., Actor]
) -> None:
    component = outside.component
    Component.objects.filter(pk=component.pk).update(counted_until=AT)
    act: dict[str, Any] = {"component_id": component.pk, "actor": commander, "reason": "seen"}
    set_component_state(**act, state="partial_outage", now=AT)
    set_component_state(**act, state="degraded_performance", now=AT + dt.timedelta(hours=3))
    set_component_state(**act, state="operational", now=AT + dt.timedelta(hours=4))
    kept = ComponentDay.objects.order_by("day").values_list("day", "partial_seconds", "degraded_seconds")
    assert list(kept) == [(AT.date(), 9000, 0), (AT.date() + dt.timedelta(days=1), 1800, 3600)]
    with pytest.raises(Conflict):
        set_component_state(**act, state="operational", now=AT)
    for other in (make_actor("eve"), replace(commander, kind=ActorKind.TOKEN)):
        with pytest.raises(NotAllowed):
            set_component_state(**act | {"actor": other}, state="major_outage", now=AT)


# --- inside, and receipts ---------------------------------------------------------------------------


def test_a_message_for_inside_leaves_at_once(outside: Outside, commander: Actor, now: dt.datetime) -> None:
    act: dict[str, Any] = {"incident_id": outside.incident.pk, "actor": commander, "now": now}
    with pytest.raises(NobodyToTell):
        send_message(**act, template="note", text="Join the call", audiences=["management"])
    assert not Message.objects.filter(template="note").exists()
    Contact.objects.create(name="boss", email="boss@example.test", audiences=["management"])
    message = send_message(**act, template="note", text="Join the call", audiences=["management"])
    assert (message.state, message.visibility) == ("queued", "internal")
    assert "Join the call" in message.body
    assert list(message.deliveries.values_list("recipient", flat=True)) == ["boss@example.test"]
    wrongs: tuple[dict[str, Any], ...] = (
        {"audiences": []}, {"audiences": ["nobody"]}, {"channels": ["user_email"]}, {"text": ""}
    )  # fmt: skip
    for wrong in wrongs:
        with pytest.raises(Invalid):
            send_message(**act | {"template": "note", "text": "x", "audiences": ["management"]} | wrong)


def test_what_was_given_up_is_tried_again_by_hand(
    outside: Outside, commander: Actor, now: dt.datetime
) -> None:
    message = draft(outside, commander, now)
    approve_message(message_id=message.pk, actor=commander, now=now)
    delivery = message.deliveries.get(channel="status_page")
    with pytest.raises(Conflict):
        retry_delivery(delivery_id=delivery.pk, actor=commander, now=now)
    Delivery.objects.filter(pk=delivery.pk).update(state="dead", attempts=9, last_error="no")
    Message.objects.filter(pk=message.pk).update(state="failed")
    tried = retry_delivery(delivery_id=delivery.pk, actor=commander, now=now)
    assert (tried.state, tried.attempts, tried.last_error) == ("pending", 0, "")
    assert Message.objects.get(pk=message.pk).state == "queued"


# --- the API ----------------------------------------------------------------------------------------


@pytest.fixture
def api(commander: Actor) -> APIClient:
    client = APIClient()
    sign_in(client, User.objects.get(username=commander.label))
    return client


def test_the_api_previews_drafts_edits_and_approves(
    outside: Outside, api: APIClient, now: dt.datetime
) -> None:
    subscribe(2, now)
    below = f"/api/v1/incidents/{outside.incident.ref}/messages/"
    body = {"audience": "public", "template": "maintenance", "expected_duration": "1 h"}
    preview = api.post(f"{below}preview/", body)
    assert (preview.status_code, preview.json()["recipients"]) == (200, 3)
    assert not PublicUpdate.objects.exists()
    made = api.post(below, body)
    assert made.status_code == 201, made.content
    address = f"/api/v1/messages/{made.json()['id']}/"
    assert api.patch(address, {"title": "Login"}, headers={"If-Match": '"v9"'}).status_code == 412
    edited = api.patch(address, {"title": "Login"}, headers={"If-Match": made["ETag"]})
    assert (edited.status_code, edited.json()["public"]["title"]) == (200, "Login")
    approved = api.post(f"{address}approve/")
    assert (approved.status_code, approved.json()["state"]) == (200, "queued")
    (place,) = approved.json()["deliveries"]
    assert (place["channel"], place["state"]) == ("status_page", "pending")
    assert api.post(f"{address}approve/").status_code == 409
    assert "@example.test" not in api.get(address).content.decode()


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"audience": "somebody"}, "/audience"),
        ({"audience": "everyone"}, "/body"),
        ({"audience": "everyone", "body": "x", "title": "y"}, "/title"),
        ({"audience": "everyone", "body": "x", "template": "maintenance"}, "/template"),
        ({"audience": "public", "template": "note"}, "/template"),
        ({"audience": "public", "components": {"x": "broken"}}, "/components"),
        ({"audience": "public", "secret": 1}, "/secret"),
    ],
)
def test_bad_input_is_a_400_that_names_the_field(
    outside: Outside, api: APIClient, body: dict[str, Any], pointer: str
) -> None:
    answer = api.post(f"/api/v1/incidents/{outside.incident.ref}/messages/", body)
    assert answer.status_code == 400, answer.content
    assert answer.json()["errors"][0]["pointer"].startswith(pointer)


def test_a_viewer_of_nothing_restricted_reads_a_message(
    outside: Outside, commander: Actor, make_user: Callable[..., User], now: dt.datetime
) -> None:
    message = draft(outside, commander, now)
    client = APIClient()
    sign_in(client, make_user("vic", "viewer"))
    assert client.get(f"/api/v1/messages/{message.pk}/").status_code == 200
    Incident.objects.filter(pk=outside.incident.pk).update(restricted=True)
    assert client.get(f"/api/v1/messages/{message.pk}/").status_code == 404
    assert client.get(f"/messages/{message.pk}/").status_code == 404
    assert message.subject not in client.get("/messages/").content.decode()


def test_automation_and_a_machine_never_write_outside(outside: Outside, now: dt.datetime) -> None:
    nobody = Actor(ActorKind.AUTOMATION, "Automation", Level.NONE)
    with pytest.raises(NotAllowed):
        draft(outside, nobody, now)
