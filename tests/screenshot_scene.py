"""A believable day around the demo, written beside it while it runs: `make screenshots`."""

from __future__ import annotations

import datetime as dt
import itertools
import math
from dataclasses import replace
from typing import Any

from django.contrib.auth.models import Group
from django.db import transaction

from comms.models import Component
from comms.services.components import ensure_components
from comms.services.external import approve_message, draft_message
from core.actors import SYSTEM, Actor, actor_for_user
from core.clock import utcnow
from core.models import User
from core.sweeps import sweep_function
from incidents.facts import Reading
from incidents.models import Incident, RoleGrant
from incidents.services.action_items import create_action_item
from incidents.services.incidents import (
    acknowledge_incident,
    close_incident,
    declare_incident,
    post_update,
    resolve_incident,
)
from incidents.services.measuring import observe
from incidents.services.monitors import create_monitor
from incidents.services.notes import add_note
from incidents.services.people import assign_role
from incidents.services.reports import draft_missing_reports, edit_report
from incidents.services.reviews import open_review
from incidents.services.services import create_service, record_release
from incidents.services.tasks import create_task
from incidents.services.training import record_training
from incidents.states import INCIDENT_ROLES, SampleOutcome

SERVICES = (
    # slug, name, tier, public name, error ratio, response time in ms
    ("checkout", "Checkout", 1, "Checkout", 0.0012, 182.0),
    ("search", "Search", 1, "Search", 0.0006, 96.0),
    ("accounts", "Accounts", 1, "Sign-in and accounts", 0.0003, 74.0),
    ("mail", "Order mail", 2, "E-mail", 0.0021, 310.0),
    ("warehouse", "Warehouse", 2, "", 0.0009, 240.0),
)
SWEEPS = (
    "core.sweep_outbox",
    "incidents.sweep_checklists",
    "incidents.sweep_phases",
    "incidents.sweep_reports",
    "incidents.sweep_action_items",
    "incidents.sweep_training",
    "core.sweep_outbox",
)
PEOPLE = ("ida", "tomas", "cleo")
DAY, HOUR, MINUTE = dt.timedelta(days=1), dt.timedelta(hours=1), dt.timedelta(minutes=1)
PAST = (11, 10, 10, 9, 8, 8, 8, 7, 6, 6, 5, 4, 4, 3, 3, 2, 1, 1)  # months ago


@transaction.atomic
def build() -> None:
    """Everything, and what was due of it, at once: else Firebreak would be seen catching up with a year."""
    _build()
    for name in SWEEPS:
        while sweep_function(name)(now=utcnow()):
            pass


def _build() -> None:
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
    told = _solved(
        ida, now - 7 * HOUR, "Sign-in by SSO fails for some customers", "P1", "accounts", 40 * MINUTE
    )
    _report(ida, told, now - 2 * HOUR)
    _afterwards(ida, told, now - 2 * HOUR)
    _past(ida, now)
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


def _solved(
    ida: Actor, at: dt.datetime, title: str, severity: str, slug: str, took: dt.timedelta
) -> Incident:
    incident = declare_incident(actor=ida, now=at, title=title, severity=severity, services=[slug])
    act: dict[str, Any] = {"incident_id": incident.pk, "actor": ida}
    acknowledge_incident(**act, now=at + 4 * MINUTE)
    post_update(**act, message="The cause is found and being taken back.", now=at + took / 2)
    resolve_incident(
        **act, resolution="The index was built anew and is current again."
        if slug == "search" else "The certificate of the identity provider was renewed.", now=at + took,
    )  # fmt: skip
    return incident


def _report(ida: Actor, incident: Incident, now: dt.datetime) -> None:
    """Half written: what was drafted, and what two people added."""
    draft_missing_reports(now=now)
    act: dict[str, Any] = {"incident_id": incident.pk, "actor": ida, "now": now}
    edit_report(**act, texts={
        "impact": "Customers of two tenants could not sign in by SSO",
        "primary_cause": "The certificate of the identity provider had **run out** at midnight.\n\n"
        "Its renewal had failed since the *new proxy* stands before it: `openssl verify` was never asked.",
        "users_affected": "About 340 people",
        "went_well": "The page reached Tomas in under two minutes\nNobody tried a rollback that could not help",
    })  # fmt: skip


def _afterwards(ida: Actor, incident: Incident, now: dt.datetime) -> None:
    """What is to be done, who has practised what, and a review to be held."""
    for title, kind, owner, days in (
        ("Ask for the certificate's end in the daily check", "immediate", "tomas", -1),
        ("Renew certificates past the new proxy", "long_term", "ida", 12),
        ("Write down whom to call at the provider", "action", "cleo", 3),
    ):
        day = (now + days * DAY).date()
        create_action_item(
            incident_id=incident.pk, actor=ida, now=now, title=title, kind=kind, owner=owner, due_on=day
        )
    record_training(course="procedures", people=["ida", "tomas"], actor=ida, now=now, done_at=now - 20 * DAY)
    record_training(course="emergency_response", people=["ida"], actor=ida, now=now, done_at=now - 400 * DAY)
    open_review(
        name="Review of the last seven days", begins_at=now - 7 * DAY, ends_at=now, due_at=now + 2 * DAY, actor=ida,
        now=now,
    )  # fmt: skip


def _past(ida: Actor, now: dt.datetime) -> None:
    """A year of small things, for the figures: each was answered and solved in its own time."""
    for number, (months, slug) in enumerate(zip(PAST, itertools.cycle(one[0] for one in SERVICES))):
        at = now - months * 30.4 * DAY - number * HOUR
        act: dict[str, Any] = {"actor": ida}
        incident = declare_incident(
            **act, now=at, title=f"{slug.capitalize()} is slow for some", severity="P3", services=[slug]
        )
        act["incident_id"] = incident.pk
        acknowledge_incident(**act, now=at + (3 + number * 7 % 19) * MINUTE)
        solved = at + (25 + number * 37 % 160) * MINUTE
        resolve_incident(**act, resolution="A cache was filled anew.", now=solved)
        close_incident(**act, reason="Nobody was kept from anything", now=solved + HOUR)


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
