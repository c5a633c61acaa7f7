"""People at a browser, and an afternoon with everything in it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from django.test import Client

from core.actors import SYSTEM, Actor
from core.models import User
from incidents.facts import Reading
from incidents.models import Incident, Monitor, Service
from incidents.services.incidents import acknowledge_incident, declare_incident, post_update
from incidents.services.measuring import observe
from incidents.services.monitors import create_monitor
from incidents.services.notes import add_note
from incidents.states import SampleOutcome
from rollbacks.models import Rollback
from rollbacks.services.requests import request_rollback
from tests import signing_in

HOSTILE = "<img src=x onerror=alert(1)>"
LONG = "W" * 200
RTL_AND_EMOJI = "‮ תקלה بحث 🔥🧯"

SignIn = Callable[..., Client]


@pytest.fixture
def sign_in(make_user: Callable[..., User]) -> SignIn:
    """`sign_in("vic", "viewer")`: a browser where that new account is signed in."""

    def enter(username: str, level: str = "responder", *roles: str) -> Client:
        browser = Client()
        signing_in.sign_in(browser, make_user(username, level, *roles))
        return browser

    return enter


@pytest.fixture
def ida(commander: Actor) -> Client:
    """The browser of the commander of `incident`."""
    browser = Client()
    signing_in.sign_in(browser, User.objects.get(username=commander.label))
    return browser


@dataclass(frozen=True)
class Afternoon:
    """What the pages are full of."""

    incident: Incident
    service: Service
    monitor: Monitor
    rollback: Rollback


@pytest.fixture
def afternoon(incident: Incident, shop: Service, commander: Actor, now: dt.datetime) -> Afternoon:
    """A P0 with hostile texts, a failing monitor with a history, and a rollback that was approved."""
    monitor = watch("shop", now)
    for second in range(80):
        value = 0.4 if second > 70 else 0.001
        at = now - dt.timedelta(seconds=80 - second)
        observe(monitor_id=monitor.pk, reading=Reading(SampleOutcome.OK, value), now=at)
    Incident.objects.filter(pk=incident.pk).update(title=HOSTILE, impact=LONG, description=RTL_AND_EMOJI)
    acknowledge_incident(incident_id=incident.pk, actor=commander, now=now)
    post_update(incident_id=incident.pk, message=HOSTILE, next_steps="look\nthink", actor=commander, now=now)
    add_note(incident_id=incident.pk, summary=RTL_AND_EMOJI, actor=commander, now=now)
    rollback = request_rollback(
        incident_id=incident.pk, service="shop", reason=HOSTILE, actor=commander, now=now
    )
    incident.refresh_from_db()
    monitor.refresh_from_db()
    return Afternoon(incident, shop, monitor, rollback)


def declare(
    actor: Actor, now: dt.datetime, number: int, *services: str, restricted: bool = False
) -> Incident:
    """One more incident."""
    return declare_incident(
        actor=actor,
        now=now,
        title=f"Trouble {number}",
        severity="P2",
        services=services,
        restricted=restricted,
    )


def watch(service: str, now: dt.datetime) -> Monitor:
    """A monitor of the service's error rate, measured once."""
    source = {"type": "http_json", "url": "http://127.0.0.1:1/metrics", "path": "error_rate"}
    monitor = create_monitor(actor=SYSTEM, now=now, service=service, metric="error_rate", source=source)
    at = now - dt.timedelta(minutes=2)
    observe(monitor_id=monitor.pk, reading=Reading(SampleOutcome.OK, 0.001), now=at)
    return monitor
