"""Messages leave at least once, over real SMTP and HTTP, and nothing stale leaves."""

from __future__ import annotations

import datetime as dt
import json
import re
import socket
from collections.abc import Iterator
from email import message_from_bytes
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from cryptography.fernet import Fernet
from django.db import IntegrityError, connection, transaction

from comms.deliveries import lanes, send_due_deliveries
from comms.models import Contact, Delivery, Message
from comms.services.connections import set_connection
from comms.services.messages import queue_messages
from core.actors import SYSTEM, Actor
from core.clock import utcnow
from core.models import Event
from core.outbox import deliver_pending
from incidents.models import Incident
from incidents.services.incidents import declare_incident, post_update, resolve_incident
from tests.flows.stack import free_ports
from tests.sink import Sink

pytestmark = pytest.mark.django_db(transaction=True)
ROOM = "incident_response"
TAKEN = (200, {"Content-Type": "application/json"}, b'{"ok": true, "ts": "1.2", "channel": "C1"}')


class Mailbox:
    """What a real SMTP server received; `answer` is what it says to each message."""

    def __init__(self) -> None:
        self.received: list[tuple[list[str], Any]] = []
        self.answer = "250 taken"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        if self.answer.startswith("250"):
            self.received.append((envelope.rcpt_tos, message_from_bytes(envelope.content)))
        return self.answer


@pytest.fixture
def mailbox(settings: Any) -> Iterator[Mailbox]:
    mailbox = Mailbox()
    (port,) = free_ports(1)
    controller = Controller(mailbox, hostname="127.0.0.1", port=port)
    controller.start()
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", port
    yield mailbox
    controller.stop()


@pytest.fixture
def room(db: None, settings: Any, now: dt.datetime) -> Iterator[Sink]:
    """What speaks for Slack."""
    settings.OUTBOUND_ALLOWED_NETWORKS = ["127.0.0.0/8"]
    with Sink() as sink:
        sink.answer = TAKEN
        settings.SLACK_API_URL = f"{sink.url}/api/"
        set_connection(name="slack", settings={"token": "xoxb-1234567890-abcdefghij"}, actor=SYSTEM, now=now)
        yield sink


@pytest.fixture
def declared(db: None, commander: Actor, now: dt.datetime) -> Incident:
    """A P1: the technical team and management are told, the development team is not."""
    for name, audiences in (
        ("tech", ["technical_team"]),
        ("boss", ["management"]),
        ("dev", ["development_team"]),
    ):
        Contact.objects.create(name=name, email=f"{name}@example.test", audiences=audiences)
    Contact.objects.create(
        name="cloud", email="cloud@example.test", kind="external", audiences=["technical_team"]
    )
    return declare_incident(actor=commander, now=now, title="<b>Login</b>\nis down", severity="P1")


def _make_due() -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE comms_delivery SET due_at = clock_timestamp() - interval '1 s'")


def _states() -> dict[str, str]:
    return dict(Delivery.objects.values_list("recipient", "state"))


def test_the_severitys_audiences_are_told_by_mail_and_the_room_by_slack(
    declared: Incident, mailbox: Mailbox, room: Sink, now: dt.datetime
) -> None:
    deliver_pending(now=now)
    assert send_due_deliveries(now=now) == 3
    assert sorted(to for (to,), _mail in mailbox.received) == ["boss@example.test", "tech@example.test"]
    mail = mailbox.received[0][1]
    assert mail["Subject"] == "INCIDENT ALERT - P1 High: <b>Login</b> is down"
    assert f"Incident ID: {declared.ref}" in mail.get_payload(0).get_payload()
    (request,) = room.requests
    assert declared.ref in json.loads(request.body)["text"]
    assert Message.objects.get().state == "sent"
    assert Event.objects.filter(stream=declared.stream, kind="message.sent").count() == 1
    assert send_due_deliveries(now=now) == 0


def test_a_server_that_is_away_is_tried_again_and_then_given_up(
    declared: Incident, mailbox: Mailbox, room: Sink, now: dt.datetime
) -> None:
    room.mode = "503"
    mailbox.answer = "451 later"
    deliver_pending(now=now)
    send_due_deliveries(now=now)
    assert set(_states().values()) == {"retrying"}
    assert send_due_deliveries(now=now) == 0, "not before its time"
    mailbox.answer = "250 taken"
    _make_due()
    send_due_deliveries(now=now)
    assert _states()[ROOM] == "retrying"
    Delivery.objects.update(created_at=now - dt.timedelta(hours=7))
    _make_due()
    send_due_deliveries(now=now)
    assert _states() == {"boss@example.test": "sent", "tech@example.test": "sent", ROOM: "dead"}
    assert len(mailbox.received) == 2


