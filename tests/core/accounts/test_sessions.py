"""Sessions end at the next request after something was taken away, and a week after the sign-in at the latest."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
import time_machine
from django.contrib.auth.models import Group
from django.contrib.sessions.models import Session
from django.db import connection
from django.test import Client

from core.clock import utcnow
from core.live_door import welcome
from core.models import ApiToken, User
from incidents.models import RoleGrant
from tests.core.accounts.conftest import PASSWORD, confirm, enter

pytestmark = pytest.mark.django_db


@pytest.fixture
def ida(make_user: Callable[..., User]) -> User:
    return make_user("ida", "commander", "incident_commander")


def _sql(statement: str, *values: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)


def _change_password(user: User) -> None:
    user.set_password("another long passphrase")
    user.save()


LOSSES: dict[str, Callable[[User], object]] = {
    "level by the ORM": lambda user: user.groups.clear(),
    "level changed": lambda user: user.groups.set([Group.objects.get(name="viewer")]),
    "level by SQL": lambda user: _sql("DELETE FROM core_user_groups WHERE user_id = %s", user.pk),
    "level moved by SQL": lambda user: _sql(
        "UPDATE core_user_groups SET group_id = (SELECT id FROM auth_group WHERE name = 'viewer') WHERE user_id = %s", user.pk
    ),
    "role by the ORM": lambda user: RoleGrant.objects.filter(user=user).delete(),
    "role by SQL": lambda user: _sql("UPDATE incidents_rolegrant SET role = 'technical_lead' WHERE user_id = %s", user.pk),
    "switched off": lambda user: User.objects.filter(pk=user.pk).update(is_active=False),
    "password": _change_password,
    "password by update": lambda user: User.objects.filter(pk=user.pk).update(password="!"),
}  # fmt: skip


@pytest.mark.parametrize("loss", LOSSES)
def test_the_next_request_is_signed_out(ida: User, client: Client, loss: str) -> None:
    enter(client)
    key = client.session.session_key
    assert client.get("/").status_code == 200
    assert client.get("/api/v1/incidents/").status_code == 200
    LOSSES[loss](User.objects.get(pk=ida.pk))
    assert key is not None
    assert welcome({key}) == set()  # the live stream too
    assert client.get("/api/v1/incidents/").status_code in (401, 403)
    assert client.get("/").status_code == 302


def test_what_is_added_ends_nothing(ida: User, client: Client) -> None:
    enter(client)
    ida.groups.add(Group.objects.get(name="administrator"))
    RoleGrant.objects.create(user=ida, role="technical_lead")
    User.objects.filter(pk=ida.pk).update(first_name="Ida")
    assert client.get("/").status_code == 200


def test_a_stale_save_brings_no_dead_session_back(ida: User, client: Client) -> None:
    enter(client)
    read_before = User.objects.get(pk=ida.pk)
    ida.groups.clear()
    read_before.save()  # all its columns, the old stamp too
    ida.groups.add(Group.objects.get(name="commander"))
    assert client.get("/").status_code == 302


def test_nor_does_switching_the_account_on_again(ida: User, client: Client) -> None:
    enter(client)
    for active in (False, True):
        User.objects.filter(pk=ida.pk).update(is_active=active)
    assert client.get("/").status_code == 302


def test_the_admins_form_ends_sessions_as_well(
    ida: User, make_user: Callable[..., User], client: Client
) -> None:
    ada = make_user("ada", "administrator")
    User.objects.filter(pk=ada.pk).update(is_staff=True)
    admin = Client()
    enter(admin, "ada")
    enter(client)
    form = {
        "username": "ida", "is_active": "on", "groups": [Group.objects.get(name="viewer").pk],
        "_grants-TOTAL_FORMS": "0", "_grants-INITIAL_FORMS": "0",
        "rolegrant_set-TOTAL_FORMS": "0", "rolegrant_set-INITIAL_FORMS": "0",
        "+-TOTAL_FORMS": "0", "+-INITIAL_FORMS": "0",
        "incidents-rolegrant-TOTAL_FORMS": "0", "incidents-rolegrant-INITIAL_FORMS": "0",
    }  # fmt: skip
    page = admin.get(f"/admin/core/user/{ida.pk}/change/")
    for inline in page.context["inline_admin_formsets"]:
        prefix = inline.formset.prefix
        form |= {f"{prefix}-TOTAL_FORMS": "0", f"{prefix}-INITIAL_FORMS": "0"}
    assert admin.post(f"/admin/core/user/{ida.pk}/change/", form).status_code == 302
    assert client.get("/").status_code == 302


def test_a_token_acts_with_the_level_of_the_moment(ida: User) -> None:
    expires = utcnow() + dt.timedelta(days=1)
    _token, text = ApiToken.issue(user=ida, name="ci", scopes=["read", "write"], expires_at=expires)
    program = Client(headers={"Authorization": f"Bearer {text}"})
    body = {"title": "From a script", "severity": "P3"}

    def declare() -> int:
        return program.post("/api/v1/incidents/", body, content_type="application/json").status_code

    assert declare() == 201
    ida.groups.set([Group.objects.get(name="viewer")])
    assert declare() == 403
    assert program.get("/api/v1/incidents/").status_code == 200
    ida.groups.clear()
    assert program.get("/api/v1/incidents/").status_code == 403
    User.objects.filter(pk=ida.pk).update(is_active=False)
    assert program.get("/api/v1/incidents/").status_code == 401


def test_changing_the_password_keeps_this_session_and_ends_the_others(ida: User, client: Client) -> None:
    other = Client()
    enter(client)
    enter(other)
    new = {
        "oldpassword": PASSWORD,
        "password1": "a different passphrase",
        "password2": "a different passphrase",
    }
    assert client.post("/accounts/password/change/", new).status_code == 302
    assert [browser.get("/").status_code for browser in (client, other)] == [200, 302]


def test_a_session_has_a_new_key_from_the_sign_in_on(ida: User, client: Client) -> None:
    client.get("/accounts/login/")
    planted = client.session
    planted["planted"] = True
    planted.save()
    client.cookies["sessionid"] = str(planted.session_key)
    enter(client)
    assert client.session.session_key != planted.session_key
    assert not Session.objects.filter(session_key=planted.session_key).exists()


@pytest.mark.parametrize("remember", [{}, {"remember": "on"}])
def test_a_busy_session_ends_after_a_week(ida: User, remember: dict[str, str], settings: Any) -> None:
    browser, began = Client(), utcnow()
    browser.post("/accounts/login/", {"login": "ida", "password": PASSWORD, **remember})
    for days, expected in ((1, 200), (4, 200), (6.99, 200), (7.01, 302)):
        with time_machine.travel(began + dt.timedelta(days=days), tick=False):
            if expected == 200:
                confirm(browser)  # busy: each confirmation saves the session
            assert browser.get("/").status_code == expected, days
            assert (welcome({browser.cookies["sessionid"].value}) != set()) == (expected == 200)


def test_the_others_are_signed_out_by_one_button(ida: User, client: Client) -> None:
    other = Client(headers={"User-Agent": "<b>Phone</b>"})
    enter(client)
    enter(other, REMOTE_ADDR="203.0.113.9")
    page = client.get("/accounts/sessions/").content.decode()
    assert "203.0.113.9" in page
    assert "&lt;b&gt;Phone" in page
    assert client.post("/accounts/sessions/").status_code == 302
    assert [browser.get("/").status_code for browser in (client, other)] == [200, 302]


def test_many_streams_are_judged_by_three_queries(
    make_user: Callable[..., User], django_assert_num_queries: Any
) -> None:
    keys = set()
    for number in range(6):
        browser = Client()
        browser.force_login(make_user(f"user{number}", "viewer" if number % 2 else ""))
        keys.add(str(browser.session.session_key))
    with django_assert_num_queries(3):
        assert len(welcome(keys | {"nobody"})) == 3
