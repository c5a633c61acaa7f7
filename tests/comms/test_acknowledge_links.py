"""The link in a message: personal, short-lived, good for acknowledging and for nothing else."""

from __future__ import annotations

import datetime as dt
import re
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from comms.deliveries import send_due_deliveries
from comms.deliveries.attempt import _outgoing
from comms.links import BadLink, Link, address_of, read_token, token_for
from comms.models import Contact, Delivery
from comms.rules.forms import SMS_LENGTH, as_sms, septets
from comms.selectors.acknowledging import actor_by_link
from core.access import REQUIRED, may
from core.actors import SYSTEM, Actor
from core.clock import utcnow
from core.errors import NotAllowed
from core.logs import clean
from core.models import Event, User
from core.outbox import deliver_pending
from core.ratelimits import BUDGETS
from incidents.models import Incident, Responder
from incidents.services.escalation import escalate_incident
from incidents.services.incidents import acknowledge_incident, declare_incident, resolve_incident
from tests.signing_in import sign_in

LINK = re.compile(r"/a/[^/\s\"]+/")
SECRET = "The customer list is on a public bucket"


@pytest.fixture
def ann(db: None) -> Contact:
    """On call, without an account."""
    return Contact.objects.create(name="Ann Example", email="ann@example.test", audiences=["technical_team"])


@pytest.fixture
def down(db: None, now: dt.datetime) -> Incident:
    return declare_incident(actor=SYSTEM, now=now, title=SECRET, severity="P1")


def link_of(contact: Contact, incident: Incident, *, hours: float = 24) -> str:
    until = utcnow() + dt.timedelta(hours=hours)
    return f"/a/{token_for(Link(incident.pk, contact.pk, until))}/"


def with_account(make_user: Callable[..., User], name: str, level: str, *roles: str) -> Contact:
    user = make_user(name, level, *roles)
    return Contact.objects.create(name=f"{name.title()} Example", email=f"{name}@example.test", user=user)


def kinds(incident: Incident) -> list[str]:
    return list(Event.objects.filter(stream=incident.stream).order_by("seq").values_list("kind", flat=True))


# --- the token ----------------------------------------------------------------------------------

numbers = st.integers(1, 2**63 - 1)
whole_seconds = st.integers(0, 4_000_000_000).map(lambda second: dt.datetime.fromtimestamp(second, dt.UTC))


@given(numbers, numbers, whole_seconds)
def test_a_link_is_read_as_it_was_made(incident: int, contact: int, until: dt.datetime) -> None:
    link = Link(incident, contact, until)
    assert read_token(token_for(link)) == link


@given(st.data())
def test_no_other_text_is_a_link(data: st.DataObject) -> None:
    token = token_for(Link(12, 345, dt.datetime(2026, 11, 20, tzinfo=dt.UTC)))
    at = data.draw(st.integers(0, len(token)))
    cut = data.draw(st.integers(at, len(token)))
    other = token[:at] + data.draw(st.text(max_size=4)) + token[cut:]
    if other == token:
        return
    with pytest.raises(BadLink):
        read_token(other)


@given(st.text(max_size=200))
def test_nothing_else_is_a_link_either(text: str) -> None:
    with pytest.raises(BadLink):
        read_token(text)


def test_a_link_signed_by_another_key_is_none(settings: Any) -> None:
    link = Link(1, 2, dt.datetime(2026, 11, 20, tzinfo=dt.UTC))
    old = token_for(link)
    settings.SECRET_KEY = "x" * 50
    with pytest.raises(BadLink):
        read_token(old)


def test_it_fits_an_sms_with_words(settings: Any) -> None:
    settings.PUBLIC_URL = "https://firebreak.operations.example.com"
    address = address_of(Link(999_999, 99_999, dt.datetime(2030, 1, 1, tzinfo=dt.UTC)))
    said = as_sms("P0 INC-2026-11-20-0001 Checkout fails for a third of all customers", link=address)
    assert said.endswith(f" {address}")
    assert septets(said) <= SMS_LENGTH
    assert "Checkout fails" in said


