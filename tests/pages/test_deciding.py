"""Decisions about a rollback from the page of its incident: one click to the form, one to decide, and back there."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.test import Client

from core.actors import Actor
from incidents.models import Incident
from incidents.services.incidents import edit_incident
from rollbacks.models import Rollback
from rollbacks.services.requests import request_rollback
from tests.conftest import make_service
from tests.pages.conftest import SignIn
from tests.pages.test_rollback_pages import FORM, failed, rollback, two_wanted
from tests.rollbacks.conftest import own_folders, workshop
from tests.rollbacks.test_people_and_steps import asking

__all__ = ["asking", "failed", "own_folders", "rollback", "two_wanted", "workshop"]  # fixtures
DIALOG = {"HX-Request": "true", "HX-Target": "dialog-content"}


def panel(browser: Client, incident: Incident) -> Any:
    panels = browser.get(f"/incidents/{incident.ref}/").context["panels"]["centre"]
    return next(panel for panel in panels if panel.key == "incident_rollback").context


def actions(browser: Client, incident: Incident) -> dict[str, Any]:
    return {action.key: action for action in panel(browser, incident)["actions"]}


@pytest.mark.django_db
def test_asking_for_a_rollback_leads_back_to_the_incident(ida: Client, incident: Incident) -> None:
    (roll_back,) = [
        action
        for action in ida.get(f"/incidents/{incident.ref}/").context["actions"]
        if action.key == "roll_back"
    ]
    form = ida.get(roll_back.url, headers=DIALOG).content.decode()
    assert f'action="/incidents/{incident.ref}/roll-back/?back=incident"' in form
    assert "back=incident" in next(line for line in form.splitlines() if "procedure=" in line)
    answer = ida.post(roll_back.url, FORM)
    assert (answer.status_code, answer["Location"]) == (302, f"/incidents/{incident.ref}/")
    assert panel(ida, incident)["rollback"].ref == Rollback.objects.get().ref


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("key", "data", "state"),
    [
        ("approve", {}, "approved"),
        ("reject", {"reason": "no"}, "rejected"),
        ("cancel", {"reason": "no"}, "cancelled"),
    ],
)
def test_another_person_decides_and_is_back_at_the_incident(
    sign_in: SignIn, two_wanted: Rollback, key: str, data: dict[str, str], state: str
) -> None:
    emma, incident = sign_in("emma", "responder", "engineering_manager"), two_wanted.incident
    action = actions(emma, incident)[key]
    assert (action.enabled, action.url) == (True, f"/rollbacks/{two_wanted.ref}/{key}/?back=incident")
    assert emma.get(action.url, headers=DIALOG).status_code == 200
    answer = emma.post(action.url, data)
    assert (answer.status_code, answer["Location"]) == (302, f"/incidents/{incident.ref}/")
    two_wanted.refresh_from_db()
    assert two_wanted.state == state


@pytest.mark.django_db
def test_who_may_not_decide_sees_why(ida: Client, sign_in: SignIn, two_wanted: Rollback) -> None:
    refused = actions(ida, two_wanted.incident)["approve"]
    assert (refused.enabled, refused.why_not) == (False, "The requester cannot approve their own request.")
    assert refused.why_not in ida.get(f"/incidents/{two_wanted.incident.ref}/").content.decode()
    for action in actions(sign_in("vic", "viewer"), two_wanted.incident).values():
        assert (action.enabled, "account level" in action.why_not) == (False, True), action.key


@pytest.mark.django_db
def test_without_the_address_of_the_incident_it_stays_at_the_rollback(
    sign_in: SignIn, two_wanted: Rollback
) -> None:
    emma = sign_in("emma", "responder", "engineering_manager")
    for query in ("", "?back=https://evil.test/"):
        answer = emma.post(f"/rollbacks/{two_wanted.ref}/approve/{query}")
        Rollback.objects.update(state="awaiting_approval", approved_at=None)
        two_wanted.approvals.all().delete()
        assert answer["Location"] == f"/rollbacks/{two_wanted.ref}/", query


@pytest.mark.django_db
def test_every_way_out_of_a_stop_is_on_the_incidents_page(
    ida: Client, sign_in: SignIn, failed: Rollback
) -> None:
    page = ida.get(f"/incidents/{failed.incident.ref}/").content.decode()
    assert "Firebreak stopped here and waits for you." in page
    choices = panel(ida, failed.incident)["attention"].choices
    assert [choice.key for choice in choices] == ["mark_done", "retry", "undo", "hand_over", "abort"]
    for choice in choices:
        assert f'id="choose-{choice.key}"' in page
        assert choice.url.endswith("/?back=incident")
        if not choice.enabled:
            assert choice.why_not in page
            continue
        form = ida.get(choice.url, headers=DIALOG).content.decode()
        assert f"{failed.ref}: {failed.way}" in form, choice.key
        assert "Told: " in form or "Nobody is messaged" in form, choice.key
    abort = next(choice for choice in choices if choice.key == "abort")
    rosa = sign_in("rosa", "responder")
    (seen,) = [c for c in panel(rosa, failed.incident)["attention"].choices if c.key == "abort"]
    assert (seen.enabled, "This is for" in seen.why_not) == (False, True)
    assert ida.post(abort.url, {"reason": "by hand"})["Location"] == f"/incidents/{failed.incident.ref}/"
    failed.refresh_from_db()
    assert failed.state == "resolved_by_hand"


@pytest.mark.django_db(transaction=True)
def test_a_step_that_asks_is_answered_there(ida: Client, asking: Rollback, commander: Actor) -> None:
    page = ida.get(f"/incidents/{asking.incident.ref}/").content.decode()
    assert "Is the site calm?" in page
    asked = panel(ida, asking.incident)["confirmation"]
    form = ida.get(asked.url, headers=DIALOG).content.decode()
    assert ("Is the site calm?" in form, "goes on with its next step" in form) == (True, True)
    assert ida.post(asked.url, {"note": "it is"})["Location"] == f"/incidents/{asking.incident.ref}/"
    assert panel(ida, asking.incident)["confirmation"] is None


@pytest.mark.django_db
def test_a_second_live_rollback_is_named(
    ida: Client, two_wanted: Rollback, now: dt.datetime, commander: Actor
) -> None:
    make_service("mail", now)
    edit_incident(incident_id=two_wanted.incident_id, services=["shop", "mail"], actor=commander, now=now)
    other = request_rollback(
        incident_id=two_wanted.incident_id, service="mail", reason="too", actor=commander, now=now
    )
    shown = panel(ida, two_wanted.incident)
    assert {shown["rollback"].ref, *(line[0] for line in shown["others"])} == {two_wanted.ref, other.ref}
    assert "Also under way" in ida.get(f"/incidents/{two_wanted.incident.ref}/").content.decode()
