"""Outgoing webhooks: every event to every endpoint that asks, signed, at least once, over real HTTP."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import hmac
import json
import socket
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, transaction
from hypothesis import given
from hypothesis import strategies as st
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from comms.deliveries import webhooks as sending
from comms.deliveries.webhooks import send_due_webhooks
from comms.models import WebhookAttempt, WebhookDelivery, WebhookEndpoint
from comms.rules import webhooks as rules
from comms.services import webhooks
from core.actors import SYSTEM, Actor, ActorKind, Level
from core.clock import utcnow
from core.errors import Conflict, Invalid, NotAllowed
from core.events import record, system_stream
from core.models import Event
from core.outbox import deliver_pending
from incidents.models import Incident
from incidents.services.incidents import declare_incident

pytestmark = pytest.mark.django_db(transaction=True)
EVERYTHING = ("incident.", "service.", "role.", "responder.", "note.", "action.", "message.")


@pytest.fixture(autouse=True)
def loopback(settings: Any) -> None:
    settings.OUTBOUND_ALLOWED_NETWORKS = ["127.0.0.0/8"]


@pytest.fixture
def boss(make_actor: Callable[..., Actor]) -> Actor:
    return make_actor("root", "administrator")


@pytest.fixture
def make_endpoint(boss: Actor, now: dt.datetime) -> Callable[..., tuple[WebhookEndpoint, str]]:
    def make(url: str, **more: Any) -> tuple[WebhookEndpoint, str]:
        return webhooks.create_webhook(url=url, actor=boss, now=now, **({"kinds": ["incident."]} | more))

    return make


class Inbox:
    """What a receiver took, and what it answers."""

    def __init__(self, server: HTTPServer, path: str) -> None:
        self.url, self.status = server.url_for(path), 200
        self.headers: dict[str, str] = {}
        self.requests: list[Request] = []
        server.expect_request(path).respond_with_handler(self._take)

    def _take(self, request: Request) -> Response:
        request.get_data()
        self.requests.append(request)
        return Response("said", status=self.status, headers=self.headers)

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(request.get_data()) for request in self.requests]


@pytest.fixture
def inbox(httpserver: HTTPServer) -> Inbox:
    return Inbox(httpserver, "/hook")


def is_signed_with(secret: str, request: Request) -> bool:
    """What a receiver does, from the specification and not from our code."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    said = f"{request.headers['webhook-id']}.{request.headers['webhook-timestamp']}.".encode()
    mac = base64.b64encode(hmac.new(key, said + request.get_data(), hashlib.sha256).digest()).decode()
    return f"v1,{mac}" in request.headers["webhook-signature"].split(" ")


def tell(kind: str = "service.created", summary: str = "happened") -> Event:
    """An event like many others."""
    with transaction.atomic():
        return record(system_stream().pk, kind=kind, actor=SYSTEM, summary=summary, now=utcnow())


def make_due() -> None:
    """As if the waits were over."""
    WebhookDelivery.objects.exclude(state__in=("sent", "dead")).update(
        due_at=utcnow() - dt.timedelta(seconds=1)
    )
    WebhookEndpoint.objects.update(not_before=utcnow() - dt.timedelta(seconds=1))


def send_all(now: dt.datetime) -> None:
    while deliver_pending(now=now):
        pass
    send_due_webhooks(now=now)


# --- what is sent ---------------------------------------------------------------------------------------


def test_an_event_reaches_who_asks_for_it_signed_and_without_names(
    make_endpoint: Callable[..., Any],
    httpserver: HTTPServer,
    inbox: Inbox,
    incident: Incident,
    now: dt.datetime,
) -> None:
    _endpoint, secret = make_endpoint(inbox.url, kinds=["incident.declared"])
    others = Inbox(httpserver, "/others")
    make_endpoint(others.url, kinds=["monitor."])
    send_all(now)
    (request,) = inbox.requests
    assert others.requests == []
    assert is_signed_with(secret, request)
    assert abs(int(request.headers["webhook-timestamp"]) - time.time()) < 30
    body = json.loads(request.get_data())
    event = Event.objects.get(stream=incident.stream, kind="incident.declared")
    assert (body["type"], body["data"]["incident"]) == ("incident.declared", incident.ref)
    assert (body["data"]["seq"], body["data"]["hash"]) == (event.seq, event.hash)
    assert body["data"]["actor"] == {"kind": "user", "id": event.actor_user_id}
    assert body["data"]["drill"] is False
    assert request.headers["webhook-id"] == f"evt_{event.pk}_{_endpoint.pk}"


