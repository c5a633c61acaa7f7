"""Two hundred of the same at once, more than can be taken, and a storm, over real connections."""

from __future__ import annotations

import datetime as dt
import http.client
import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import connection

from comms.models import Message
from core.clock import utcnow
from core.models import Event, User
from core.outbox import deliver_pending
from incidents.models import Alert, InboundDelivery, Incident
from incidents.services import inbound
from incidents.services.inbound import process_due
from tests.alerts.conftest import Send, alert, token_of, webhook
from tests.conftest import make_service
from tests.web import WebProcess

PATH = "/api/v1/ingest/alertmanager/"


@pytest.fixture
def key(transactional_db: None) -> str:
    """A token that the web process knows, and the shop."""
    user = User.objects.create(username="prom")
    user.groups.add(Group.objects.get(name="responder"))
    make_service("shop", utcnow())
    return token_of(user, "ingest")


def send_all(
    web: WebProcess, key: str, bodies: list[str], threads: int, path: str = PATH
) -> Counter[tuple[int, bool]]:
    """Every body once, over `threads` connections; how often which status, and whether with Retry-After."""
    found: Counter[tuple[int, bool]] = Counter()
    waiting, lock = list(bodies), threading.Lock()

    def work() -> None:
        link = http.client.HTTPConnection("127.0.0.1", web.port, timeout=60)
        while True:
            with lock:
                if not waiting:
                    return
                body = waiting.pop()
            headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
            link.request("POST", path, body, headers)
            answer = link.getresponse()
            answer.read()
            with lock:
                found[answer.status, answer.getheader("Retry-After") is not None] += 1
                if answer.status == 503:
                    waiting.append(body)  # as Alertmanager does
            if answer.status == 503:
                time.sleep(0.5)

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return found


def look_into() -> None:
    """As a worker does."""
    process_due(now=utcnow())
    connection.close()


def test_two_hundred_of_the_same_at_once_are_one_alert_one_incident_one_page(
    web: WebProcess, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbound, "BATCH", 20)  # so that each worker has one
    assert send_all(web, key, [json.dumps(webhook(alert()))] * 200, 20) == {(202, False): 200}
    workers = [threading.Thread(target=look_into) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    process_due(now=utcnow())
    assert not InboundDelivery.objects.filter(processed_at=None).exists()
    assert (Alert.objects.get().repeats, Incident.objects.count()) == (199, 1)
    deliver_pending(now=utcnow())
    assert Message.objects.filter(template="incident_alert").count() == 1
    kinds = Event.objects.filter(stream=Incident.objects.get().stream).values_list("kind", flat=True)
    assert Counter(kinds)["incident.alert_fired"] == 1


def test_twenty_scripts_that_report_the_same_at_once_report_one_alert(web: WebProcess, key: str) -> None:
    bodies = [json.dumps({"title": "Disk is full", "service": "shop", "severity": "P2"})] * 20
    scripts = token_of(User.objects.get(), "write")
    assert send_all(web, scripts, bodies, 10, "/api/v1/alerts/") == {(201, False): 20}
    assert (Alert.objects.get().repeats, Incident.objects.count()) == (19, 1)


@pytest.mark.django_db
def test_more_than_may_wait_is_refused_so_that_it_is_sent_again(
    post: Send, enqueue: Send, drain: Callable[..., int], settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbound, "LOOKED_EVERY_SECONDS", 0.0)
    settings.INGEST_MOST_WAITING = 2
    assert [post(webhook(alert())).status_code for _ in range(3)] == [202, 202, 503]
    refused = post(webhook(alert()))
    assert (refused["Retry-After"], refused.json()["code"]) == ("15", "overloaded")
    event = enqueue("trigger", "k")
    assert (event.status_code, event["Retry-After"], event.json()["status"]) == (
        429,
        "15",
        "throttle exceeded",
    )
    assert InboundDelivery.objects.count() == 2
    drain()
    assert post(webhook(alert())).status_code == 202


@pytest.mark.django_db
def test_too_many_a_minute_is_never_a_429_to_alertmanager(post: Send, enqueue: Send, settings: Any) -> None:
    from core.ratelimits import BUDGETS

    settings.API_RATES = settings.API_RATES | {"ingest": 2}
    BUDGETS.forget()
    found = [post(webhook(alert())) for _ in range(5)]
    BUDGETS.forget()
    assert {answer.status_code for answer in found} == {202, 503}
    assert all(answer["Retry-After"] for answer in found if answer.status_code == 503)


def test_one_senders_storm_keeps_nobody_else_waiting(key: str) -> None:
    quiet = User.objects.create(username="quiet")
    now = utcnow()

    def deliver(sender: User, name: str) -> InboundDelivery:
        return InboundDelivery(
            kind="alertmanager", sender=sender, token="t", label="l", received_at=now, due_at=now, size=1,
            body=json.dumps(webhook(alert(name))),
        )  # fmt: skip

    storm = User.objects.get(username="prom")
    InboundDelivery.objects.bulk_create(deliver(storm, f"S{n}") for n in range(1_000))
    last = deliver(quiet, "Quiet")
    last.save()
    assert inbound._process_batch(utcnow()) == inbound.BATCH
    last.refresh_from_db()
    assert last.processed_at is not None


@pytest.mark.faults
def test_a_storm_of_ten_thousand_loses_nothing_and_is_drained(web: WebProcess, key: str) -> None:
    """None lost, 503 only with Retry-After, drained within five minutes of the first, the page at once."""
    bodies = [json.dumps(webhook(alert(f"A{n}", labels={"instance": str(n % 50)}))) for n in range(10_000)]
    done = threading.Event()

    def drain() -> None:
        while not done.is_set():
            process_due(now=utcnow())
            deliver_pending(now=utcnow())
            time.sleep(0.2)
        connection.close()

    drainer = threading.Thread(target=drain)
    drainer.start()
    try:
        began = time.monotonic()
        found = send_all(web, key, bodies, 16)
        took = time.monotonic() - began
        assert found[202, False] == 10_000
        assert {status for status, _ in found} <= {202, 503}
        assert not found[503, False]
        while InboundDelivery.objects.filter(processed_at=None).exists():
            assert time.monotonic() - began < 300
            time.sleep(0.5)
        drained = time.monotonic() - began
        paged = Message.objects.filter(template="incident_alert").values_list("created_at", flat=True).get()
    finally:
        done.set()
        drainer.join()
    print(f"accepted in {took:.0f} s ({10_000 / took:.0f}/s), drained after {drained:.0f} s, {dict(found)}")
    assert (Alert.objects.count(), Incident.objects.count()) == (10_000, 1)
    first = InboundDelivery.objects.order_by("pk").values_list("received_at", flat=True)[0]
    assert paged - first < dt.timedelta(seconds=30)