def test_its_signature_stands_in_no_log(down: Incident, ann: Contact) -> None:
    path = link_of(ann, down)
    signature = path.rstrip("/").rsplit(".", 1)[1]
    assert signature not in clean(f"GET {path} 200")
    assert signature in path


# --- the page -----------------------------------------------------------------------------------


def test_looking_does_nothing_and_the_button_acknowledges(
    client: Client, down: Incident, ann: Contact
) -> None:
    path = link_of(ann, down)
    for _number in range(3):  # a preview, a scanner, a person
        page = client.get(path)
    assert client.head(path).status_code == 200
    assert client.options(path).status_code == 405
    down.refresh_from_db()
    assert (down.acknowledged_at, kinds(down)) == (None, ["incident.declared"])
    text = page.content.decode()
    assert SECRET in text
    assert text.count("<button") == 1
    answer = client.post(path)
    assert (answer.status_code, answer["Location"]) == (302, path)
    down.refresh_from_db()
    assert down.acknowledged_at is not None
    event = Event.objects.get(stream=down.stream, kind="incident.acknowledged")
    assert (event.actor_kind, event.actor, event.actor_user_id) == ("contact", "Ann Example, by link", None)
    assert event.summary == "Ann Example, by link acknowledged"
    text = client.get(path).content.decode()
    assert "Acknowledged</strong> by <bdi>Ann Example, by link</bdi>" in text
    assert "<button" not in text


def test_the_answer_is_nobody_elses_to_keep(client: Client, down: Incident, ann: Contact) -> None:
    for path in (link_of(ann, down), "/a/nothing/"):
        answer = client.get(path)
        assert answer["Cache-Control"] == "no-store"
        assert answer["Referrer-Policy"] == "same-origin"
        assert answer["X-Robots-Tag"] == "noindex, nofollow"
        assert "default-src 'none'" in answer["Content-Security-Policy"]


def test_without_the_forms_own_token_nothing_is_done(down: Incident, ann: Contact) -> None:
    browser, path = Client(enforce_csrf_checks=True), link_of(ann, down)
    assert browser.post(path).status_code == 403
    page = browser.get(path).content.decode()
    found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
    assert found is not None
    assert kinds(down) == ["incident.declared"]
    assert browser.post(path, {"csrfmiddlewaretoken": found[1]}).status_code == 302
    assert "incident.acknowledged" in kinds(down)


def test_an_account_acts_with_its_rights_and_takes_the_commanders_role(
    client: Client, down: Incident, make_user: Callable[..., User]
) -> None:
    kim = with_account(make_user, "kim", "responder", "incident_commander")
    assert client.post(link_of(kim, down)).status_code == 302
    down.refresh_from_db()
    assert down.acknowledged_by == kim.user
    assert Responder.objects.get(incident=down, role="incident_commander").user == kim.user
    event = Event.objects.get(stream=down.stream, kind="role.assigned")
    assert (event.actor, event.actor_user_id) == ("Kim Example, by link", kim.user_id)


@pytest.mark.parametrize("level", ["", "viewer"])
def test_an_account_that_may_only_read_does_not_acknowledge(
    client: Client, down: Incident, make_user: Callable[..., User], level: str
) -> None:
    vic = with_account(make_user, "vic", level)
    for answer in (client.get(link_of(vic, down)), client.post(link_of(vic, down))):
        assert answer.status_code == 403
        assert "Your account may not acknowledge" in answer.content.decode()
        assert SECRET not in answer.content.decode()
    assert kinds(down) == ["incident.declared"]


def test_an_administrators_link_asks_for_no_second_factor_and_can_nothing_else(
    client: Client, down: Incident, make_user: Callable[..., User], settings: Any
) -> None:
    settings.MFA_REQUIRED_FOR = ["administrators", "approving"]
    ada = with_account(make_user, "ada", "administrator")
    actor = actor_by_link(ada)
    assert [action for action in REQUIRED if may(actor, action)] == ["acknowledge"]
    with pytest.raises(NotAllowed):
        resolve_incident(incident_id=down.pk, resolution="x", actor=actor, now=utcnow())
    assert client.post(link_of(ada, down)).status_code == 302
    assert "incident.acknowledged" in kinds(down)