def test_both_secrets_sign_while_one_is_rotated(
    make_endpoint: Callable[..., Any], inbox: Inbox, boss: Actor, now: dt.datetime
) -> None:
    endpoint, old = make_endpoint(inbox.url, kinds=["service."])
    _same, new = webhooks.rotate_webhook_secret(webhook_id=endpoint.pk, actor=boss, now=now)
    tell()
    send_all(now)
    WebhookEndpoint.objects.update(old_secret_until=now - dt.timedelta(seconds=1))
    tell()
    send_all(now)
    during, after = inbox.requests
    assert (is_signed_with(old, during), is_signed_with(new, during)) == (True, True)
    assert (is_signed_with(old, after), is_signed_with(new, after)) == (False, True)
    endpoint.refresh_from_db()
    assert old not in endpoint.old_secret
    assert new not in endpoint.secret


def test_a_restricted_incident_is_a_code_name_to_who_may_not_see_it(
    make_endpoint: Callable[..., Any],
    httpserver: HTTPServer,
    inbox: Inbox,
    commander: Actor,
    now: dt.datetime,
) -> None:
    make_endpoint(inbox.url)
    trusted = Inbox(httpserver, "/trusted")
    make_endpoint(trusted.url, sees_restricted=True)
    leak = declare_incident(
        actor=commander, now=now, title="Leak of the list", severity="P1", restricted=True
    )
    tell("incident.escalated", summary=f"{leak.ref} was named elsewhere")
    send_all(now)
    said = "".join(request.get_data().decode() for request in inbox.requests)
    assert len(inbox.requests) == 2
    for secret in (leak.ref, "Leak of the list", Event.objects.get(stream=leak.stream, seq=1).hash):
        assert secret not in said
    names = {body["data"]["incident"] for body in inbox.bodies}
    assert len(names) == 1
    assert names.pop().startswith("RESTRICTED-")
    assert trusted.bodies[0]["data"]["incident"] == leak.ref


def test_a_drill_is_marked(
    make_endpoint: Callable[..., Any], inbox: Inbox, incident: Incident, now: dt.datetime
) -> None:
    Incident.objects.update(drill=True)
    make_endpoint(inbox.url)
    send_all(now)
    assert {body["data"]["drill"] for body in inbox.bodies} == {True}


# --- at least once, and no more often than asked ------------------------------------------------------


def test_an_event_is_queued_once_however_often_the_consumer_runs(
    make_endpoint: Callable[..., Any], inbox: Inbox, now: dt.datetime
) -> None:
    make_endpoint(inbox.url, kinds=[])
    event = tell()
    webhooks.queue_webhooks(event=event, now=now)
    webhooks.queue_webhooks(event=event, now=now)
    send_all(now)
    told = [body["data"]["id"] for body in inbox.bodies]
    assert told.count(event.pk) == 1


