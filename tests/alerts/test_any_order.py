"""H1: any order of deliveries, however often repeated, leaves the same alerts, through the database."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from core.clock import utcnow
from core.models import User
from incidents.models import Alert, InboundDelivery, Incident, Service
from incidents.services.inbound import process_due
from incidents.states import OPEN_STATUSES
from tests.alerts.conftest import alert, webhook

BASE = dt.datetime(2026, 11, 20, 10, tzinfo=dt.UTC)
NOW = dt.datetime(2026, 11, 21, tzinfo=dt.UTC)


def rfc(minutes: int) -> str:
    return (BASE + dt.timedelta(minutes=minutes)).isoformat().replace("+00:00", "Z")


fired = st.builds(
    lambda mark, start, end, status: alert(
        "A", status=status, fingerprint=mark, startsAt=rfc(start), endsAt=rfc(start + end)
    ),
    st.sampled_from(["f1", "f2"]),
    st.sampled_from([0, 10, 20]),
    st.integers(1, 5),
    st.sampled_from(["firing", "resolved"]),
)
webhooks = st.lists(fired, min_size=1, max_size=3).map(lambda found: ("alertmanager", webhook(*found)))
events = st.builds(
    lambda action, key, minute: (
        "event",
        {
            "event_action": action,
            "dedup_key": key,
            "payload": {"summary": "s", "severity": "critical", "timestamp": rfc(minute),
                        "custom_details": {"service": "shop"}},
        },
    ),
    st.sampled_from(["trigger", "trigger", "acknowledge", "resolve"]),
    st.sampled_from(["k1", "k2"]),
    st.integers(0, 20),
)  # fmt: skip


def deliver(found: list[Any], sender: User, sizes: list[int]) -> set[tuple[Any, ...]]:
    """Store in this order, look into it in batches of these sizes; returns how the alerts then stand."""
    left = list(found)
    number = 0
    while left:
        size = sizes[number % len(sizes)]
        for kind, body in left[:size]:
            payload = body.get("payload", {})
            InboundDelivery.objects.create(
                kind=kind, sender=sender, token="t", label="l", body=json.dumps(body), size=1,
                received_at=NOW, due_at=NOW, key=body.get("dedup_key", ""), action=body.get("event_action", ""),
                occurred_at=dt.datetime.fromisoformat(payload["timestamp"]) if payload else None,
            )  # fmt: skip
        left = left[size:]
        number += 1
        process_due(now=utcnow())
    assert not InboundDelivery.objects.filter(processed_at=None).exists()
    rows = set(Alert.objects.values_list("source", "fingerprint", "starts_at", "ends_at", "status"))
    firing = any(status != "resolved" for *_rest, status in rows)
    opened = Incident.objects.filter(status__in=OPEN_STATUSES).count()
    assert opened == int(firing)  # one for the service while something fires, none when nothing does
    return rows


@pytest.mark.django_db
# A failing example is small as it is: making it smaller through the database would take minutes.
@settings(
    max_examples=10,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(webhooks | events, min_size=1, max_size=6), st.data())
def test_any_order_and_repetition_leaves_the_same(
    shop: Service, sender: User, found: list[Any], data: st.DataObject
) -> None:
    again = data.draw(st.lists(st.sampled_from(found), max_size=3))
    mixed = data.draw(st.permutations([*found, *again]))
    outcomes = []
    for order, sizes in (
        (found, [1]),
        (mixed, data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=3))),
    ):
        with transaction.atomic():
            outcomes.append(deliver(list(order), sender, sizes))
            transaction.set_rollback(True)
    assert outcomes[0] == outcomes[1]


@pytest.mark.django_db
def test_a_late_resolve_shows_that_the_trigger_before_it_was_a_new_alert(shop: Service, sender: User) -> None:
    """Until the resolve of 10:13 comes, the triggers of 10:11 and 10:16 are one alert; then two."""

    def event(action: str, minute: int) -> Any:
        said = {"summary": f"at {minute}", "severity": "critical", "timestamp": rfc(minute)}
        payload = said | {"custom_details": {"service": "shop"}}
        return "event", {"event_action": action, "dedup_key": "k1", "payload": payload}

    rows = deliver([event("trigger", 16), event("trigger", 11), event("resolve", 13)], sender, [2, 1])
    at = [BASE + dt.timedelta(minutes=minute) for minute in (11, 13, 16)]
    assert rows == {
        ("pagerduty", "k1", at[0], at[1], "resolved"),
        ("pagerduty", "k1", at[2], None, "firing"),
    }
    new = Alert.objects.get(status="firing")
    assert (new.title, new.service, new.severity) == ("at 11", shop, "P1")
