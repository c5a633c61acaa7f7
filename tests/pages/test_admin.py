"""The admin: account levels decide, history is read only, and new things go through the services."""

from __future__ import annotations

import datetime as dt
import json

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import reverse

from core.models import ApiToken, Event, User
from incidents.models import Monitor, RoleGrant, Service
from tests.pages.conftest import Afternoon, SignIn

SOURCE = {"type": "http_json", "url": "http://127.0.0.1:1/metrics", "path": "error_rate"}
HISTORY = (
    "core_event",
    "core_pendingevent",
    "rollbacks_rollback",
    "comms_message",
    "comms_delivery",
    "incidents_release",
)


@pytest.fixture
def staff(sign_in: SignIn) -> Client:
    """The browser of an administrator who may enter the admin."""
    return enter(sign_in, "ada", "administrator")


def enter(sign_in: SignIn, username: str, level: str) -> Client:
    browser = sign_in(username, level)
    User.objects.filter(username=username).update(is_staff=True)
    return browser


def test_every_list_and_every_entry_opens(staff: Client, afternoon: Afternoon, make_token: ApiToken) -> None:
    assert staff.get("/admin/").status_code == 200
    for model, model_admin in admin.site._registry.items():
        if model._meta.app_label not in ("core", "incidents", "rollbacks", "comms"):
            continue
        name = f"{model._meta.app_label}_{model._meta.model_name}"
        assert (
            staff.get(
                reverse(f"admin:{name}_changelist"), {"q": "x"} if model_admin.search_fields else {}
            ).status_code
            == 200
        )
        row = model._default_manager.first()
        if row is not None:
            assert staff.get(reverse(f"admin:{name}_change", args=[row.pk])).status_code == 200, name


@pytest.mark.parametrize("name", HISTORY)
def test_what_happened_cannot_be_changed(staff: Client, afternoon: Afternoon, name: str) -> None:
    assert staff.get(reverse(f"admin:{name}_add")).status_code == 403
    row = admin.site._registry[
        next(m for m in admin.site._registry if m._meta.label_lower == name.replace("_", ".", 1))
    ].model
    first = row._default_manager.first()
    if first is not None:
        assert staff.post(reverse(f"admin:{name}_change", args=[first.pk]), {}).status_code == 403
        assert (
            staff.post(reverse(f"admin:{name}_delete", args=[first.pk]), {"post": "yes"}).status_code == 403
        )


def test_levels_decide_and_not_only_being_staff(sign_in: SignIn, db: None) -> None:
    rosa = enter(sign_in, "rosa", "responder")
    cora = enter(sign_in, "cora", "commander")
    for name in ("comms_contact", "incidents_service", "core_event", "core_user", "core_apitoken"):
        assert rosa.get(reverse(f"admin:{name}_changelist")).status_code == 403, name
    assert cora.get(reverse("admin:comms_contact_add")).status_code == 200
    for name in ("core_user", "core_apitoken", "core_event"):  # an event may be of what is restricted
        assert cora.get(reverse(f"admin:{name}_changelist")).status_code == 403, name


def test_without_being_staff_nobody_enters(sign_in: SignIn) -> None:
    assert sign_in("cora", "administrator").get("/admin/").status_code == 302