def test_nothing_stale_leaves(
    declared: Incident, mailbox: Mailbox, commander: Actor, now: dt.datetime
) -> None:
    deliver_pending(now=now)
    resolve_incident(incident_id=declared.pk, resolution="false alarm", actor=commander, now=now)
    send_due_deliveries(now=now)
    assert set(_states().values()) == {"superseded"}
    assert mailbox.received == []


def test_the_same_event_is_told_once(declared: Incident, now: dt.datetime) -> None:
    deliver_pending(now=now)
    event = Event.objects.get(stream=declared.stream, kind="incident.declared")
    assert queue_messages(event=event, now=now) == []
    assert Message.objects.count() == 1
    first = Delivery.objects.first()
    assert first is not None
    with pytest.raises(IntegrityError, match="one_delivery_per_event"), transaction.atomic():
        Delivery.objects.create(
            message=first.message, event=event, channel=first.channel, recipient=first.recipient, due_at=now
        )


def test_a_sender_that_died_is_followed_by_another(
    declared: Incident, mailbox: Mailbox, now: dt.datetime
) -> None:
    deliver_pending(now=now)
    Delivery.objects.update(state="sending", attempts=1)
    _make_due()
    send_due_deliveries(now=now)
    assert _states()["tech@example.test"] == "sent"


def test_a_mail_server_that_hangs_delays_no_room(
    declared: Incident, room: Sink, settings: Any, now: dt.datetime
) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_TIMEOUT = 2
    deliver_pending(now=now)
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        settings.EMAIL_HOST, settings.EMAIL_PORT = deaf.getsockname()
        began = utcnow()
        send_due_deliveries(now=now)
    sent = Delivery.objects.get(recipient=ROOM)
    assert sent.sent_at is not None
    assert sent.sent_at - began < dt.timedelta(seconds=1.5)
    assert _states() == {"boss@example.test": "retrying", "tech@example.test": "retrying", ROOM: "sent"}


def test_one_that_cannot_be_sent_spoils_no_other(
    declared: Incident, mailbox: Mailbox, room: Sink, now: dt.datetime
) -> None:
    deliver_pending(now=now)
    poison = Delivery.objects.get(recipient="boss@example.test")
    Delivery.objects.filter(pk=poison.pk).update(recipient="boss@example.test\nBcc: all@example.test")
    assert send_due_deliveries(now=now) == 3
    poison.refresh_from_db()
    assert (poison.state, poison.last_error) == ("retrying", "ValueError, see the log")
    assert [to for (to,), _mail in mailbox.received] == ["tech@example.test"]


def test_what_raises_is_given_up_after_five_attempts(
    declared: Incident, mailbox: Mailbox, now: dt.datetime
) -> None:
    """Nobody foresaw it, so that time mends nothing; others hear of it within minutes."""
    deliver_pending(now=now)
    send_due_deliveries(now=now)
    poison = Delivery.objects.get(recipient="boss@example.test")
    Delivery.objects.filter(pk=poison.pk).update(
        state="pending", recipient="boss@example.test\nBcc: all@b.test"
    )
    for attempt in range(1, 6):
        _make_due()
        send_due_deliveries(now=now)
        poison.refresh_from_db()
        assert (poison.state, poison.crashes) == ("retrying" if attempt < 5 else "dead", attempt)
    assert Event.objects.filter(stream=declared.stream, kind="delivery.given_up").count() == 1


def test_a_sender_that_dies_five_times_over_one_is_not_asked_again(
    declared: Incident, mailbox: Mailbox, now: dt.datetime
) -> None:
    """Each death lets those behind it pass, and counts; those that died with it are soon apart from it."""
    deliver_pending(now=now)
    killing = Delivery.objects.filter(recipient="boss@example.test")
    for death in range(5):
        # As one that took it and never came back.
        killing.update(state="sending", due_at=now - dt.timedelta(seconds=1))
        lanes._take_over()
        row = killing.get()
        assert (row.state, row.crashes) == ("retrying", death + 1)
        assert row.due_at - utcnow() <= dt.timedelta(seconds=30 * death)
    killing.update(due_at=now)
    send_due_deliveries(now=now)
    row = killing.get()
    assert (row.state, row.last_error) == ("dead", "whoever sends it dies")
    assert all(to != ["boss@example.test"] for to, _mail in mailbox.received)