def test_a_sender_that_died_between_sending_and_marking_is_followed_by_another(
    make_endpoint: Callable[..., Any], inbox: Inbox, now: dt.datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_endpoint(inbox.url, kinds=["service."])
    tell()
    while deliver_pending(now=now):
        pass
    with monkeypatch.context() as dying:
        dying.setattr(sending, "_settle", lambda *_anything: (_ for _ in ()).throw(SystemExit))
        with pytest.raises(SystemExit):
            sending.attempt(sending._claim("well") or 0)
    assert WebhookDelivery.objects.get().state == "sending"
    assert send_due_webhooks(now=now) == 0, "its claim is still good"
    make_due()
    send_due_webhooks(now=now)
    assert WebhookDelivery.objects.get().state == "sent"
    first, second = inbox.requests
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.get_data() == second.get_data()


def test_one_that_kills_whoever_sends_it_is_given_up(
    make_endpoint: Callable[..., Any], inbox: Inbox, now: dt.datetime
) -> None:
    """A death is an attempt: after ten the next sender leaves it be."""
    make_endpoint(inbox.url, kinds=["service."])
    tell()
    while deliver_pending(now=now):
        pass
    for _ in range(11):
        make_due()
        assert sending._claim("well") is not None  # and whoever took it never comes back
    assert WebhookDelivery.objects.get().attempts == 10
    make_due()
    send_due_webhooks(now=now)
    delivery = WebhookDelivery.objects.get()
    assert (delivery.state, delivery.last_error) == ("dead", "whoever sends it dies")
    assert inbox.requests == []


@pytest.mark.parametrize("status", [301, 302, 400, 404, 429, 500, 503])
def test_whatever_is_no_2xx_is_tried_again(
    make_endpoint: Callable[..., Any], inbox: Inbox, now: dt.datetime, status: int
) -> None:
    endpoint, _secret = make_endpoint(inbox.url, kinds=["service."])
    inbox.status, inbox.headers = status, {"Location": inbox.url, "Retry-After": "600"}
    tell()
    send_all(now)
    delivery, attempt = WebhookDelivery.objects.get(), WebhookAttempt.objects.get()
    assert (delivery.state, delivery.attempts, delivery.last_status) == ("retrying", 1, status)
    assert (attempt.status, attempt.answer) == (status, "said")
    assert delivery.due_at - utcnow() > dt.timedelta(seconds=590), "Retry-After is the least"
    endpoint.refresh_from_db()
    assert (endpoint.failures, endpoint.enabled) == (1, True)
    assert len(inbox.requests) == 1, "no redirect is followed"


def test_410_disables_at_once_and_the_technical_team_hears_of_it(
    make_endpoint: Callable[..., Any], inbox: Inbox, now: dt.datetime
) -> None:
    endpoint, _secret = make_endpoint(inbox.url, kinds=["service."])
    inbox.status = 410
    tell(), tell()
    send_all(now)
    endpoint.refresh_from_db()
    assert (endpoint.enabled, endpoint.disabled_why) == (False, "the receiver answered 410: it is gone")
    assert set(WebhookDelivery.objects.values_list("state", flat=True)) == {"dead"}
    assert Event.objects.filter(kind="webhook.disabled", data={"webhook": endpoint.pk}).count() == 1
    tell()
    send_all(now)
    assert len(inbox.requests) == 1


def test_five_days_of_nothing_but_failures_disable_it_and_one_success_begins_anew(
    make_endpoint: Callable[..., Any], inbox: Inbox, now: dt.datetime
) -> None:
    endpoint, _secret = make_endpoint(inbox.url, kinds=["service."])
    inbox.status = 500
    tell()
    send_all(now)
    WebhookEndpoint.objects.update(failing_since=now - dt.timedelta(days=4, hours=23))
    make_due()
    send_due_webhooks(now=now)
    endpoint.refresh_from_db()
    assert endpoint.enabled
    inbox.status = 200
    make_due()
    send_due_webhooks(now=now)
    endpoint.refresh_from_db()
    assert (endpoint.failures, endpoint.failing_since) == (0, None)
    inbox.status = 500
    tell()
    send_all(now)
    WebhookEndpoint.objects.update(failing_since=now - dt.timedelta(days=5))
    make_due()
    send_due_webhooks(now=now)
    endpoint.refresh_from_db()
    assert not endpoint.enabled
    assert endpoint.disabled_why.startswith("5 days of nothing but failures")


def test_after_ten_attempts_a_delivery_is_given_up(
    make_endpoint: Callable[..., Any], inbox: Inbox, now: dt.datetime
) -> None:
    make_endpoint(inbox.url, kinds=["service."])
    inbox.status = 500
    tell()
    send_all(now)
    for _attempt in range(12):
        make_due()
        send_due_webhooks(now=now)
    delivery = WebhookDelivery.objects.get()
    assert (delivery.state, delivery.attempts, len(inbox.requests)) == ("dead", 10, 10)


@pytest.mark.faults
def test_a_thousand_events_wait_for_a_receiver_that_is_down_and_come_in_order(
    make_endpoint: Callable[..., Any], inbox: Inbox, now: dt.datetime
) -> None:
    endpoint, _secret = make_endpoint(inbox.url, kinds=["service."])
    inbox.status = 503
    first = tell()
    made = [
        Event(
            stream=first.stream, seq=first.seq + number, kind="service.edited", occurred_at=now, recorded_at=now,
            actor_kind="system", actor="Firebreak", source="firebreak", summary=str(number), data={},
            canonical=b"", hash=f"{number}",
        )
        for number in range(1, 1000)
    ]  # fmt: skip
    events = [first, *Event.objects.bulk_create(made)]
    WebhookDelivery.objects.bulk_create(
        WebhookDelivery(endpoint=endpoint, event=event, kind=event.kind, created_at=now, due_at=now)
        for event in events
    )
    for _sweep in range(4):
        send_due_webhooks(now=now)
        WebhookEndpoint.objects.update(not_before=utcnow())
    asked = len(inbox.requests)
    assert asked <= 5, "a receiver that is down is asked now and then, not a thousand times"
    inbox.status = 200
    until = time.monotonic() + 60
    while WebhookDelivery.objects.exclude(state="sent").exists() and time.monotonic() < until:
        send_due_webhooks(now=now)
    assert WebhookDelivery.objects.filter(state="sent").count() == 1000
    taken = [body["data"]["id"] for body in inbox.bodies[asked:]]
    assert sorted(taken) == [event.pk for event in events]
    assert taken[-900:] == sorted(taken[-900:])


def test_an_endpoint_that_hangs_delays_no_other(
    make_endpoint: Callable[..., Any], inbox: Inbox, now: dt.datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "DEADLINE_SECONDS", 2.0)
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        hanging, _secret = make_endpoint(f"http://127.0.0.1:{deaf.getsockname()[1]}/", kinds=["service."])
        well, _secret = make_endpoint(inbox.url, kinds=["service."])
        for _event in range(10):
            tell()
        while deliver_pending(now=now):
            pass
        began = utcnow()
        send_due_webhooks(now=now)
    last = well.deliveries.latest("finished_at").finished_at
    assert set(well.deliveries.values_list("state", flat=True)) == {"sent"}
    assert last - began < dt.timedelta(seconds=1.8)
    assert hanging.deliveries.filter(attempts=1).count() == 1, "the others wait until it answers"


# --- again --------------------------------------------------------------------------------------------


def test_one_delivery_and_everything_since_a_time_are_sent_again(
    make_endpoint: Callable[..., Any], inbox: Inbox, boss: Actor, now: dt.datetime
) -> None:
    before = tell(summary="before it was there")
    send_all(now)
    endpoint, _secret = make_endpoint(inbox.url, kinds=["service."])
    tell(summary="since")
    send_all(now)
    delivery = WebhookDelivery.objects.get()
    ask: dict[str, Any] = {"webhook_id": endpoint.pk, "actor": boss, "now": utcnow()}
    webhooks.replay_delivery(delivery_id=delivery.pk, **ask)
    send_due_webhooks(now=now)
    first, second = inbox.requests
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert webhooks.replay_events(since=before.recorded_at, **ask) == 2
    send_due_webhooks(now=now)
    assert [body["data"]["summary"] for body in inbox.bodies[2:]] == ["since", "before it was there"]
    with pytest.raises(Invalid, match="past"):
        webhooks.replay_events(since=utcnow() + dt.timedelta(days=1), **ask)


def test_what_was_missed_while_disabled_comes_by_a_replay_alone(
    make_endpoint: Callable[..., Any], inbox: Inbox, boss: Actor, now: dt.datetime
) -> None:
    endpoint, _secret = make_endpoint(inbox.url, kinds=["service."])
    ask: dict[str, Any] = {"webhook_id": endpoint.pk, "actor": boss}
    webhooks.edit_webhook(changes={"enabled": False}, now=now, **ask)
    missed = tell()
    send_all(now)
    with pytest.raises(Conflict, match="enable it first"):
        webhooks.replay_events(since=missed.recorded_at, now=utcnow(), **ask)
    webhooks.edit_webhook(changes={"enabled": True}, now=utcnow(), **ask)
    send_all(now)
    assert inbox.requests == []
    webhooks.replay_events(since=missed.recorded_at, now=utcnow(), **ask)
    send_due_webhooks(now=now)
    assert len(inbox.requests) == 1


# --- who may, and what is refused ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "http://10.0.0.1/", "http://169.254.169.254/latest/", "http://[::1]/", "http://[::ffff:10.0.0.1]/",
        "http://0x0a000001/", "http://167772161/", "http://10.1/", "http://[64:ff9b::a00:1]/", "ftp://1.1.1.1/",
        "http://user:secret@1.1.1.1/", "http://1.1.1.1:0/", "http:///", "javascript:alert(1)", "http://1.1.1.1\\@10.0.0.1/",
    ],
)  # fmt: skip
def test_inner_addresses_in_any_disguise_are_refused(
    url: str, boss: Actor, settings: Any, now: dt.datetime
) -> None:
    settings.OUTBOUND_ALLOWED_NETWORKS = []
    with pytest.raises(Invalid) as refused:
        webhooks.create_webhook(url=url, actor=boss, now=now)
    assert set(refused.value.fields) == {"url"}
    assert not WebhookEndpoint.objects.exists()


