"""Outgoing webhooks by the API and the pages: the secret is in one answer, and what is wrong is named."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from comms.models import WebhookDelivery, WebhookEndpoint
from core.encryption import decrypt
from core.models import IdempotentAnswer, User
from tests.signing_in import sign_in

pytestmark = pytest.mark.django_db
API = "/api/v1/webhooks/"
JSON: dict[str, Any] = {"content_type": "application/json"}


@pytest.fixture
def boss(make_user: Callable[..., User], client: Client) -> Client:
    """An administrator's browser."""
    sign_in(client, make_user("root", "administrator"))
    return client


def test_the_secret_is_in_one_answer_and_kept_sealed_alone(boss: Client) -> None:
    headers = {"Idempotency-Key": "once"}
    asked = {"url": "http://1.1.1.1/", "kinds": ["incident.", "incident.declared", "rollback.started"]}
    made = boss.post(API, asked, headers=headers, **JSON)
    assert made.status_code == 201, made.content
    secret = made.json()["secret"]
    assert made.json()["kinds"] == ["incident.", "rollback.started"]
    endpoint = WebhookEndpoint.objects.get()
    assert decrypt(endpoint.secret) == secret
    again = boss.post(API, asked, headers=headers, **JSON)
    assert (again.json()["id"], again.json()["secret"]) == (endpoint.pk, None)
    assert secret not in str(IdempotentAnswer.objects.values_list("body", flat=True))
    for address in (API, f"{API}{endpoint.pk}/", "/webhooks/", f"/webhooks/{endpoint.pk}/", "/changes/"):
        assert secret not in boss.get(address).content.decode()
    rotated = boss.post(f"{API}{endpoint.pk}/rotate_secret/", {}, **JSON)
    assert rotated.json()["secret"] not in ("", None, secret)
    assert rotated.json()["old_secret_until"] is not None


def test_a_change_rests_on_a_version(boss: Client) -> None:
    made = boss.post(API, {"url": "http://1.1.1.1/"}, **JSON).json()
    address = f"{API}{made['id']}/"
    done = boss.patch(address, {"description": "pager"}, headers={"If-Match": '"v1"'}, **JSON)
    assert (done.status_code, done["ETag"]) == (200, '"v2"')
    late = boss.patch(address, {"description": "other"}, headers={"If-Match": '"v1"'}, **JSON)
    assert late.status_code == 412
    assert boss.patch(address, {"description": "pager"}, **JSON)["ETag"] == '"v2"', "it changed nothing"
    assert boss.delete(address).status_code == 204


@pytest.mark.parametrize(
    ("sent", "pointer"),
    [
        ({}, "/url"),
        ({"url": "http://127.0.0.1/"}, "/url"),
        ({"url": 5}, "/url"),
        ({"url": "http://1.1.1.1/", "kinds": ["nothing."]}, "/kinds"),
        ({"url": "http://1.1.1.1/", "kinds": "incident."}, "/kinds"),
        ({"url": "http://1.1.1.1/", "sees_restricted": "yes"}, "/sees_restricted"),
        ({"url": "http://1.1.1.1/", "secret": "mine"}, "/secret"),
        ({"url": "http://1.1.1.1/", "description": "x" * 201}, "/description"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_stored(boss: Client, sent: Any, pointer: str) -> None:
    answer = boss.post(API, sent, **JSON)
    assert answer.status_code == 400
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]
    assert not WebhookEndpoint.objects.exists()


def test_the_pages_make_show_switch_and_remove_one(boss: Client, now: dt.datetime) -> None:
    assert b"No webhook yet" in boss.get("/webhooks/").content
    assert b"All: incidents" in boss.get("/webhooks/new/").content
    refused = boss.post("/webhooks/new/", {"url": "http://10.0.0.1/", "kinds": ["incident."]})
    assert refused.status_code == 422
    assert b"private" in refused.content
    made = boss.post("/webhooks/new/", {"url": "http://1.1.1.1/", "kinds": ["incident.", "rollback.failed"]})
    endpoint = WebhookEndpoint.objects.get()
    assert decrypt(endpoint.secret) in made.content.decode()
    assert endpoint.kinds == ["incident.", "rollback.failed"]
    page = f"/webhooks/{endpoint.pk}/"
    assert boss.post(f"{page}test/").status_code == 302
    delivery = WebhookDelivery.objects.get()
    assert (delivery.kind, delivery.state) == ("webhook.test", "pending")
    assert b"webhook.test" in boss.get(page).content
    assert boss.get(f"{page}?panel=log").status_code == 200
    assert boss.post(f"{page}disable/").status_code == 302
    shown = boss.get(page).content.decode()
    assert "disabled by root" in shown
    assert "the webhook was disabled" in WebhookDelivery.objects.get().last_error
    assert boss.post(f"{page}again/", {"delivery": delivery.pk}).status_code == 409
    assert boss.post(f"{page}enable/").status_code == 302
    assert boss.post(f"{page}again/", {"delivery": delivery.pk}).status_code == 302
    assert boss.post(f"{page}edit/", {"url": "http://1.1.1.1/", "description": "pager"}).status_code == 302
    endpoint.refresh_from_db()
    assert (endpoint.description, endpoint.kinds) == ("pager", [])
    assert boss.post(f"{page}remove/").status_code == 302
    assert boss.get(page).status_code == 404