def test_a_wrong_key_is_the_operators_to_mend(
    declared: Incident, mailbox: Mailbox, settings: Any, now: dt.datetime
) -> None:
    set_connection(name="slack", settings={"token": "xoxb-1234567890-anything"}, actor=SYSTEM, now=now)
    settings.ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
    deliver_pending(now=now)
    for _ in range(6):
        send_due_deliveries(now=now)
        Delivery.objects.filter(state="retrying").update(due_at=now)
    row = Delivery.objects.get(channel="incident_response")
    assert (row.state, row.crashes) == ("retrying", 0)
    assert "ENCRYPTION_KEYS" in row.last_error


def test_a_channel_that_is_back_is_caught_up_in_order(
    declared: Incident, mailbox: Mailbox, room: Sink, commander: Actor, now: dt.datetime
) -> None:
    """What failed twice is tried behind what the same recipient should have read before it, each in its time;
    once one of them has come through, nobody waits any longer."""
    room.mode = "503"
    deliver_pending(now=now)
    posts = Delivery.objects.filter(channel=ROOM)
    for _ in range(5):
        send_due_deliveries(now=now)
        posts.update(due_at=now)
    for number in range(3):
        post_update(incident_id=declared.pk, message=f"number {number}", actor=commander, now=now)
        deliver_pending(now=now)
        for _ in range(2):
            posts.filter(attempts=1).update(due_at=now)
            send_due_deliveries(now=now)
    waits = [row.due_at for row in posts.order_by("pk")]
    assert set(posts.values_list("state", flat=True)) == {"retrying"}
    assert waits == sorted(waits)
    assert waits[-1] - utcnow() > dt.timedelta(seconds=60), "behind the one that failed for longest"
    room.mode = "ok"
    room.requests.clear()
    posts.filter(pk=posts.order_by("pk")[0].pk).update(due_at=now)
    send_due_deliveries(now=now)
    assert set(posts.values_list("state", flat=True)) == {"sent"}
    told = [re.findall(r"number (\d)", json.loads(request.body)["text"]) for request in room.requests]
    assert told == [[], ["0"], ["1"], ["2"]]


def test_what_happened_first_is_told_first(
    declared: Incident, mailbox: Mailbox, room: Sink, commander: Actor, now: dt.datetime
) -> None:
    """Four senders at once, and still nobody reads an update before the one that came before it."""
    for number in range(12):
        post_update(incident_id=declared.pk, message=f"number {number}", actor=commander, now=now)
    deliver_pending(now=now)
    assert send_due_deliveries(now=now) == 13 * 3
    told = [re.findall(r"number (\d+)", json.loads(request.body)["text"]) for request in room.requests]
    assert [number for found in told for number in found[:1]] == [str(number) for number in range(12)]


def test_a_retry_after_is_honoured(
    declared: Incident, mailbox: Mailbox, room: Sink, now: dt.datetime
) -> None:
    room.mode, room.retry_after = "429", 120
    deliver_pending(now=now)
    send_due_deliveries(now=now)
    waits = Delivery.objects.get(recipient=ROOM).due_at - utcnow()
    assert dt.timedelta(seconds=110) < waits <= dt.timedelta(seconds=120)


@pytest.mark.parametrize(("severity", "held"), [("P0", False), ("P1", False), ("P2", True), ("P3", True)])
def test_quiet_hours_hold_back_what_can_wait(
    db: None, commander: Actor, now: dt.datetime, severity: str, held: bool
) -> None:
    at_night = dt.datetime(2026, 11, 20, 2, 30, tzinfo=dt.UTC)
    Contact.objects.create(
        name="Ann",
        email="ann@example.test",
        audiences=["technical_team", "development_team"],
        time_zone="Europe/Berlin",
        quiet_from=dt.time(22),
        quiet_until=dt.time(7),
    )
    declare_incident(actor=commander, now=at_night, title="Down", severity=severity)
    deliver_pending(now=at_night)
    due = Delivery.objects.get(recipient="ann@example.test").due_at
    assert due == (dt.datetime(2026, 11, 20, 6, tzinfo=dt.UTC) if held else at_night)
