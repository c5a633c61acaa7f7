"""Silences and maintenance windows: nothing is opened meanwhile, and nothing is forgotten afterwards."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest

from core.actors import SYSTEM, Actor
from core.clock import utcnow
from core.errors import Conflict, Invalid, NotAllowed
from core.outbox import deliver_pending
from incidents.facts import Reading
from incidents.models import Alert, Incident, Monitor, Service
from incidents.selectors.quiet import maintenance_of
from incidents.services.incidents import resolve_incident
from incidents.services.measuring import observe
from incidents.services.monitors import create_monitor
from incidents.services.quiet import create_silence, create_window, end_silence, end_window, look_after_quiet
from incidents.states import SampleOutcome
from tests.alerts.conftest import Send, alert, webhook
from tests.due_work import due_of

Drain = Callable[..., int]
HOUR = dt.timedelta(hours=1)
TEAM = [{"label": "alertname", "op": "=~", "value": "High.*"}]


@pytest.fixture
def monitor(shop: Service, now: dt.datetime) -> Monitor:
    source = {"type": "http_json", "url": "http://127.0.0.1:1/", "path": "x"}
    return create_monitor(actor=SYSTEM, now=now, service="shop", metric="error_rate", source=source)


def breach(monitor: Monitor, now: dt.datetime, value: float = 0.5) -> None:
    observe(monitor_id=monitor.pk, reading=Reading(SampleOutcome.OK, value), now=now)
    deliver_pending(now=now)


def test_a_silenced_alert_opens_nothing_until_the_silence_ends(
    shop: Service, post: Send, drain: Drain, commander: Actor, now: dt.datetime
) -> None:
    silence = create_silence(matchers=TEAM, reason="known", ends_at=now + HOUR, actor=commander, now=now)
    post(webhook(alert(), alert("Other")))
    drain()
    held = Alert.objects.get(title__startswith="High")
    assert (held.silenced_by, held.held_until, held.incident) == (silence, silence.ends_at, None)
    assert Incident.objects.get().title == "Shop: Other is firing"
    assert look_after_quiet(now=now + HOUR / 2) == 0
    assert look_after_quiet(now=now + HOUR * 2) == 1
    held.refresh_from_db()
    assert (held.incident, held.held_until, held.silenced_by) == (Incident.objects.get(), None, None)


def test_what_ended_meanwhile_is_not_taken_up(
    shop: Service, post: Send, drain: Drain, commander: Actor, now: dt.datetime
) -> None:
    create_silence(matchers=TEAM, reason="known", ends_at=now + HOUR, actor=commander, now=now)
    post(webhook(alert()))
    drain()
    post(webhook(alert(status="resolved")))
    drain()
    assert look_after_quiet(now=now + HOUR * 2) == 0
    assert Incident.objects.count() == 0


def test_ending_early_takes_up_at_once_and_another_silence_goes_on(
    shop: Service, post: Send, drain: Drain, commander: Actor, now: dt.datetime
) -> None:
    first, second = (
        create_silence(matchers=TEAM, reason="known", ends_at=now + HOUR * n, actor=commander, now=now)
        for n in (2, 1)
    )
    post(webhook(alert()))
    drain()
    end_silence(silence_id=first.pk, actor=commander, now=now + HOUR / 4)
    look_after_quiet(now=now + HOUR / 4)
    held = Alert.objects.get()
    assert (held.silenced_by, Incident.objects.count()) == (second, 0)
    end_silence(silence_id=second.pk, actor=commander, now=now + HOUR / 3)
    look_after_quiet(now=now + HOUR / 3)
    assert Incident.objects.count() == 1
    with pytest.raises(Conflict):
        end_silence(silence_id=second.pk, actor=commander, now=now + HOUR / 2)


@pytest.mark.parametrize(
    ("matchers", "field"),
    [
        ([], "matchers"),
        ([{"label": "a", "op": "=~", "value": "("}], "matchers"),
        ([{"label": "a", "op": "=~", "value": ".*"}], "matchers"),  # would silence everything
        ([{"label": "a", "op": "!=", "value": "b"}], "matchers"),
    ],
)
def test_a_silence_says_what_it_means(commander: Actor, now: dt.datetime, matchers: Any, field: str) -> None:
    with pytest.raises(Invalid) as refused:
        create_silence(matchers=matchers, reason="r", ends_at=now + HOUR, actor=commander, now=now)
    assert field in refused.value.fields


@pytest.mark.parametrize("ends", [-HOUR, dt.timedelta(0), dt.timedelta(days=31)])
def test_a_silence_ends_within_a_month(commander: Actor, now: dt.datetime, ends: dt.timedelta) -> None:
    with pytest.raises(Invalid) as refused:
        create_silence(matchers=TEAM, reason="r", ends_at=now + ends, actor=commander, now=now)
    assert "ends_at" in refused.value.fields


def test_in_a_maintenance_window_neither_monitor_nor_alert_opens_anything(
    shop: Service, monitor: Monitor, post: Send, drain: Drain, commander: Actor, now: dt.datetime
) -> None:
    window = create_window(
        services=["shop"], reason="database upgrade", ends_at=now + HOUR, actor=commander, now=now
    )
    assert maintenance_of(shop.pk, now=now) == f"maintenance until {now + HOUR:%H:%M} UTC: database upgrade"
    breach(monitor, now)
    post(webhook(alert()))
    drain()
    assert (Incident.objects.count(), Alert.objects.get().maintenance) == (0, window)
    assert look_after_quiet(now=now + HOUR / 2) == 0

    assert look_after_quiet(now=now + HOUR * 2) == 2
    incident = Incident.objects.get()
    assert (incident.origin, incident.alerts.count()) == (shop, 1)
    breached = [e.summary for e in incident.stream.events.filter(kind="incident.breached")]
    assert breached == ["Shop: error rate is critical after the maintenance"]
    assert maintenance_of(shop.pk, now=now + HOUR * 2) is None
    assert look_after_quiet(now=now + HOUR * 3) == 0


def test_what_was_wrong_before_the_maintenance_is_not_opened_twice(
    shop: Service, monitor: Monitor, commander: Actor, now: dt.datetime
) -> None:
    breach(monitor, now)
    window = create_window(services=["shop"], reason="u", ends_at=now + HOUR, actor=commander, now=now)
    end_window(window_id=window.pk, actor=commander, now=now + HOUR / 2)
    look_after_quiet(now=now + HOUR / 2)
    incident = Incident.objects.get()
    assert incident.stream.events.filter(kind="incident.breached").count() == 1


def test_a_window_that_follows_another_goes_on(
    shop: Service, monitor: Monitor, commander: Actor, now: dt.datetime
) -> None:
    for hours in (1, 3):
        create_window(services=["shop"], reason="u", ends_at=now + HOUR * hours, actor=commander, now=now)
    breach(monitor, now)
    look_after_quiet(now=now + HOUR * 2)
    assert Incident.objects.count() == 0
    look_after_quiet(now=now + HOUR * 4)
    assert Incident.objects.count() == 1


def test_security_of_the_highest_severity_is_held_back_by_nothing(
    shop: Service, post: Send, drain: Drain, commander: Actor, now: dt.datetime
) -> None:
    source = {"type": "http_json", "url": "http://127.0.0.1:1/", "path": "x"}
    watch = create_monitor(actor=SYSTEM, now=now, service="shop", metric="security_events", source=source)
    create_window(services=["shop"], reason="u", ends_at=now + HOUR, actor=commander, now=now)
    create_silence(matchers=TEAM, reason="known", ends_at=now + HOUR, actor=commander, now=now)
    post(webhook(alert(labels={"severity": "P1", "category": "security"})))
    drain()
    assert Incident.objects.count() == 0
    post(webhook(alert("HighJacked", labels={"severity": "P0", "category": "security"})))
    drain()
    incident = Incident.objects.get()
    assert (incident.kind, incident.severity) == ("security", "P0")
    resolve_incident(incident_id=incident.pk, resolution="done", actor=SYSTEM, now=now)
    breach(watch, now, value=20)
    assert Incident.objects.filter(status="investigating").count() == 1


def test_windows_are_for_commanders_silences_for_responders(
    shop: Service, make_actor: Callable[..., Actor], now: dt.datetime
) -> None:
    rita, vic = make_actor("rita", "responder"), make_actor("vic", "viewer")
    create_silence(matchers=TEAM, reason="r", ends_at=now + HOUR, actor=rita, now=now)
    for actor, make in (
        (
            vic,
            lambda actor: create_silence(matchers=TEAM, reason="r", ends_at=now + HOUR, actor=actor, now=now),
        ),
        (
            rita,
            lambda actor: create_window(
                services=["shop"], reason="r", ends_at=now + HOUR, actor=actor, now=now
            ),
        ),
    ):
        with pytest.raises(NotAllowed):
            make(actor)


def test_what_ends_is_due_work_until_somebody_looked(
    shop: Service, post: Send, drain: Drain, commander: Actor
) -> None:
    past = utcnow() - HOUR
    create_silence(matchers=TEAM, reason="k", ends_at=past + HOUR / 2, actor=commander, now=past)
    create_window(services=["shop"], reason="k", ends_at=past + HOUR / 2, actor=commander, now=past)
    assert due_of("quiet").count == 1
    look_after_quiet(now=utcnow())
    assert due_of("quiet").count == 0
