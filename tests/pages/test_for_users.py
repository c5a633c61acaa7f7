"""The half for users beside an update and the end of an incident: one form, one transaction, two texts."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.test import Client

from comms.consumers import route_event
from comms.models import Message, PublicUpdate
from comms.services import external
from comms.services.external import approve_message
from core.actors import Actor
from core.errors import Conflict
from core.models import Event, User
from incidents.models import Incident, Service
from incidents.states import IncidentStatus
from tests import signing_in
from tests.comms.outside import Outside, drafts, kinds, make_outside, subscribe
from tests.pages.conftest import SignIn

DIALOG = {"HX-Request": "true", "HX-Target": "dialog-content"}
INSIDE, OUTSIDE = "tenant 4711 melts", "Payments fail for some of you."


@pytest.fixture
def outside(shop: Service, commander: Actor, now: dt.datetime) -> Outside:
    return make_outside(shop, commander, now)


def send(browser: Client, incident: Incident, verb: str, dialog: bool = False, **fields: str) -> Any:
    data = {name.replace("users_", "users-", 1): text for name, text in fields.items()}
    return browser.post(f"/incidents/{incident.ref}/{verb}/", data, headers=DIALOG if dialog else {})


def test_one_submit_records_the_update_and_drafts_the_text_for_users(ida: Client, outside: Outside) -> None:
    answer = send(
        ida, outside.incident, "update", message=INSIDE, status="monitoring", users_update_text=OUTSIDE
    )
    assert answer.status_code == 302
    (draft,) = drafts(outside.incident)
    public = draft.public
    assert (public.update_text, public.status, public.title) == (
        OUTSIDE,
        "monitoring",
        "Problems with Checkout",
    )
    assert INSIDE not in draft.body
    assert kinds(outside.incident)[-2:] == ["incident.updated", "message.drafted"]
    page = ida.get(f"/incidents/{outside.incident.ref}/").content.decode()
    assert "waits for the incident commander" in page


def test_left_empty_users_are_told_nothing(ida: Client, outside: Outside) -> None:
    send(ida, outside.incident, "update", message=INSIDE)
    assert (drafts(outside.incident), kinds(outside.incident)[-1]) == ([], "incident.updated")


def test_the_commander_approves_in_the_same_breath(ida: Client, outside: Outside) -> None:
    send(ida, outside.incident, "update", message=INSIDE, users_update_text=OUTSIDE, users_approve="on")
    update = PublicUpdate.objects.get()
    assert (update.message.state, update.published_at is not None) == ("queued", True)
    assert kinds(outside.incident)[-3:] == ["incident.updated", "message.drafted", "message.approved"]


def test_nobody_else_may_approve_and_the_page_says_why(sign_in: SignIn, outside: Outside) -> None:
    rosa = sign_in("rosa")
    page = rosa.get(f"/incidents/{outside.incident.ref}/update/").content.decode()
    assert "users-approve" not in page
    assert "The incident commander approves what is said outside. It waits as a draft." in page
    send(rosa, outside.incident, "update", message=INSIDE, users_update_text=OUTSIDE, users_approve="on")
    assert [draft.state for draft in drafts(outside.incident)] == ["draft"]


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"message": INSIDE, "users_update_text": "x" * 10_001}, "at most 10000"),
        ({"message": INSIDE, "users_update_text": OUTSIDE, "users_status": "on fire"}, "on fire"),
        ({"message": INSIDE, "users_approve": "on"}, "Write what users are to read"),
        ({"users_update_text": OUTSIDE}, "This field is required"),
        ({"message": INSIDE, "users_update_text": OUTSIDE, "status": "closed"}, "It is investigating now"),
    ],
)
@pytest.mark.parametrize("dialog", [False, True])
def test_an_error_in_either_half_keeps_both_texts_and_stores_nothing(
    ida: Client, outside: Outside, fields: dict[str, str], wrong: str, dialog: bool
) -> None:
    before = Event.objects.count()
    answer = send(ida, outside.incident, "update", dialog=dialog, **fields)
    page = answer.content.decode()
    assert answer.status_code == 422
    assert wrong in page
    assert all(text[:100] in page for name, text in fields.items() if name.endswith(("message", "text")))
    assert (Event.objects.count(), drafts(outside.incident)) == (before, [])


def test_what_comms_refuses_takes_the_update_back(
    ida: Client, outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_more: object) -> None:
        raise Conflict("The channel is on holiday.")

    monkeypatch.setattr(external, "approve_message", refuse)
    before = Event.objects.count()
    answer = send(
        ida, outside.incident, "update", message=INSIDE, users_update_text=OUTSIDE, users_approve="on"
    )
    page = answer.content.decode()
    assert "The channel is on holiday." in page
    assert "Nothing was stored" in page
    assert (INSIDE in page, OUTSIDE in page) == (True, True)
    assert (Event.objects.count(), Message.objects.filter(visibility="external").count()) == (before, 0)


def test_a_preview_shows_what_users_will_read_and_stores_nothing(
    ida: Client, outside: Outside, now: dt.datetime
) -> None:
    subscribe(3, now)
    before = Event.objects.count()
    answer = send(ida, outside.incident, "update", dialog=True, users_update_text=OUTSIDE, preview="1")
    page = answer.content.decode()
    assert answer.status_code == 200
    assert f"{OUTSIDE}\n\nAffected: Checkout" in page
    assert "3 recipients" in page
    assert "This field is required" not in page
    assert Event.objects.count() == before


def test_it_says_how_many_will_be_told(ida: Client, outside: Outside, now: dt.datetime) -> None:
    subscribe(1, now)
    page = ida.get(f"/incidents/{outside.incident.ref}/update/", headers=DIALOG).content.decode()
    assert "Told inside at once: 0 people and 1 room." in page
    assert "the status page, 1 subscriber and 2 more places" in page


@pytest.mark.parametrize("more", [{"restricted": True}, {"drill": True}])
def test_what_may_not_be_public_has_no_half_for_users(
    ida: Client, shop: Service, commander: Actor, now: dt.datetime, more: dict[str, bool]
) -> None:
    incident = make_outside(shop, commander, now, **more).incident
    page = ida.get(f"/incidents/{incident.ref}/update/").content.decode()
    assert "nothing of it shows outside" in page
    assert "users-update_text" not in page
    send(ida, incident, "update", message=INSIDE, users_update_text=OUTSIDE)
    assert (drafts(incident), kinds(incident)[-1]) == ([], "incident.updated")


def test_the_end_is_written_and_approved_with_it_and_the_routing_writes_no_other(
    ida: Client, outside: Outside, now: dt.datetime
) -> None:
    send(ida, outside.incident, "update", message=INSIDE, users_update_text=OUTSIDE, users_approve="on")
    send(
        ida, outside.incident, "resolve", resolution="restarted", users_root_cause="A full disk.",
        users_approve="on",
    )  # fmt: skip
    outside.incident.refresh_from_db()
    assert outside.incident.status == IncidentStatus.RESOLVED
    end = Message.objects.get(template="issue_resolved")
    assert (end.state, "A full disk." in end.body, "restarted" in end.body) == ("queued", True, False)
    route_event(Event.objects.get(kind="incident.resolved"), now=now)
    assert Message.objects.filter(template="issue_resolved").count() == 1


def test_a_draft_of_the_end_outlives_the_routing_and_older_drafts_do_not(
    ida: Client, outside: Outside, commander: Actor, now: dt.datetime
) -> None:
    send(ida, outside.incident, "update", message=INSIDE, users_update_text=OUTSIDE)
    (older,) = drafts(outside.incident)
    send(ida, outside.incident, "resolve", resolution="restarted", users_root_cause="A full disk.")
    route_event(Event.objects.get(kind="incident.resolved"), now=now)
    (left,) = drafts(outside.incident)
    assert (left.template, left.pk != older.pk) == ("issue_resolved", True)
    approve_message(message_id=left.pk, actor=commander, now=now)


def test_proof_is_asked_for_first_and_both_texts_come_back(outside: Outside, settings: Any) -> None:
    browser = Client()
    signing_in.sign_in(browser, User.objects.get(username="ida"), seconds_ago=10_000)
    answer = send(
        browser, outside.incident, "update", message=INSIDE, users_update_text=OUTSIDE, users_approve="on"
    )
    assert "reauthenticate" in answer["Location"]
    assert kinds(outside.incident)[-1] != "incident.updated"
    page = browser.get(f"/incidents/{outside.incident.ref}/update/").content.decode()
    assert (INSIDE in page, OUTSIDE in page) == (True, True)


def test_without_a_companion_the_form_is_as_it_was(ida: Client, outside: Outside, settings: Any) -> None:
    settings.FORM_COMPANIONS = ()
    page = ida.get(f"/incidents/{outside.incident.ref}/update/").content.decode()
    assert ("Told: " in page, "For users" in page) == (True, False)
    assert send(ida, outside.incident, "update", message=INSIDE).status_code == 302


def test_a_draft_is_approved_from_the_incidents_page_which_says_why_others_may_not(
    ida: Client, sign_in: SignIn, outside: Outside
) -> None:
    address = f"/incidents/{outside.incident.ref}/"
    send(ida, outside.incident, "update", message=INSIDE, users_update_text=OUTSIDE)
    (draft,) = drafts(outside.incident)
    approve = f"/messages/{draft.pk}/approve/?back=incident"
    assert f'href="{approve}"' in ida.get(address).content.decode()
    other = sign_in("rosa").get(address).content.decode()
    assert f'href="{approve}"' not in other
    assert "The incident commander approves what is said outside." in other
    assert f'action="{approve}"' in ida.get(approve, headers=DIALOG).content.decode()
    answer = ida.post(approve, {"seen": draft.version})
    assert (answer.status_code, answer["Location"]) == (302, address)
    assert drafts(outside.incident) == []