def test_a_new_service_and_its_monitor_have_their_events(staff: Client) -> None:
    service = {
        "slug": "blog",
        "name": "Blog",
        "environment": "production",
        "procedure": "storefront_rollback",
    }
    assert staff.post(reverse("admin:incidents_service_add"), service).status_code == 302
    blog = Service.objects.get(slug="blog")
    monitor = {
        "service": blog.pk, "metric": "error_rate", "source": json.dumps(SOURCE), "interval_seconds": 5,
        "thresholds": "null", "policy": "rollback_triggers", "on_monitoring_failure": "page", "enabled": "on",
    }  # fmt: skip
    assert staff.post(reverse("admin:incidents_monitor_add"), monitor).status_code == 302
    assert Monitor.objects.get().next_check_due_at is not None
    kinds = list(Event.objects.filter(stream=blog.stream).order_by("seq").values_list("kind", "actor"))
    assert kinds == [("service.created", "ada"), ("monitor.created", "ada")]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"source": "[]"}, "source"),
        ({"source": json.dumps(SOURCE | {"url": "file:///etc/passwd"})}, "source"),
        ({"thresholds": '{"critical": "x"}'}, "thresholds"),
        ({"thresholds": '{"high": 2, "critical": 1}'}, "thresholds"),
        ({"thresholds": "[1]"}, "thresholds"),
        ({"metric": "queue_length"}, "thresholds"),
        ({"policy": "none"}, "policy"),
        ({"interval_seconds": 0}, "interval_seconds"),
    ],
)
def test_a_monitor_that_means_nothing_comes_back(
    staff: Client, shop: Service, change: dict[str, object], field: str
) -> None:
    monitor = {
        "service": shop.pk, "metric": "error_rate", "source": json.dumps(SOURCE), "interval_seconds": 5,
        "thresholds": "null", "policy": "rollback_triggers", "on_monitoring_failure": "page",
    }  # fmt: skip
    answer = staff.post(reverse("admin:incidents_monitor_add"), monitor | change)
    assert answer.status_code == 200
    assert field in answer.context["adminform"].form.errors
    assert not Monitor.objects.exists()


def test_an_account_is_given_a_level_and_roles(staff: Client, sign_in: SignIn) -> None:
    sign_in("rosa", "responder")
    rosa = User.objects.get(username="rosa")
    address = reverse("admin:core_user_change", args=[rosa.pk])
    page = staff.get(address).content.decode()
    assert "is_superuser" not in page
    prefix = staff.get(address).context["inline_admin_formsets"][0].formset.prefix
    data = {
        "username": "rosa", "is_active": "on", "groups": [str(g.pk) for g in rosa.groups.all()],
        f"{prefix}-TOTAL_FORMS": "1", f"{prefix}-INITIAL_FORMS": "0",
        f"{prefix}-0-user": str(rosa.pk), f"{prefix}-0-role": "technical_lead",
        "date_joined_0": "2026-11-23", "date_joined_1": "10:00:00",
    }  # fmt: skip
    assert staff.post(address, data).status_code == 302
    assert RoleGrant.objects.get().role == "technical_lead"


@pytest.fixture
def make_token(staff: Client, now: dt.datetime) -> ApiToken:
    user = User.objects.get(username="ada")
    token, _secret = ApiToken.issue(
        user=user, name="ci", scopes=["read"], expires_at=now + dt.timedelta(days=1)
    )
    return token


def test_a_token_is_revoked_and_never_shown(staff: Client, make_token: ApiToken, now: dt.datetime) -> None:
    for address in (
        reverse("admin:core_apitoken_changelist"),
        reverse("admin:core_apitoken_change", args=[make_token.pk]),
    ):
        assert make_token.digest not in staff.get(address).content.decode()
    assert staff.get(reverse("admin:core_apitoken_add")).status_code == 403
    staff.post(
        reverse("admin:core_apitoken_changelist"), {"action": "revoke", "_selected_action": [make_token.pk]}
    )
    make_token.refresh_from_db()
    assert not make_token.is_usable(now)


def test_contacts_are_edited_and_shown_by_whom_to_call_first(staff: Client) -> None:
    for name, kind in (("Team", "team"), ("<b>Zoe</b>", "primary")):
        data = {
            "name": name,
            "kind": kind,
            "audiences": ["everyone"],
            "email": f"{kind}@example.test",
            "active": "on",
        }
        assert staff.post(reverse("admin:comms_contact_add"), data).status_code == 302
    answer = staff.get("/contacts/")
    assert [group.label for group in answer.context["page"].groups] == ["Primary contacts", "Team"]
    page = answer.content.decode()
    assert "<b>Zoe" not in page
    assert reverse("admin:comms_contact_changelist") in page
