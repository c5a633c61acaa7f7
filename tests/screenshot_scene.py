"""A believable day around the demo, written beside it while it runs: `make screenshots`."""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import replace
from typing import Any

from django.contrib.auth.models import Group

from comms.models import Component
from comms.services.components import ensure_components
from comms.services.external import approve_message, draft_message
from core.actors import SYSTEM, Actor, actor_for_user
from core.clock import utcnow
from core.models import User
from incidents.facts import Reading
from incidents.models import RoleGrant
from incidents.services.incidents import (
    acknowledge_incident,
    declare_incident,
    post_update,
    resolve_incident,
)
from incidents.services.measuring import observe
from incidents.services.monitors import create_monitor
from incidents.services.notes import add_note
from incidents.services.people import assign_role
from incidents.services.services import create_service, record_release
from incidents.services.tasks import create_task
from incidents.states import INCIDENT_ROLES, SampleOutcome

SERVICES = (
    # slug, name, tier, public name, error ratio, response time in ms
    ("checkout", "Checkout", 1, "Checkout", 0.0012, 182.0),
    ("search", "Search", 1, "Search", 0.0006, 96.0),
    ("accounts", "Accounts", 1, "Sign-in and accounts", 0.0003, 74.0),
    ("mail", "Order mail", 2, "E-mail", 0.0021, 310.0),
    ("warehouse", "Warehouse", 2, "", 0.0009, 240.0),
)
PEOPLE = ("ida", "tomas", "cleo")
HOUR, MINUTE = dt.timedelta(hours=1), dt.timedelta(minutes=1)


def build() -> None:
    """Five more services with an afternoon of measurements, people, an open P2 told to users, two solved ones."""
    now = utcnow()
    ida = _people(now)
    for slug, name, tier, public, errors, milliseconds in SERVICES:
        service = create_service(
            actor=SYSTEM, now=now, slug=slug, name=name, environment="production", tier=tier, public_name=public,
            procedure="automated_rollback", auto_rollback=False,
        )  # fmt: skip
        for version, age in (("3.11.0", 50 * HOUR), ("3.12.1", 4 * HOUR)):
            record_release(service_id=service.pk, version=version, actor=SYSTEM, now=now - age)
        _measure(slug, "error_rate", errors, now)
        _measure(slug, "response_time", milliseconds, now)
    ensure_components(now=now)
    Component.objects.exclude(service__slug__in=("storefront", "checkout")).update(group="Around the shop")
    _solved(ida, now - 26 * HOUR, "Search answers with results of yesterday", "P3", "search", 3 * HOUR)
    _solved(ida, now - 7 * HOUR, "Sign-in by SSO fails for some customers", "P1", "accounts", 40 * MINUTE)
    _open(ida, now)


def _people(now: dt.datetime) -> Actor:
    for name in PEOPLE:
        user = User.objects.create(username=name, email=f"{name}@example.test")
        user.groups.add(Group.objects.get(name="commander"))
        RoleGrant.objects.bulk_create(RoleGrant(user=user, role=role) for role in INCIDENT_ROLES)
    ida = replace(actor_for_user(User.objects.get(username="ida")), second_factor=True)
    return replace(ida, authenticated_at=now)


def _measure(slug: str, metric: str, about: float, now: dt.datetime) -> None:
    """Three hours of it, a breath up and down, one small hill."""
    monitor = create_monitor(
        actor=SYSTEM, now=now, service=slug, metric=metric, source={"type": "push"}, interval_seconds=600
    )
    for step in range(90):
        at = now - (90 - step) * 2 * MINUTE
        shape = (
            1
            + 0.18 * math.sin(step / 5 + len(slug))
            + 0.1 * math.sin(step * 2.7)
            + 0.5 * math.exp(-(((step - 60) / 6) ** 2))
        )
        observe(monitor_id=monitor.pk, reading=Reading(SampleOutcome.OK, about * shape), now=at)


def _solved(ida: Actor, at: dt.datetime, title: str, severity: str, slug: str, took: dt.timedelta) -> None:
    incident = declare_incident(actor=ida, now=at, title=title, severity=severity, services=[slug])
    act: dict[str, Any] = {"incident_id": incident.pk, "actor": ida}
    acknowledge_incident(**act, now=at + 4 * MINUTE)
    post_update(**act, message="The cause is found and being taken back.", now=at + took / 2)
    resolve_incident(
        **act, resolution="The index was built anew and is current again."
        if slug == "search" else "The certificate of the identity provider was renewed.", now=at + took,
    )  # fmt: skip


def _open(ida: Actor, now: dt.datetime) -> None:
    at = now - 48 * MINUTE
    incident = declare_incident(
        actor=ida, now=at, title="Order confirmations arrive late", severity="P2", services=["mail"],
        impact="About one order in five; the orders themselves are safe.",
        description="The queue of the mail service grows since the new provider throttles us.",
    )  # fmt: skip
    act: dict[str, Any] = {"incident_id": incident.pk, "actor": ida}
    acknowledge_incident(**act, now=at + 6 * MINUTE)
    for role, name in (
        ("technical_lead", "tomas"),
        ("communications_lead", "cleo"),
    ):
        assign_role(**act, role=role, username=name, now=at + 7 * MINUTE)
    add_note(
        **act,
        summary="The provider's status page says nothing yet; ticket 88213 is open.",
        now=at + 12 * MINUTE,
    )
    post_update(
        **act, message="Half of the mail goes by the second provider now. The queue shrinks by 300 a minute.",
        next_steps="Send the rest the same way\nAsk the provider for the old limit", now=at + 31 * MINUTE,
    )  # fmt: skip
    for title, owner, due_in in (
        ("Ask the provider for the old limit", "tomas", -4),
        ("Send the rest by the second provider", "ida", 25),
        ("Tell support what to answer", "cleo", None),
    ):
        due_at = None if due_in is None else now + due_in * MINUTE
        create_task(**act, title=title, owner=owner, due_at=due_at, now=at + 32 * MINUTE)
    message = draft_message(
        **act, template="external_update", title="Order confirmations arrive late", status="identified", impact="minor",
        impact_text="Your order is safe; its confirmation may take up to an hour.",
        update_text="We send mail by a second provider and catch up.", now=now - 12 * MINUTE,
    )  # fmt: skip
    approve_message(message_id=message.pk, actor=ida, now=utcnow())
    draft_message(
        **act, template="external_update", title="Order confirmations arrive late", status="monitoring",
        update_text="The queue is short again. We keep watching it.", now=utcnow(),
    )  # fmt: skip