def test_a_contact_without_an_account_can_nothing_else(down: Incident, ann: Contact) -> None:
    actor = actor_by_link(ann)
    assert [action for action in REQUIRED if may(actor, action)] == ["acknowledge"]
    assert not Incident.objects.visible_to(actor).exists()
    with pytest.raises(NotAllowed):
        escalate_incident(incident_id=down.pk, reason="x", actor=actor, now=utcnow())


def test_a_restricted_incident_is_a_code_name(
    client: Client, ann: Contact, make_user: Callable[..., User], now: dt.datetime
) -> None:
    secret = declare_incident(actor=SYSTEM, now=now, title=SECRET, severity="P0", restricted=True)
    text = client.get(link_of(ann, secret)).content.decode()
    assert SECRET not in text
    assert secret.code_name in text
    assert secret.ref not in text.replace(f"/incidents/{secret.ref}/", "")
    for name, level in (("rob", "responder"), ("cam", "commander")):
        refused = client.post(link_of(with_account(make_user, name, level), secret))
        assert refused.status_code == 403, "their account does not see it"
        assert secret.ref not in refused.content.decode()
    assert kinds(secret) == ["incident.declared"]
    sue = with_account(make_user, "sue", "responder", "security_lead")
    assert client.post(link_of(sue, secret)).status_code == 302
    assert "incident.acknowledged" in kinds(secret)


