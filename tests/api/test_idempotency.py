"""Idempotency-Key: a repeated POST gets the first answer, and its effect is there once."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection, connections, transaction
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from core.api import idempotency
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


def test_answers_of_yesterday_are_swept_a_batch_at_a_time(
    api: APIClient, now: dt.datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idempotency, "FORGOTTEN_AT_ONCE", 2)
    for number in range(5):
        declare(api, f"old{number}")
    IdempotentAnswer.objects.update(created_at=now - dt.timedelta(hours=25))
    declare(api, "new")
    with CaptureQueriesContext(connection) as captured:
        assert idempotency.forget_expired_answers(now=now) == 5
    assert len([q for q in captured if q["sql"].startswith("DELETE")]) >= 3
    assert [row.key for row in IdempotentAnswer.objects.all()] == ["new"]
    assert idempotency.forget_expired_answers(now=now) == 0


def test_a_request_does_not_pay_for_old_answers(api: APIClient, now: dt.datetime) -> None:
    declare(api, "first")
    IdempotentAnswer.objects.bulk_create(
        IdempotentAnswer(caller="x", key=str(n), status=201, created_at=now - dt.timedelta(hours=25))
        for n in range(50)
    )
    with CaptureQueriesContext(connection) as captured:
        declare(api, "k1")
    assert not [query for query in captured if query["sql"].startswith("DELETE")]
    assert IdempotentAnswer.objects.filter(caller="x").count() == 50


@pytest.mark.django_db(transaction=True)
def test_a_connection_killed_before_the_answer_leaves_neither(
    api: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server ends the session when the effect is there and the answer is not."""
    api.raise_request_exception = False
    done = []

    def killed(*args: object, **kwargs: object) -> None:
        done.append(Incident.objects.count())
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    with monkeypatch.context() as patched:
        patched.setattr(IdempotentAnswer.objects, "create", killed)
        assert declare(api, "k1").status_code == 503
    connection.close()
    assert done == [1], "the effect was there"
    assert not Incident.objects.exists()
    assert not IdempotentAnswer.objects.exists()
    again = declare(api, "k1")
    assert (again.status_code, "Idempotent-Replayed" in again) == (201, False)


@pytest.mark.django_db(transaction=True)
def test_of_thirty_two_at_once_one_runs_and_all_get_its_answer(commander: object) -> None:
    token, count = issue(User.objects.get(username="ida"), "write"), 32
    start = threading.Barrier(count)

    def send() -> tuple[int, str, bool]:
        client = APIClient()
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
        start.wait(60)
        try:
            answer = declare(client, "k1")
            body = answer.json()
            return answer.status_code, body.get("ref") or body["code"], "Idempotent-Replayed" in answer
        finally:
            connections.close_all()

    with ThreadPoolExecutor(count) as pool:
        answers = [future.result() for future in [pool.submit(send) for _ in range(count)]]
    ran = [answer for answer in answers if answer[0] == 201 and not answer[2]]
    waited = [answer for answer in answers if answer[2]]
    assert len(ran) == 1
    assert {answer[1] for answer in waited} <= {ran[0][1]}
    # Who would have waited for more than ten seconds is told to come again instead.
    gave_up = [answer for answer in answers if answer[0] != 201]
    assert {answer[:2] for answer in gave_up} <= {(409, "busy")}
    assert len(waited) + len(gave_up) == count - 1
    assert Incident.objects.count() == 1
    other = APIClient(HTTP_AUTHORIZATION=f"Bearer {token}")
    assert declare(other, "k1", BODY | {"severity": "P3"}).status_code == 422
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
