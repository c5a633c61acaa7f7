"""Approving, arming and settling ask who it is once more, on pages and in the API, by one rule in the service."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from django.test import Client

from core.actors import Actor
from core.assurance import ReauthenticationRequired, SecondFactorRequired
from core.models import User
from incidents.models import Incident
from rollbacks.models import AutomationSwitch, Rollback
from rollbacks.services.automation import arm_automation, disarm_automation
from rollbacks.services.requests import approve_rollback, reject_rollback, request_rollback
from tests.core.accounts.conftest import confirm
from tests.signing_in import sign_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def waiting(incident: Incident, make_actor: Callable[..., Actor], now: dt.datetime) -> Rollback:
    """Bea asked; Ida decides."""
    return request_rollback(
        incident_id=incident.pk, service="shop", reason="errors", actor=make_actor("bea"), now=now
    )


@pytest.fixture
def ida(commander: Actor) -> User:
    return User.objects.get(username="ida")


def test_the_service_itself_refuses_a_stale_person(
    waiting: Rollback, commander: Actor, now: dt.datetime
) -> None:
    stale = replace(commander, authenticated_at=now - dt.timedelta(seconds=901))
    for decide in (
        lambda actor: approve_rollback(rollback_id=waiting.pk, actor=actor, now=now),
        lambda actor: reject_rollback(rollback_id=waiting.pk, reason="no", actor=actor, now=now),
        lambda actor: arm_automation(actor=actor, now=now),
    ):
        for actor in (stale, replace(commander, authenticated_at=None)):
            with pytest.raises(ReauthenticationRequired):
                decide(actor)
    disarm_automation(reason="stop", actor=stale, now=now)  # stopping is never held up
    fresh = replace(commander, authenticated_at=now - dt.timedelta(seconds=899))
    assert approve_rollback(rollback_id=waiting.pk, actor=fresh, now=now).state == "approved"


def test_and_a_person_without_second_factor_where_it_is_asked(
    waiting: Rollback, commander: Actor, now: dt.datetime, both_asked: None
) -> None:
    with pytest.raises(SecondFactorRequired):
        approve_rollback(rollback_id=waiting.pk, actor=commander, now=now)
    surer = replace(commander, second_factor=True)
    assert approve_rollback(rollback_id=waiting.pk, actor=surer, now=now).state == "approved"


def test_the_page_leads_to_the_proof_and_back_to_finish(waiting: Rollback, ida: User, client: Client) -> None:
    address = f"/rollbacks/{waiting.ref}/approve/"
    sign_in(client, ida, seconds_ago=3600)
    there = f"/accounts/reauthenticate/?next={address.replace('/', '%2F')}"
    assert client.get(address)["Location"] == there
    assert client.get(address, headers={"HX-Request": "true"})["HX-Redirect"] == there
    posted = client.post(address, {"reason": "errors are gone <on> 1.9"})
    assert posted["Location"] == there
    waiting.refresh_from_db()
    assert waiting.state == "awaiting_approval"
    wrong = client.post(there, {"password": "wrong", "next": address})
    assert wrong.status_code == 200
    assert (
        client.post(there, {"password": "a long passphrase for tests", "next": address})["Location"]
        == address
    )
    form = client.get(address).content.decode()
    assert "errors are gone &lt;on&gt; 1.9" in form  # what was typed is still there
    assert client.post(address, {"reason": "go"})["Location"] == f"/rollbacks/{waiting.ref}/"
    waiting.refresh_from_db()
    assert waiting.state == "approved"


def test_arming_asks_and_disarming_does_not(ida: User, client: Client) -> None:
    sign_in(client, ida, seconds_ago=3600)
    assert client.post("/automation/", {"to": "disarmed", "reason": "stop"})["Location"] == "/"
    assert client.post("/automation/", {"to": "armed"})["Location"].startswith("/accounts/reauthenticate/")
    assert not AutomationSwitch.objects.get().armed
    confirm(client)
    assert client.post("/automation/", {"to": "armed"})["Location"] == "/"


def test_the_api_answers_with_a_stable_code(
    waiting: Rollback, ida: User, client: Client, settings: Any
) -> None:
    address = f"/api/v1/rollbacks/{waiting.ref}/approve/"
    sign_in(client, ida, seconds_ago=3600)
    refused = client.post(address, {}, content_type="application/json")
    assert (refused.status_code, refused.json()["code"]) == (403, "reauthentication_required")
    confirm(client)
    settings.MFA_REQUIRED_FOR = ["approving"]
    refused = client.post(address, {}, content_type="application/json")
    assert (refused.status_code, refused.json()["code"]) == (403, "mfa_required")
    settings.MFA_REQUIRED_FOR = []
    assert client.post(address, {}, content_type="application/json").status_code == 200


def test_who_may_not_decide_is_told_so_first(
    waiting: Rollback, make_user: Callable[..., User], client: Client
) -> None:
    sign_in(client, make_user("eve"), seconds_ago=3600)
    refused = client.post(f"/api/v1/rollbacks/{waiting.ref}/approve/", {}, content_type="application/json")
    assert refused.json()["code"] == "approval_refused"
