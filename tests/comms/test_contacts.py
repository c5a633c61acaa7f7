"""Contacts: one by one and by the sheet; who cannot be reached is seen before it matters."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from comms.models import Contact
from comms.rules.reachability import is_usable_number, why_unreachable
from comms.selectors.contacts import MOST_SHOWN, contacts_page, nobody_reachable, sheet
from comms.services.contacts import import_contacts
from comms.states import Means
from core.actors import SYSTEM, Actor
from core.models import User
from core.sheets import guarded, unguarded
from incidents.models import Incident
from tests.signing_in import sign_in

pytestmark = pytest.mark.django_db
API = "/api/v1/contacts/"
JSON: dict[str, Any] = {"content_type": "application/json"}


@pytest.fixture
def ida(client: Client, make_user: Callable[..., User]) -> Client:
    sign_in(client, make_user("ida", "commander"))
    return client


def take(data: str | bytes, now: dt.datetime, *, apply: bool = True) -> Any:
    raw = data.encode() if isinstance(data, str) else data
    return import_contacts(data=raw, apply=apply, actor=SYSTEM, now=now)


def test_a_contact_is_made_changed_and_removed_by_the_api(ida: Client) -> None:
    sent = {
        "name": "Ann", "email": "ann@example.test", "phone": "+49 30 1234567", "time_zone": "Europe/Berlin",
        "reach": ["chat", "sms"], "quiet_from": "22:00", "quiet_until": "07:00", "user": "ida",
    }  # fmt: skip
    made = ida.post(API, sent, **JSON)
    assert made.status_code == 201, made.content
    assert {name: made.json()[name] for name in sent} == sent
    address = f"{API}{made.json()['id']}/"
    assert ida.patch(address, {"role": "technical_lead"}, **JSON).json()["role"] == "technical_lead"
    again = ida.post(API, {"name": "Other", "email": "ANN@example.test"}, **JSON)
    assert (again.status_code, again.json()["code"]) == (409, "duplicate")
    assert ida.delete(address).status_code == 204
    assert ida.get(address).status_code == 404


@pytest.mark.parametrize(
    ("sent", "pointer"),
    [
        ({"email": "nowhere"}, "/email"),
        ({"phone": "call me"}, "/phone"),
        ({"time_zone": "Europe/Atlantis"}, "/time_zone"),
        ({"time_zone": "../../etc/passwd"}, "/time_zone"),
        ({"reach": ["sms", "sms"]}, "/reach"),
        ({"reach": ["pigeon"]}, "/reach/0"),
        ({"quiet_from": "22:00"}, "/quiet_until"),
        ({"quiet_from": "25:00", "quiet_until": "7"}, "/quiet_from"),
        ({"user": "nobody"}, "/user"),
        ({"support_url": "javascript:alert(1)"}, "/support_url"),
        ({"chat": "a b"}, "/chat"),
        ({"nothing": 1}, "/nothing"),
    ],
)
def test_what_is_wrong_is_named(ida: Client, sent: dict[str, Any], pointer: str) -> None:
    answer = ida.post(API, {"name": "Ann"} | sent, **JSON)
    assert answer.status_code == 400
    assert pointer in [error["pointer"] for error in answer.json()["errors"]]
    assert not Contact.objects.exists()


def test_a_sheet_is_looked_at_first_and_stored_when_asked(ida: Client) -> None:
    data = "name,email,phone,audiences\r\nAnn,ann@example.test,'+49 30 1234567,technical_team management\r\n"
    post: dict[str, Any] = {"data": data.encode(), "content_type": "text/csv"}
    seen = ida.post(f"{API}import/", **post)
    assert seen.json() == {"applied": False, "created": 1, "changed": 0, "unchanged": 0, "wrong": []}
    assert not Contact.objects.exists()
    assert ida.post(f"{API}import/?apply=true", **post).json()["applied"] is True
    ann = Contact.objects.get()
    assert (ann.phone, ann.audiences) == ("+49 30 1234567", ["technical_team", "management"])
    assert ida.post(f"{API}import/?apply=true", **post).json()["unchanged"] == 1
    out = ida.get("/api/v1/contacts.csv")
    assert out["Content-Type"].startswith("text/csv")
    assert b"'+49 30 1234567" in out.content


HOSTILE = [
    ("name,email\nAnn,ann@example.test\nBob,nowhere\n", 3, "email"),
    ("name,email\nAnn,a@example.test\nAnn B,A@example.test\n", 3, "email"),
    ("name\nAnn\nAnn\n", 3, "name"),
    ("name,kind\nAnn,friend\n", 2, "kind"),
    ("name,audiences\nAnn,everyone;plumbers\n", 2, "audiences"),
    ("name,time_zone\nAnn,Mars\n", 2, "time_zone"),
    ("name,active\nAnn,maybe\n", 2, "active"),
    ("name,quiet_from\nAnn,22:00\n", 2, "quiet_until"),
    ("name,user\nAnn,nobody\n", 2, "user"),
    ("name,salary\nAnn,1\n", 1, "salary"),
    ("name,name\nAnn,Bob\n", 1, "name"),
    ("email\na@example.test\n", 1, "name"),
    ("name,email\nAnn\n", 2, ""),
    ("name\n\u202eAnn\n", 2, "name"),
    ("name,email\n,a@example.test\n", 2, "name"),
    (b"name\nAnn\nM\xfcller\n", 3, ""),
    ("name\nAnn\n".encode("utf-16"), 1, ""),
    ("name\nA\0nn\n", 2, ""),
    ('name\n"Ann\n', 1, ""),
    ("", 1, ""),
    ("name\n" + "x" * 121 + "\n", 2, "name"),
    ("name\n" + "".join(f"N{number}\n" for number in range(10_001)), 10_002, ""),
]


@pytest.mark.parametrize(("data", "row", "column"), HOSTILE)
def test_a_sheet_with_anything_wrong_stores_nothing_and_says_where(
    data: str | bytes, row: int, column: str, now: dt.datetime
) -> None:
    Contact.objects.create(name="Zoe", email="zoe@example.test")
    done = take(data, now)
    assert not done.applied
    assert (row, column) in [(wrong.row, wrong.column) for wrong in done.wrong]
    assert list(Contact.objects.values_list("name", flat=True)) == ["Zoe"]


@pytest.mark.parametrize("name", ["=1+1", "+1", "-2", "@SUM(A1)", "'=quoted", "=cmd|' /C calc'!A0"])
def test_no_cell_is_a_formula_and_every_cell_comes_back(name: str, now: dt.datetime) -> None:
    Contact.objects.create(name=name, email="a@example.test", phone="+49 30 1234567")
    text = sheet(Contact.objects.all())
    assert not any(cell.startswith(("=", "+", "-", "@")) for cell in text.splitlines()[1].split(","))
    assert take(text, now).unchanged == 1


@given(st.text() | st.text("'=+-@ a"))
def test_a_guarded_cell_is_read_as_it_was(text: str) -> None:
    assert unguarded(guarded(text)) == text


@pytest.mark.faults
def test_ten_thousand_rows_are_taken_at_once(now: dt.datetime, django_assert_max_num_queries: Any) -> None:
    data = "name,email\n" + "".join(f"N{n},n{n}@example.test\n" for n in range(10_000))
    with django_assert_max_num_queries(30):
        assert take(data, now).created == 10_000


# --- reached or not -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("phone", "usable"),
    [("+49 (0)30 123-4567", True), ("030 1234567", False), ("+1 2", False), ("+0301234567", False)],
)
def test_a_number_needs_its_country(phone: str, usable: bool) -> None:
    assert is_usable_number(phone) is usable


def test_why_nobody_is_reached() -> None:
    ready = {Means.SMS, Means.EMAIL}
    assert why_unreachable({Means.EMAIL: "a@b.test"}, ready=ready) == ()
    assert why_unreachable({Means.CHAT: "U1"}, ready=ready) == ("There is no address for SMS, E-mail.",)
    assert len(why_unreachable({Means.SMS: "030"}, ready=ready)) == 2
    assert why_unreachable({}, ready=()) == ("No channel is set up.",)
    mail = {Means.EMAIL: "a@b.test"}
    assert len(why_unreachable(mail, ready=ready, account_disabled=True, last_failed=True)) == 2


@pytest.fixture
def by_mail(settings: Any) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"


def test_the_page_warns_dials_and_says_who_sleeps(
    by_mail: None, ida: Client, incident_of_ida: Incident
) -> None:
    Contact.objects.create(name="Ann", kind="primary", phone="+49 (0)30 12-34567", role="technical_lead")
    Contact.objects.create(
        name="Ida", email="ida@example.test", user=User.objects.get(username="ida"), time_zone="Asia/Tokyo",
        quiet_from=dt.time(0, 0), quiet_until=dt.time(23, 59),
    )  # fmt: skip
    shown = ida.get("/contacts/").content.decode()
    assert "1 contact cannot be reached" in shown
    assert "There is no address for E-mail." in shown
    assert 'href="tel:+49301234567"' in shown
    assert "quiet until" in shown
    assert f"on {incident_of_ida.ref}" in shown
    assert "Ann" not in ida.get("/contacts/?by=incident").content.decode()
    assert "Technical Lead" in ida.get("/contacts/?by=role").content.decode()
    assert "Technical Lead" in nobody_reachable()[0].text


def test_somebody_who_may_see_security_incidents_must_be_reachable(
    by_mail: None, make_user: Callable[..., User]
) -> None:
    def missing() -> bool:
        return "contacts.no_security" in [trouble.key for trouble in nobody_reachable()]

    for name, level, *roles in (
        ("carl", "commander", "incident_commander"),
        ("vic", "viewer", "security_lead"),  # sees it, and may not acknowledge it
    ):
        user = make_user(name, level, *roles)
        Contact.objects.create(name=name, email=f"{name}@example.test", user=user)
    Contact.objects.create(name="Mallory", email="m@example.test")  # no account
    assert missing()
    lead = make_user("lea", "responder", "security_lead")
    contact = Contact.objects.create(name="Lea", user=lead)
    assert missing(), "a contact without an address is not reached"
    contact.email = "lea@example.test"
    contact.save()
    assert not missing()
    User.objects.filter(pk=lead.pk).update(is_active=False)
    assert missing()
    boss = make_user("boss", "administrator")
    Contact.objects.create(name="Boss", email="boss@example.test", user=boss)
    assert not missing()


@pytest.fixture
def incident_of_ida(ida: Client, now: dt.datetime) -> Incident:
    from dataclasses import replace

    from core.actors import actor_for_user
    from incidents.models import RoleGrant
    from incidents.services.incidents import declare_incident
    from incidents.services.people import assign_role

    user = User.objects.get(username="ida")
    RoleGrant.objects.create(user=user, role="incident_commander")
    actor = replace(actor_for_user(user), authenticated_at=now)
    found = declare_incident(actor=actor, now=now, title="Down", severity="P1")
    ask: dict[str, Any] = {"incident_id": found.pk, "role": "incident_commander", "username": "ida"}
    assign_role(**ask, actor=actor, now=now)
    return found


def test_five_hundred_contacts_cost_as_many_queries_as_one(
    by_mail: None, commander: Actor, now: dt.datetime, django_assert_num_queries: Any
) -> None:
    for number in (1, 500):
        Contact.objects.bulk_create(
            Contact(name=f"{number}-{n}", email=f"{number}-{n}@example.test") for n in range(number)
        )
        with django_assert_num_queries(4):
            contacts_page(commander, by="kind", now=now)


def test_the_page_finds_by_words_and_shows_no_more_than_it_can(
    by_mail: None, ida: Client, incident_of_ida: Incident
) -> None:
    Contact.objects.bulk_create(Contact(name=f"Team {n:03}", kind="team") for n in range(MOST_SHOWN + 1))
    Contact.objects.create(name="Ann Lee", kind="primary", phone="+49 30 1234567", role="technical_lead")
    Contact.objects.create(name="Ida", user=User.objects.get(username="ida"))
    whole = ida.get("/contacts/").content.decode()
    assert "Ann Lee" in whole, "who is called first comes first"
    assert "search to find the others" in whole
    for words in ("lee", "technical ann", "1234567"):
        found = ida.get("/contacts/", {"q": words}).content.decode()
        assert 'href="tel:+49301234567"' in found, words
        assert "Team 001" not in found
        assert "search to find the others" not in found
    assert "Nobody like that" in ida.get("/contacts/?q=zebra").content.decode()
    on_it = ida.get("/contacts/?by=incident").content.decode()
    assert f"{incident_of_ida.ref} Down" in on_it
    assert "Team 001" not in on_it
    assert "by=role&amp;q=lee" in ida.get("/contacts/?q=lee").content.decode(), "the words stay"