def test_an_address_that_became_private_is_not_reached(
    make_endpoint: Callable[..., Any], inbox: Inbox, settings: Any, now: dt.datetime
) -> None:
    make_endpoint(inbox.url, kinds=["service."])
    settings.OUTBOUND_ALLOWED_NETWORKS = []
    tell()
    send_all(now)
    assert inbox.requests == []
    assert "not allowed" in WebhookAttempt.objects.get().error


def test_what_is_wrong_is_said_and_nothing_is_stored(boss: Actor, now: dt.datetime) -> None:
    for kinds in (["incident"], ["incidents.declared"], [""], ["Incident.declared"], ["incident.a\n"]):
        with pytest.raises(Invalid) as refused:
            webhooks.create_webhook(url="http://1.1.1.1/", kinds=kinds, actor=boss, now=now)
        assert set(refused.value.fields) == {"kinds"}
    assert not WebhookEndpoint.objects.exists()


def test_a_token_never_opens_what_is_restricted(boss: Actor, now: dt.datetime) -> None:
    token = Actor(ActorKind.TOKEN, "root (token ci)", Level.ADMINISTRATOR, user_id=boss.user_id)
    with pytest.raises(NotAllowed, match="person"):
        webhooks.create_webhook(url="http://1.1.1.1/", sees_restricted=True, actor=token, now=now)