def test_two_at_once_are_one_acknowledgement(
    transactional_db: None, down: Incident, ann: Contact, make_user: Callable[..., User]
) -> None:
    kim = with_account(make_user, "kim", "responder")
    answers: list[int] = []

    def press(path: str) -> None:
        answers.append(Client().post(path).status_code)
        connection.close()

    threads = [threading.Thread(target=press, args=(link_of(who, down),)) for who in (ann, kim) * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [302] * 6
    assert kinds(down).count("incident.acknowledged") == 1


def test_somebody_was_faster(client: Client, down: Incident, ann: Contact, commander: Actor) -> None:
    acknowledge_incident(incident_id=down.pk, actor=commander, now=utcnow())
    assert client.post(link_of(ann, down)).status_code == 302
    assert "by <bdi>ida</bdi>" in client.get(link_of(ann, down)).content.decode()
    assert kinds(down).count("incident.acknowledged") == 1


def test_it_is_over(client: Client, down: Incident, ann: Contact, commander: Actor) -> None:
    resolve_incident(incident_id=down.pk, resolution="gone", actor=commander, now=utcnow())
    answer = client.get(link_of(ann, down))
    assert "This incident is over" in answer.content.decode()
    assert b"<button" not in answer.content
    assert client.post(link_of(ann, down)).status_code == 302
    assert "incident.acknowledged" not in kinds(down)


# --- what does not acknowledge ------------------------------------------------------------------


def _expired(ann: Contact, down: Incident, client: Client) -> tuple[str, int, str]:
    return link_of(ann, down, hours=-0.01), 410, "This link has expired"


def _tampered(ann: Contact, down: Incident, client: Client) -> tuple[str, int, str]:
    path = link_of(ann, down)
    return path.replace("/a/", "/a/1"), 404, "This link is not valid"


def _out_of_use(ann: Contact, down: Incident, client: Client) -> tuple[str, int, str]:
    Contact.objects.filter(pk=ann.pk).update(active=False)
    return link_of(ann, down), 403, "no longer in use"


def _deleted(ann: Contact, down: Incident, client: Client) -> tuple[str, int, str]:
    path = link_of(ann, down)
    ann.delete()
    return path, 403, "no longer in use"


def _account_disabled(ann: Contact, down: Incident, client: Client) -> tuple[str, int, str]:
    Contact.objects.filter(pk=ann.pk).update(user=User.objects.create(username="ann", is_active=False))
    return link_of(ann, down), 403, "no longer in use"


def _signed_in_as_another(ann: Contact, down: Incident, client: Client) -> tuple[str, int, str]:
    sign_in(client, User.objects.create(username="bob"))
    return link_of(ann, down), 403, "somebody else"


@pytest.mark.parametrize(
    "make", [_expired, _tampered, _out_of_use, _deleted, _account_disabled, _signed_in_as_another]
)
def test_a_clear_page_that_tells_nothing(
    client: Client,
    down: Incident,
    ann: Contact,
    make: Callable[[Contact, Incident, Client], tuple[str, int, str]],
) -> None:
    path, status, words = make(ann, down, client)
    for answer in (client.get(path), client.post(path)):
        text = answer.content.decode()
        assert answer.status_code == status
        assert words in text
        for told in (SECRET, down.ref, "Ann Example", 'form method="post">'):
            assert told not in text, told
    assert kinds(down) == ["incident.declared"]


@pytest.fixture
def limits(settings: Any) -> Iterator[dict[str, int]]:
    settings.API_RATES = {**settings.API_RATES, "anonymous": 0, "refused": 0}
    BUDGETS.forget()
    yield settings.API_RATES
    BUDGETS.forget()


def test_who_guesses_is_soon_refused_and_others_are_not(
    client: Client, down: Incident, ann: Contact, limits: dict[str, int]
) -> None:
    limits["refused"] = 5
    statuses = [client.get(f"/a/guess{number}/").status_code for number in range(8)]
    assert statuses[:5] == [404] * 5
    assert statuses[-1] == 429
    answer = client.get(link_of(ann, down))
    assert (answer.status_code, int(answer["Retry-After"]) > 0) == (429, True)
    assert client.get(link_of(ann, down), REMOTE_ADDR="203.0.113.9").status_code == 200


def test_asking_too_often_is_refused(
    client: Client, down: Incident, ann: Contact, limits: dict[str, int]
) -> None:
    limits["anonymous"] = 10
    statuses = {client.post(link_of(ann, down)).status_code for _number in range(20)}
    assert statuses == {302, 429}


# --- the link in the message --------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_each_person_gets_their_own_link_and_a_room_the_incidents_address(
    client: Client, ann: Contact, commander: Actor, now: dt.datetime, mailoutbox: list[Any], settings: Any
) -> None:
    Contact.objects.create(name="Tom", email="tom@example.test", audiences=["technical_team"])
    down = declare_incident(actor=SYSTEM, now=now, title="Down", severity="P1")
    there = f"{settings.PUBLIC_URL}/incidents/{down.ref}/"
    deliver_pending(now=utcnow())
    room = Delivery.objects.get(contact=None)
    said = _outgoing(room, [], room.recipient)
    assert (said.link, said.link_label) == (there, "Open the incident")
    send_due_deliveries(now=utcnow())
    links = {mail.to[0]: set(LINK.findall(mail.body + mail.alternatives[0][0])) for mail in mailoutbox}
    assert set(links) == {"ann@example.test", "tom@example.test"}
    (of_ann,), (of_tom,) = links["ann@example.test"], links["tom@example.test"]
    assert read_token(of_ann[3:-1]).contact == ann.pk
    assert read_token(of_tom[3:-1]).until - now < dt.timedelta(hours=24, seconds=1)
    assert of_ann != of_tom
    assert client.get(of_ann).status_code == 200

    acknowledge_incident(incident_id=down.pk, actor=commander, now=utcnow())
    act: dict[str, Any] = {"incident_id": down.pk, "actor": commander, "now": utcnow()}
    escalate_incident(**act, reason="more", to="technical_team")
    deliver_pending(now=utcnow())
    send_due_deliveries(now=utcnow())
    later = [mail for mail in mailoutbox if "ESCALATED" in mail.subject]
    assert len(later) == 2
    for mail in later:
        assert not LINK.findall(mail.body), "acknowledged: there is nothing to acknowledge"
        assert f"Open the incident: {there}" in mail.body
