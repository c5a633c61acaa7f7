"""Deliveries stored, answered, looked into: what becomes of an alert."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest

from core.actors import Actor
from core.models import Event
from incidents.models import Alert, InboundDelivery, Incident, Service
from incidents.services.incidents import acknowledge_incident
from tests.alerts.conftest import Send, alert, webhook

Drain = Callable[..., int]


def kinds(incident: Incident) -> list[str]:
    return list(Event.objects.filter(stream=incident.stream).order_by("seq").values_list("kind", flat=True))


def test_an_alert_opens_the_services_incident_and_its_end_resolves_it(
    shop: Service, post: Send, drain: Drain
) -> None:
    answer = post(webhook(alert()))
    assert (answer.status_code, answer.json()) == (202, {"accepted": 1})
    delivery = InboundDelivery.objects.get()
    assert (delivery.processed_at, Alert.objects.count()) == (None, 0)
    assert drain() == 1
    found = Alert.objects.get()
    assert (found.status, found.severity, found.service, found.ends_at) == ("firing", "P1", shop, None)
    assert found.starts_at == dt.datetime(2026, 11, 20, 10, 15, 30, 326123, tzinfo=dt.UTC)
    incident = Incident.objects.get()
    assert (found.incident, incident.severity, incident.source, incident.origin) == (
        incident,
        "P1",
        "alert",
        shop,
    )
    assert incident.title == "Shop: HighErrorRate is firing"
    assert kinds(incident) == ["incident.declared", "incident.alert_fired"]

    for _ in range(3):
        post(webhook(alert()))
    drain()
    found.refresh_from_db()
    assert (found.repeats, kinds(incident)) == (3, ["incident.declared", "incident.alert_fired"])

    post(webhook(alert(status="resolved")))
    drain()
    incident.refresh_from_db()
    assert (Alert.objects.get().status, incident.status) == ("resolved", "resolved")
    assert kinds(incident)[-2:] == ["incident.alert_resolved", "incident.resolved"]


def test_a_resolve_never_ends_an_incident_that_a_person_works_on(
    shop: Service, post: Send, drain: Drain, commander: Actor, now: dt.datetime
) -> None:
    post(webhook(alert()))
    drain()
    incident = Incident.objects.get()
    acknowledge_incident(incident_id=incident.pk, actor=commander, now=now)
    post(webhook(alert(status="resolved")))
    drain()
    incident.refresh_from_db()
    assert (incident.status, kinds(incident)[-1]) == ("investigating", "incident.alert_resolved")


def test_alerts_of_a_service_join_one_incident_and_only_raise_it(
    shop: Service, post: Send, drain: Drain
) -> None:
    post(
        webhook(alert("Slow", labels={"severity": "warning"}), alert("Slower", labels={"severity": "error"}))
    )
    drain()
    incident = Incident.objects.get()
    assert incident.severity == "P2"
    post(webhook(alert("Down", labels={"severity": "p0"})))
    drain()
    incident.refresh_from_db()
    assert (incident.severity, incident.alerts.count(), Incident.objects.count()) == ("P0", 3, 1)
    post(webhook(alert("Slow", status="resolved", labels={"severity": "warning"})))
    drain()
    incident.refresh_from_db()
    assert incident.status == "investigating"  # others still fire


@pytest.mark.parametrize(
    ("labels", "why"),
    [({"severity": "info"}, "severity"), ({"alertname": "Watchdog"}, "ignored")],
)
def test_what_the_playbook_says_to_keep_opens_nothing(
    shop: Service, post: Send, drain: Drain, labels: dict[str, str], why: str
) -> None:
    post(webhook(alert(labels=labels)))
    drain()
    found = Alert.objects.get()
    assert (Incident.objects.count(), found.incident) == (0, None)
    assert found.severity == "" if why == "severity" else found.ignored


def test_an_alert_without_a_known_service_is_not_lost(shop: Service, post: Send, drain: Drain) -> None:
    post(webhook(alert(labels={"service": "nobody-knows"}), alert("Other", labels={"service": ""})))
    drain()
    assert {incident.title for incident in Incident.objects.all()} == {
        "HighErrorRate is firing",
        "Other is firing",
    }
    assert set(Incident.objects.values_list("origin", flat=True)) == {None}
    post(webhook(alert("Other", labels={"service": "", "instance": "b"})))  # the same name: the same incident
    drain()
    assert Incident.objects.count() == 2


def test_events_of_pagerduty(shop: Service, enqueue: Send, drain: Drain) -> None:
    details = {"custom_details": {"service": "shop", "nested": {"a": [1]}}}
    answer = enqueue("trigger", "srv/disk", payload=details)
    assert (answer.status_code, answer.json()) == (
        202,
        {"status": "success", "message": "Event processed", "dedup_key": "srv/disk"},
    )
    assert "routing_key" not in InboundDelivery.objects.get().body
    assert "fb_" not in InboundDelivery.objects.get().body
    drain()
    found, incident = Alert.objects.get(), Incident.objects.get()
    assert (found.fingerprint, found.title, found.service, found.severity) == (
        "srv/disk",
        "Disk is full",
        shop,
        "P1",
    )
    assert found.annotations == {"nested": '{"a": [1]}'}
    enqueue("trigger", "srv/disk", payload=details)
    enqueue("acknowledge", "srv/disk")
    drain()
    found.refresh_from_db()
    assert (found.status, found.repeats, Alert.objects.count()) == ("acknowledged", 1, 1)
    incident.refresh_from_db()
    assert incident.acknowledged_at is None
    assert kinds(incident)[-1] == "incident.alert_acknowledged"
    enqueue("resolve", "srv/disk")
    drain()
    found.refresh_from_db()
    incident.refresh_from_db()
    assert (found.status, incident.status) == ("resolved", "resolved")
    enqueue("trigger", "srv/disk", payload=details)  # anew
    drain()
    assert (Alert.objects.count(), Incident.objects.count()) == (2, 2)


def test_a_key_is_made_and_answered(shop: Service, enqueue: Send, drain: Drain) -> None:
    key = enqueue("trigger").json()["dedup_key"]
    assert len(key) == 32
    enqueue("resolve", key)
    drain()
    assert [(found.fingerprint, found.status) for found in Alert.objects.all()] == [(key, "resolved")]
    assert Incident.objects.count() == 0  # over before anybody looked


def test_a_later_start_ends_what_never_ended(shop: Service, post: Send, drain: Drain) -> None:
    """Alertmanager started anew and forgot: the end of the first one is never reported."""
    first, second = "2026-11-20T10:00:00Z", "2026-11-20T12:00:00Z"

    def stood() -> list[tuple[str, str | None]]:
        rows = Alert.objects.order_by("starts_at").values_list("status", "ends_at")
        return [(status, f"{ends_at:%H:%M}" if ends_at else None) for status, ends_at in rows]

    for start in (second, first):  # also when the older one is delivered later
        post(webhook(alert(startsAt=start)))
        drain()
    assert stood() == [("resolved", "12:00"), ("firing", None)]
    post(webhook(alert(startsAt=first, status="resolved", endsAt="2026-11-20T10:30:00Z")))
    drain()
    assert stood() == [("resolved", "10:30"), ("firing", None)]
    post(webhook(alert(startsAt=first)))  # late, or sent again
    drain()
    assert stood() == [("resolved", "10:30"), ("firing", None)]


def test_what_one_account_sends_touches_no_others_alert(
    shop: Service, enqueue: Send, drain: Drain, make_user: Callable[..., Any]
) -> None:
    enqueue("trigger", "disk")
    drain()
    from tests.alerts.conftest import token_of

    other = token_of(make_user("eve", "viewer"), "ingest")
    enqueue("resolve", "disk", routing_key=other)
    drain()
    assert Alert.objects.get().status == "firing"


def test_a_change_records_a_release(shop: Service, enqueue: Send, drain: Drain) -> None:
    def change(**details: Any) -> str:
        answer = enqueue("", path="/v2/change/enqueue", payload={"custom_details": details})
        assert answer.status_code == 202
        drain()
        return InboundDelivery.objects.latest("pk").outcome

    assert change(service="shop", version="2.1.0", commit="f00") == "2.1.0 of shop is live."
    assert shop.releases.get(state="live").version == "2.1.0"
    assert change(service="shop", version="2.1.0") == "Kept only: 2.1.0 of shop is live already."
    assert change(service="shop").startswith("Noted on shop")
    assert change(service="nowhere", version="1") == "Kept only: there is no service nowhere."
    assert change() == "Kept only: it names no service."
    assert Event.objects.filter(kind="change.noted", stream=shop.stream).count() == 1
    assert (Alert.objects.count(), Incident.objects.count()) == (0, 0)
