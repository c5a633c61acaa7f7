"""A delivery that cannot be handled: tried again, parked, shown, and in nobody's way."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import pytest
from django.db import connection
from django.test import Client

from comms.models import Message
from core.actors import Actor
from core.clock import utcnow
from core.models import Event, PendingEvent, User
from core.operation.gather import list_troubles
from core.outbox import deliver_pending
from incidents.models import Alert, InboundDelivery, Service
from incidents.services.inbound import NothingParked, retry_deliveries
from tests.alerts.conftest import Send, alert, webhook
from tests.signing_in import sign_in

Drain = Callable[..., int]


def poison(sender: User, now: dt.datetime, body: str = "{") -> InboundDelivery:
    """As from a version that accepted what this one cannot read."""
    return InboundDelivery.objects.create(
        kind="alertmanager", sender=sender, token="t", label="prom (token am)", body=body, size=1,
        received_at=now, due_at=now,
    )  # fmt: skip


def test_the_next_ones_are_handled_on_time_and_it_is_parked_with_an_alarm(
    shop: Service, sender: User, post: Send, drain: Drain, now: dt.datetime
) -> None:
    bad = poison(sender, now)
    for number in range(3):
        post(webhook(alert(f"A{number}")))
    drain()
    assert Alert.objects.count() == 3
    bad.refresh_from_db()
    assert (bad.attempts, bad.parked_at, bad.processed_at) == (1, None, None)
    assert drain() == 0  # not due yet: back-off
    seconds = 0
    while bad.parked_at is None:
        seconds += 130
        assert drain(seconds) == 1
        bad.refresh_from_db()
    assert bad.attempts == 8
    assert "NotStrictJson" in bad.last_error
    alarm = Event.objects.get(kind="ingest.parked")
    PendingEvent.objects.update(due_at=utcnow())  # this test's clock is ahead of the database's
    deliver_pending(now=utcnow())
    assert Message.objects.get(event=alarm).template == "alarm"
    assert "1 delivery of alerts could not be handled" in [trouble.text for trouble in list_troubles()]
    assert drain(10_000) == 0


def test_an_administrator_retries_it_by_page_and_sees_why(
    shop: Service, sender: User, drain: Drain, now: dt.datetime, make_user: Callable[..., User]
) -> None:
    bad = poison(sender, now)
    InboundDelivery.objects.update(parked_at=now, attempts=8, last_error="NotStrictJson: no")
    ada, vic = Client(), Client()
    sign_in(ada, make_user("ada", "administrator"))
    sign_in(vic, make_user("vic", "viewer"))
    page = vic.get("/alerts/").content.decode()
    assert "Deliveries that could not be handled" in page
    assert "NotStrictJson" not in page
    assert "NotStrictJson" in ada.get("/alerts/").content.decode()
    InboundDelivery.objects.update(body='{"alerts": []}')  # what an upgrade does: it can be read now
    assert vic.post("/alerts/retry/", {"delivery": bad.pk}).status_code == 403
    assert ada.post("/alerts/retry/", {"delivery": bad.pk}).status_code == 302
    assert drain(1) == 1
    bad.refresh_from_db()
    assert (bad.parked_at, bad.processed_at is not None) == (None, True)


def test_there_must_be_something_to_retry(make_actor: Callable[..., Actor], now: dt.datetime) -> None:
    with pytest.raises(NothingParked):
        retry_deliveries(actor=make_actor("ada", "administrator"), now=now)


@pytest.mark.django_db(transaction=True)
def test_whatever_the_database_refuses_spoils_no_batch(
    shop: Service, sender: User, post: Send, drain: Drain, as_owner: Callable[..., None]
) -> None:
    """A trigger stands for a fault that nobody thought of."""

    def obstruct() -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
                " $$ BEGIN RAISE EXCEPTION 'never'; END $$;"
                "CREATE TRIGGER refuse BEFORE INSERT ON incidents_alert FOR EACH ROW"
                " WHEN (NEW.title LIKE 'Evil%') EXECUTE FUNCTION refuse()"
            )

    def free() -> None:
        with connection.cursor() as cursor:
            cursor.execute("DROP TRIGGER refuse ON incidents_alert; DROP FUNCTION refuse()")

    as_owner(obstruct)
    try:
        for name in ("A", "Evil", "B"):
            post(webhook(alert(name)))
        drain()
        assert set(Alert.objects.values_list("labels__alertname", flat=True)) == {"A", "B"}
        assert InboundDelivery.objects.get(processed_at=None).attempts == 1
    finally:
        as_owner(free)
    drain(5)
    assert Alert.objects.count() == 3