def test_a_log_of_a_thousand_costs_as_many_queries_as_one_of_two(
    make_endpoint: Callable[..., Any], boss: Actor, now: dt.datetime, django_assert_num_queries: Any
) -> None:
    from comms.selectors.webhooks import list_log, list_webhooks

    endpoint, _secret = make_endpoint("http://1.1.1.1/")
    for number in (2, 60):
        for _one in range(number):
            delivery = WebhookDelivery.objects.create(
                endpoint=endpoint, event=tell(), kind="x", created_at=now, due_at=now
            )
            WebhookAttempt.objects.create(delivery=delivery, at=now, milliseconds=1, status=200)
        with django_assert_num_queries(3):
            list_log(endpoint.pk, boss)
        with django_assert_num_queries(1):
            list_webhooks(boss)


def test_removing_one_takes_its_log_and_leaves_its_history(
    make_endpoint: Callable[..., Any], inbox: Inbox, boss: Actor, now: dt.datetime
) -> None:
    endpoint, _secret = make_endpoint(inbox.url, kinds=["service."])
    tell()
    send_all(now)
    webhooks.remove_webhook(webhook_id=endpoint.pk, actor=boss, now=now)
    assert not WebhookAttempt.objects.exists()
    with connection.cursor() as cursor:
        cursor.execute("SELECT array_agg(pgh_label ORDER BY pgh_id) FROM comms_webhookendpointchange")
        assert cursor.fetchone()[0] == ["created", "deleted"]


# --- rules --------------------------------------------------------------------------------------------


@given(chance=st.floats(0, 1), asked=st.none() | st.floats(0, 1e6))
def test_the_schedule_is_that_of_standard_webhooks(chance: float, asked: float | None) -> None:
    waits = [rules.next_wait(number, chance=chance) for number in range(1, 11)]
    assert waits[-1] is None, "ten attempts"
    for wait, least in zip(waits, (5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400), strict=False):
        assert wait is not None
        assert least <= wait <= least * 1.1
    for number in range(1, 10):
        later = rules.next_wait(number, chance=chance, retry_after=asked)
        plain = rules.next_wait(number, chance=chance)
        assert later is not None
        assert plain is not None
        assert later == max(plain, min(asked or 0, 3600))
    rests = [rules.rest_after(number, chance=chance) for number in range(1, 50)]
    assert rests == sorted(rests)
    assert rests[-1] <= 330


@given(st.binary(min_size=24, max_size=64))
def test_a_secret_is_read_as_it_was_written(raw: bytes) -> None:
    assert rules.secret_bytes(rules.secret_text(raw)) == raw


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_c2hvcnQ=", "whsec_not base64 !", "AAAA" * 8])
def test_what_is_no_secret_signs_nothing(secret: str) -> None:
    with pytest.raises(ValueError, match="base64"):
        rules.signatures([secret], key="k", stamp=1, body=b"{}")


def test_the_specifications_own_example() -> None:
    """The published test vector of Standard Webhooks' libraries."""
    said = rules.signatures(
        ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
        key="msg_p5jXN8AQM9LWM0D4loKWxJek",
        stamp=1614265330,
        body=b'{"test": 2432232314}',
    )
    assert said == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
