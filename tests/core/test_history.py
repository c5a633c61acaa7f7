"""The history of configuration: whatever changes a setting, the row says who, when and from what to what."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Callable

import pytest
from django.conf import settings
from django.contrib.auth.models import Group
from django.db import ProgrammingError, connection, transaction
from django.test import Client
from rest_framework.test import APIClient

from comms.models import Contact
from core.actors import SYSTEM, Actor, Level, actor_for_user
from core.models import ApiToken, User
from core.models.accounts import TOKEN_PREFIX
from core.selectors.change_texts import Names, describe, who_of
from core.selectors.changes import LENGTH, ChangeLine, history_models, list_changes, list_changes_of
from incidents.facts import Reading
from incidents.models import Monitor, Service
from incidents.services.measuring import observe
from incidents.services.monitors import create_monitor
from incidents.states import SampleOutcome
from rollbacks.services.automation import disarm_automation
from tests.processes import manage

AsOwner = Callable[[Callable[[], None]], None]
SOURCE = {"type": "http_json", "url": "http://127.0.0.1:1/metrics", "path": "error_rate"}


def newest(thing: str = "") -> ChangeLine:
    return list_changes(SYSTEM, thing=thing).lines[0]


@pytest.fixture
def contact(db: None) -> Contact:
    return Contact.objects.create(name="Zoe", email="zoe@example.test", audiences=["everyone"])


@pytest.fixture
def ada(make_user: Callable[..., User]) -> User:
    user = make_user("ada", "administrator")
    User.objects.filter(pk=user.pk).update(is_staff=True)
    return user


@pytest.fixture
def browser(ada: User) -> Client:
    client = Client()
    client.force_login(ada)
    return client


def test_update_and_raw_sql_are_recorded_with_old_and_new(contact: Contact) -> None:
    Contact.objects.filter(pk=contact.pk).update(phone="+49 30 1")
    assert newest("Contact").values == (("phone", None, "+49 30 1"),)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE comms_contact SET phone = '', active = FALSE WHERE id = %s", [contact.pk])
    line = newest("Contact")
    assert line.values == (("phone", "+49 30 1", None), ("active", "yes", "no"))
    assert (line.name, line.label, line.who) == ("Zoe", "changed", "Firebreak")


def test_a_deletion_says_what_there_was(contact: Contact) -> None:
    contact.delete()
    line = newest("Contact")
    assert line.label == "deleted"
    assert ("email", "zoe@example.test", None) in line.values


def test_somebody_at_psql_is_named_by_role_and_program(transactional_db: None, as_owner: AsOwner) -> None:
    def by_hand() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET application_name = 'psql'")
            cursor.execute(
                "INSERT INTO comms_contact (name, kind, title, role, audiences, email, phone, support_url, active)"
                " VALUES ('Mallory', 'team', '', '', '{}', '', '', '', TRUE)"
            )
            cursor.execute(
                "SELECT pgh_role, pgh_program FROM comms_contactchange ORDER BY pgh_id DESC LIMIT 1"
            )
            assert cursor.fetchone() == (settings.DATABASES["owner"]["USER"], "psql")
            cursor.execute("DELETE FROM comms_contact WHERE name = 'Mallory'")

    as_owner(by_hand)
    values = {"pgh_context": None, "pgh_role": "firebreak_owner", "pgh_program": "psql"}
    assert who_of(values) == "database role firebreak_owner in psql"


def test_the_admin_is_recorded_with_its_person_and_shown_on_the_history_page(
    browser: Client, contact: Contact
) -> None:
    data = {"name": "Zoe", "kind": "primary", "audiences": ["everyone"], "email": "zoe@example.test"}
    address = f"/admin/comms/contact/{contact.pk}/"
    answer = browser.post(f"{address}change/", data, headers={"X-Request-ID": "request-17"})
    assert answer.status_code == 302
    line = newest("Contact")
    assert (line.who, line.door, line.request_id) == ("ada", "admin", "request-17")
    assert ("kind", "team", "primary") in line.values
    page = browser.get(f"{address}history/").content.decode()
    assert "kind: team → primary" in page
    assert "request-17" in page


def test_the_api_is_recorded_with_its_token(ada: User, db: None) -> None:
    _token, text = ApiToken.issue(
        user=ada, name="ci", scopes=["write"], expires_at=dt.datetime.now(dt.UTC) + dt.timedelta(days=1)
    )
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {text}")
    made = client.post("/api/v1/services/", {"slug": "blog", "name": "Blog", "auto_rollback": False})
    assert made.status_code == 201, made.content
    line = newest("Service")
    assert (line.who, line.door, line.label, line.name) == ("ada (token ci)", "API", "created", "blog")


@pytest.mark.django_db(transaction=True)
def test_nobody_is_said_to_have_done_what_the_next_request_does() -> None:
    browser, contact = Client(), Contact.objects.create(name="Zoe")
    browser.force_login(User.objects.create_superuser("ada", is_staff=True))
    browser.post("/admin/comms/contact/add/", {"name": "Yan", "kind": "team"})
    assert newest("Contact").who == "ada"
    Contact.objects.filter(pk=contact.pk).update(title="CTO")
    assert newest("Contact").who == "Firebreak"


@pytest.mark.django_db(transaction=True)
def test_a_command_is_recorded_with_the_account_that_ran_it() -> None:
    script = "from comms.models import Contact; Contact.objects.create(name='By command')"
    done = manage("shell", "-v", "0", "-c", script)
    assert done.returncode == 0, done.stderr
    line = newest("Contact")
    assert re.fullmatch(r"command line \(.+\)", line.who)
    assert (line.door, line.name) == ("manage.py shell", "By command")


def test_levels_grants_tokens_and_the_switch_are_kept(make_user: Callable[..., User], ada: User) -> None:
    rosa = make_user("rosa", "responder", "technical_lead")
    rosa.groups.set([Group.objects.get(name="commander")])
    User.objects.filter(pk=rosa.pk).update(is_superuser=True)
    disarm_automation(reason="maintenance", actor=actor_for_user(ada), now=dt.datetime.now(dt.UTC))
    said = {(line.thing, line.label, line.name) for line in list_changes(SYSTEM).lines}
    assert said >= {
        ("Account", "created", "rosa"),
        ("Account", "changed", "rosa"),
        ("Account level", "created", "responder of rosa"),
        ("Account level", "deleted", "responder of rosa"),
        ("Account level", "created", "commander of rosa"),
        ("Role grant", "created", "technical_lead of rosa"),
        ("Automation switch", "changed", ""),
    }
    of_rosa = {line.thing for line in list_changes_of(SYSTEM, rosa).lines}
    assert of_rosa == {"Account", "Account level", "Role grant"}


def test_no_secret_is_ever_in_it(ada: User, contact: Contact) -> None:
    ada.set_password("a very secret passphrase")
    ada.save()
    token, text = ApiToken.issue(
        user=ada, name="ci", scopes=["read"], expires_at=dt.datetime.now(dt.UTC) + dt.timedelta(days=1)
    )
    source = SOURCE | {
        "headers": {"Authorization": "Bearer canary-1", "Cookie": "canary-3"},
        "url": "http://ida:canary-4@x/?api_key=canary-2&my_token_1=canary-5&a=b",
    }
    line = describe(
        next(model for model in history_models() if model.thing == "Monitor"),
        "source",
        {"source": source},
        Names({}),
    )
    assert line is not None and "canary" not in line and "a=b" in line
    with connection.cursor() as cursor:
        for model in history_models():
            cursor.execute(f"SELECT to_jsonb(t)::text FROM {model._meta.db_table} t")
            kept = "".join(row for (row,) in cursor.fetchall())
            for secret in (
                token.digest,
                text.removeprefix(f"{TOKEN_PREFIX}_{token.pk}_"),
                ada.password,
                "argon2",
            ):
                assert secret not in kept


def test_what_machines_write_every_few_seconds_makes_no_row(
    shop: Service, ada: User, now: dt.datetime
) -> None:
    monitor = create_monitor(actor=SYSTEM, now=now, service="shop", metric="error_rate", source=SOURCE)
    token, _text = ApiToken.issue(user=ada, name="ci", scopes=["read"], expires_at=now + dt.timedelta(days=1))
    before = len(list_changes(SYSTEM).lines)
    for second in range(5):
        observe(
            monitor_id=monitor.pk,
            reading=Reading(SampleOutcome.OK, 0.9),
            now=now + dt.timedelta(seconds=second),
        )
    Monitor.objects.filter(pk=monitor.pk).update(next_check_due_at=now)
    ApiToken.objects.filter(pk=token.pk).update(last_used_at=now)
    User.objects.filter(pk=ada.pk).update(last_login=now)
    assert len(list_changes(SYSTEM).lines) == before
    Monitor.objects.filter(pk=monitor.pk).update(enabled=False)
    assert newest("Monitor").name == "error_rate of Shop (production)"


@pytest.mark.parametrize("table", ["core_event", *(model._meta.db_table for model in history_models())])
@pytest.mark.parametrize(
    "statement",
    ["UPDATE {} SET {} = {}", "DELETE FROM {}", "TRUNCATE {}", "ALTER TABLE {} DISABLE TRIGGER ALL", "DROP TABLE {}"],
)  # fmt: skip
def test_the_application_may_only_append(transactional_db: None, table: str, statement: str) -> None:
    column = "id" if table == "core_event" else "pgh_id"
    with (
        pytest.raises(ProgrammingError, match=r"permission denied|must be owner"),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement.format(table, column, column))


@pytest.mark.parametrize(
    "statement", ["UPDATE comms_contactchange SET name = ''", "DELETE FROM comms_contactchange"]
)
def test_even_the_owner_is_refused_by_the_triggers(
    transactional_db: None, as_owner: AsOwner, statement: str
) -> None:
    Contact.objects.create(name="Zoe")

    def attempt() -> None:
        with pytest.raises(Exception, match="Cannot update or delete"), connection.cursor() as cursor:
            cursor.execute(statement)

    as_owner(attempt)


def test_a_change_that_is_rolled_back_leaves_no_row(contact: Contact) -> None:
    before = len(list_changes(SYSTEM).lines)
    with transaction.atomic():
        Contact.objects.update(title="nothing")
        transaction.set_rollback(True)
    assert len(list_changes(SYSTEM).lines) == before


def test_the_list_is_searched_filtered_and_paged_in_a_constant_number_of_queries(
    browser: Client, shop: Service, django_assert_max_num_queries: Callable[..., object]
) -> None:
    Contact.objects.bulk_create(
        Contact(name=f"Person {number:03}", title="100% sure_") for number in range(LENGTH + 5)
    )
    first = browser.get("/changes/?thing=Contact&q=person")
    assert first.status_code == 200
    assert len(first.context["lines"]) == LENGTH
    second = browser.get(first.context["next_url"])
    names = [line.name for line in (*first.context["lines"], *second.context["lines"])]
    assert len(set(names)) == len(names) == LENGTH + 5
    assert second.context["next_url"] is None
    assert not browser.get("/changes/?q=100%25sure").context["lines"]  # % and _ are no wildcards
    assert browser.get("/changes/?q=100%25 sure_").context["lines"]
    for nonsense in ("x", "2026-13-45~1", "2026-01-01~1", "2026-01-01T00:00:00Z~x", "~", "%00"):
        assert browser.get("/changes/", {"before": nonsense, "thing": nonsense}).status_code in (200, 400)
    with django_assert_max_num_queries(9):  # type: ignore[attr-defined]
        browser.get("/changes/")


def test_who_may_read_what(
    make_actor: Callable[..., Actor], contact: Contact, make_user: Callable[..., User]
) -> None:
    make_user("rosa", "responder")
    commander = make_actor("cora", "commander")
    assert {line.thing for line in list_changes(commander).lines} == {"Contact"}
    assert not list_changes(make_actor("rob", "responder")).lines
    for level, status in (("responder", 403), ("viewer", 403), ("commander", 200)):
        client = Client()
        client.force_login(make_user(f"x-{level}", level))
        assert client.get("/changes/").status_code == status
    assert Client().get("/changes/").status_code == 302
    assert Level.ADMINISTRATOR > Level.COMMANDER


def test_a_commander_does_not_read_accounts_on_a_history_page(
    make_actor: Callable[..., Actor], ada: User
) -> None:
    assert not list_changes_of(make_actor("cora", "commander"), ada).lines


def test_hostile_values_are_shown_as_text(browser: Client, db: None) -> None:
    Contact.objects.create(name="<img src=x onerror=alert(1)>", title="</td><script>x</script>")
    page = browser.get("/changes/").content.decode()
    assert "<img src=x" not in page and "<script>x" not in page
    assert json.dumps("&lt;img") and "&lt;img src=x" in page
