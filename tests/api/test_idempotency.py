"""Idempotency-Key: a repeated POST gets the first answer, and its effect is there once."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection, connections, transaction
from rest_framework.test import APIClient

from core.clock import utcnow
from core.models import ApiToken, IdempotentAnswer, User
from incidents.models import Incident
from tests.api.conftest import issue

INCIDENTS = "/api/v1/incidents/"
BODY = {"title": "Checkout fails", "severity": "P1"}


def declare(client: APIClient, key: str, body: dict[str, str] = BODY) -> Any:
    return client.post(INCIDENTS, body, HTTP_IDEMPOTENCY_KEY=key)


def test_a_repeat_gets_the_first_answer(api: APIClient) -> None:
    first, second = declare(api, "k1"), declare(api, "k1")
    assert (first.status_code, "Idempotent-Replayed" in first) == (201, False)
    assert (second.status_code, second["Idempotent-Replayed"]) == (201, "true")
    assert second.json() == first.json()
    assert Incident.objects.count() == 1


def test_the_order_of_names_is_no_difference(api: APIClient) -> None:
    declare(api, "k1")
    turned = dict(reversed(BODY.items()))
    assert declare(api, "k1", turned)["Idempotent-Replayed"] == "true"


def test_another_key_is_another_request(api: APIClient) -> None:
    assert declare(api, "k1").json()["ref"] != declare(api, "k2").json()["ref"]


def test_a_key_with_another_body_or_address_is_refused(api: APIClient) -> None:
    ref = declare(api, "k1").json()["ref"]
    other_body = declare(api, "k1", BODY | {"severity": "P2"})
    other_address = api.post(f"{INCIDENTS}{ref}/acknowledge/", HTTP_IDEMPOTENCY_KEY="k1")
    for answer in (other_body, other_address):
        assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")
    assert Incident.objects.get().acknowledged_at is None


def test_keys_of_different_callers_do_not_meet(
    ida: User, program: Callable[..., APIClient], api: APIClient
) -> None:
    clients = [api, program(ida, "write"), program(ida, "write")]
    assert len({declare(client, "k1").json()["ref"] for client in clients}) == 3


def test_a_refusal_is_not_kept(api: APIClient) -> None:
    assert declare(api, "k1", {"title": "", "severity": "P1"}).status_code == 400
    assert declare(api, "k1").status_code == 201


def test_the_day_after_it_is_a_new_request(api: APIClient) -> None:
    declare(api, "k1")
    IdempotentAnswer.objects.update(created_at=utcnow() - dt.timedelta(hours=25))
    assert "Idempotent-Replayed" not in declare(api, "k1")
    assert Incident.objects.count() == 2
    assert IdempotentAnswer.objects.count() == 1


@pytest.mark.parametrize("key", ["", "x" * 201, "caf\xe9", "a\tb"])
def test_a_key_that_is_none_is_400(api: APIClient, key: str) -> None:
    assert declare(api, key).status_code == 400


def test_a_key_does_nothing_for_reading(api: APIClient) -> None:
    assert api.get(INCIDENTS, HTTP_IDEMPOTENCY_KEY="k1").status_code == 200
    assert not IdempotentAnswer.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_effect_and_answer_are_one_transaction(api: APIClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(IdempotentAnswer.objects, "create", crash)
        declare(api, "k1")
    assert not Incident.objects.exists()
    assert declare(api, "k1").status_code == 201


@pytest.mark.django_db(transaction=True)
def test_two_at_once_run_once(commander: object) -> None:
    token = issue(User.objects.get(username="ida"), "write")
    start = threading.Barrier(8)

    def send() -> tuple[str, bool]:
        client = APIClient()
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
        start.wait(60)
        try:
            answer = declare(client, "k1")
            assert answer.status_code == 201, answer.content
            return answer.json()["ref"], "Idempotent-Replayed" in answer
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as pool:
        answers = [future.result() for future in [pool.submit(send) for _ in range(8)]]
    assert len({ref for ref, _replayed in answers}) == 1
    assert sorted(replayed for _ref, replayed in answers) == [False, *[True] * 7]
    assert Incident.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_who_waits_too_long_is_told_to_come_again(commander: object) -> None:
    user = User.objects.get(username="ida")
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {issue(user, 'write')}")
    caller = f"token:{ApiToken.objects.get().pk}"

    def send() -> Any:
        try:
            with connection.cursor() as cursor:
                cursor.execute("SET lock_timeout = '200ms'")
            return declare(client, "k1")
        finally:
            connections.close_all()

    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"idempotency {caller} k1"])
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(send).result()
    assert (answer.status_code, answer.json()["code"]) == (409, "busy")
