"""What `make break` promises: that nobody has to do anything, or why somebody has to."""

from __future__ import annotations

import datetime as dt

import pytest

from core.actors import SYSTEM, Actor
from demo.management.commands.break_demo import what_follows
from incidents.models import Incident, Service
from incidents.services.services import record_release
from rollbacks.models import Rollback
from rollbacks.services.automation import disarm_automation
from rollbacks.services.requests import request_rollback

pytestmark = pytest.mark.django_db


def test_a_first_bad_release_needs_nobody(shop: Service) -> None:
    assert what_follows(shop) == ": nobody has to do anything."


def test_a_second_one_so_soon_says_who_must_act_and_how_to_show_it_again(
    shop: Service, incident: Incident, commander: Actor, now: dt.datetime
) -> None:
    rollback = request_rollback(
        incident_id=incident.pk, service="shop", reason="bad", actor=commander, now=now
    )
    ended = now - dt.timedelta(minutes=4)
    Rollback.objects.filter(pk=rollback.pk).update(state="succeeded", started_at=ended, completed_at=ended)
    record_release(service_id=shop.pk, version="2.1.0", actor=SYSTEM, now=now)
    said = what_follows(shop)
    assert f"{rollback.ref} ended 4 minutes ago, and automation waits 30 minutes after a rollback" in said
    assert "press Roll back…" in said
    assert "`cooldown: 0s`" in said


def test_disarmed_is_said_too(shop: Service, commander: Actor, now: dt.datetime) -> None:
    disarm_automation(reason="a drill", actor=commander, now=now)
    assert "automation is disarmed" in what_follows(shop)
