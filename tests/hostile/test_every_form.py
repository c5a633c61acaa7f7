"""Every form of the pages and of the admin, every field of it, with whatever cannot be meant."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import pytest
from django import forms
from django.contrib import admin
from django.db import transaction
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from comms.models import Component, Delivery, WebhookEndpoint
from comms.services.components import ensure_components
from comms.services.external import draft_message
from core.actors import SYSTEM, Actor
from core.models import ApiToken, Event, Process, User
from core.views.commands import CommandView
from incidents.models import (
    ActionItem,
    Document,
    Evidence,
    Incident,
    MaintenanceWindow,
    Review,
    Service,
    Silence,
    Task,
)
from incidents.services.checklists import answer_event
from rollbacks import policy
from rollbacks.models import Drill, Rollback
from rollbacks.services.requests import request_rollback
from tests.hostile.doors import Doors, row_counts

VALUES = ("a\0b", "\x1b[31m", "\u200b", "9" * 30, "0001-01-01T00:00", "[" * 5000, '"\\ud800"')
UNDERSTOOD = {200, 302, 400, 403, 404, 409, 413, 422}
OWN = ("core", "incidents", "rollbacks", "comms")


@pytest.fixture
def rollback(incident: Incident, commander: Actor, now: dt.datetime) -> Rollback:
    answer_event(event=Event.objects.filter(stream=incident.stream).earliest("seq"), now=now)  # its checklist
    return request_rollback(incident_id=incident.pk, service="shop", reason="bad", actor=commander, now=now)


def silent_process(now: dt.datetime) -> Process:
    began = now - dt.timedelta(hours=1)
    # Its number is everything else's too, and far from those that are given out.
    return Process.objects.create(
        id=1_000_000, name="checks", host="beta", pid=1, started_at=began, beat_at=began
    )


def command_addresses(incident: Incident, rollback: Rollback) -> Iterator[str]:
    """The address of every command on a page."""
    process = silent_process(rollback.requested_at)
    span = {"starts_at": process.started_at, "ends_at": rollback.requested_at + dt.timedelta(days=1)}
    for model in (Silence, MaintenanceWindow):
        model.objects.create(
            id=process.pk, reason="x", created_at=process.started_at, **span,
            **({"matchers": []} if model is Silence else {}),
        )  # fmt: skip
    WebhookEndpoint.objects.create(
        id=process.pk, url="http://1.1.1.1/", not_before=process.started_at, created_at=process.started_at
    )
    Task.objects.create(
        id=process.pk, incident=incident, title="x", created_at=process.started_at, created_by="x"
    )
    day = process.started_at
    Document.objects.create(id=process.pk, key="x", name="x", owner="management", due_at=day)
    Review.objects.create(
        id=process.pk,
        name="x",
        begins_at=day - dt.timedelta(days=7),
        ends_at=day,
        opened_at=day,
        opened_by="x",
        due_at=day,
    )
    Drill.objects.create(
        id=process.pk, service=rollback.service, scenario="bad_release", plan=policy.drill_plan("bad_release"),
        starts_at=span["ends_at"], planned_by="x", planned_at=day,
    )  # fmt: skip
    ActionItem.objects.create(id=process.pk, title="x", created_at=process.started_at, created_by="x")
    Evidence.objects.create(
        id=process.pk, incident=incident, name="a.txt", kind="text", content_type="text/plain", size=1, sha256="0" * 64,
        attached_at=process.started_at, attached_by="x",
    )  # fmt: skip
    now = rollback.requested_at
    Service.objects.update(public_name="Shop")
    ensure_components(now=now)
    draft = draft_message(incident_id=incident.pk, template="external_update", actor=SYSTEM, now=now)
    sent = Delivery.objects.create(
        message=draft,
        event=draft.event,
        channel="email",
        lane="email",
        recipient="x",
        created_at=now,
        due_at=now,
    )
    for pattern in page_patterns(get_resolver()):
        view = getattr(pattern.callback, "view_class", None)
        if not (isinstance(view, type) and issubclass(view, CommandView)):
            continue
        route = str(pattern.pattern)
        if route.startswith("channels/connections/"):
            continue  # no channel of the shipped playbook needs one: tests/comms/test_connections.py
        ref = rollback.ref if route.startswith("rollbacks/") else incident.ref
        named = {
            "slug:ref": ref,
            "slug:role": "incident_commander",
            "slug:section": "impact",
            "int:seq": 1,
            "slug:checklist": "emergency",
            "slug:item": "assess_severity",
            "int:position": 1,
            "int:pk": process.pk,
            "slug:slug": "shop",
            "slug:key": "incident_response",
            "slug:public_id": Component.objects.earliest("pk").public_id,
            "int:message": draft.pk,
            "int:delivery": sent.pk,
            "path:version": "1.9.0",
        }
        for part, value in named.items():
            route = route.replace(f"<{part}>", str(value))
        yield f"/{route}"


def page_patterns(resolver: URLResolver) -> Iterator[URLPattern]:
    for pattern in resolver.url_patterns:
        if isinstance(pattern, URLPattern):
            yield pattern
        elif pattern.namespace in OWN:
            yield from page_patterns(pattern)


@pytest.mark.faults
def test_no_form_of_a_page_breaks(doors: Doors, rollback: Rollback) -> None:
    tried = 0
    for address in command_addresses(doors.incident, rollback):
        client = doors.admin if address.startswith(("/webhooks/", "/channels/")) else doors.page
        asked = client.get(address, {"service": "shop"})
        assert asked.status_code == 200, address
        form = asked.context["form"]
        for data in with_one_wrong(form):
            tried += 1
            refused_or_understood(client, address, data)
    assert tried > 200


@pytest.mark.faults
def test_no_form_of_the_admin_breaks(doors: Doors, rollback: Rollback) -> None:
    ApiToken.issue(
        user=User.objects.get(username="ida"),
        name="x",
        scopes=["read"],
        expires_at=rollback.requested_at + dt.timedelta(days=1),
    )
    tried = 0
    for address in admin_addresses():
        asked = doors.admin.get(address)
        if asked.status_code == 403 or "adminform" not in asked.context:
            continue  # only to be read
        for data in with_one_wrong(asked.context["adminform"].form, management(asked)):
            tried += 1
            refused_or_understood(doors.admin, address, data)
    assert tried > 150


def admin_addresses() -> Iterator[str]:
    for model in admin.site._registry:
        if model._meta.app_label in OWN:
            name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
            yield reverse(f"{name}_add")
            if (row := model._default_manager.first()) is not None:
                yield reverse(f"{name}_change", args=[row.pk])


def management(asked: Any) -> dict[str, str]:
    """What the inline tables of an admin page need besides the form."""
    return {
        f"{inline.formset.prefix}-{name}": "0"
        for inline in asked.context.get("inline_admin_formsets", [])
        for name in ("TOTAL_FORMS", "INITIAL_FORMS")
    }


def with_one_wrong(form: forms.BaseForm, more: dict[str, str] | None = None) -> Iterator[dict[str, Any]]:
    """The form's data as somebody would fill it in, each time with one field that is not meant."""
    whole = {
        name: filled(field, form.get_initial_for_field(field, name)) for name, field in form.fields.items()
    }
    for name in form.fields:
        for value in VALUES:
            yield {**whole, name: value, **(more or {})}


def filled(field: forms.Field, initial: Any) -> Any:
    if isinstance(field, forms.BooleanField):
        return "on" if initial else ""
    if isinstance(field, forms.ModelChoiceField):
        row = field.queryset.first() if field.queryset is not None else None
        return "" if row is None else row.pk
    if isinstance(field, forms.MultipleChoiceField):
        return []
    if isinstance(field, forms.ChoiceField):
        return initial or next((key for key, _label in list(field.choices) if key), "")  # type: ignore[arg-type]
    if isinstance(field, forms.JSONField):
        return field.prepare_value(initial)
    return "words" if initial in (None, "") and field.required else initial or ""


def refused_or_understood(client: Client, address: str, data: dict[str, Any]) -> None:
    point, before = transaction.savepoint(), row_counts()
    answer = client.post(address, data)
    assert answer.status_code in UNDERSTOOD, (address, data, answer.content[:300])
    if answer.status_code != 302:
        assert row_counts() == before, (address, data)
    transaction.savepoint_rollback(point)
