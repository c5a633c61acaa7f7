"""People paged for a role that nobody holds: who, how often, and what stands on the timeline."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import pytest
from django.test import Client

from comms.consumers import route_event
from comms.models import Contact, Delivery
from comms.services.composing import NobodyToTell
from comms.services.paging import PagedJustNow, page_for_role
from core.actors import Actor
from core.errors import Conflict, FirebreakError, Invalid, NotAllowed, NotFound
from core.models import Event, PendingEvent, User
from incidents.models import Incident, RoleGrant
from incidents.services.incidents import resolve_incident
from incidents.services.people import assign_role
from incidents.states import INCIDENT_ROLES
from tests.pages.conftest import SignIn, ida, sign_in

__all__ = ["ida", "sign_in"]  # fixtures
pytestmark = pytest.mark.django_db
LEAD = "technical_lead"


@pytest.fixture
def contacts(make_user: Callable[..., User]) -> dict[str, Contact]:
    """Tess may hold the role by her account's grant, Rolf is its contact, Sam is neither, Nils has no address."""
    tess, sam = make_user("tess", "responder", LEAD), make_user("sam")
    rows = {
        "tess": Contact(name="Tess", email="tess@example.test", phone="+491", user=tess),
        "rolf": Contact(name="Rolf", email="rolf@example.test", role=LEAD),
        "sam": Contact(name="Sam", email="sam@example.test", user=sam, audiences=["technical_team"]),
        "nils": Contact(name="Nils", role=LEAD),
        "gone": Contact(name="Gone", email="gone@example.test", role=LEAD, active=False),
    }
    for row in rows.values():
        row.save()
    return rows


def page(
    incident: Incident, actor: Actor, now: dt.datetime, role: str = LEAD, **more: str
) -> tuple[str, ...]:
    return page_for_role(incident_id=incident.pk, role=role, actor=actor, now=now, **more)


def test_who_may_hold_it_is_paged_and_nobody_else(
    incident: Incident, commander: Actor, contacts: dict[str, Contact], now: dt.datetime
) -> None:
    assert page(incident, commander, now, reason="The database melts") == ("Rolf", "Tess")
    event = Event.objects.get(kind="role.paged")
    assert event.summary == "Technical Lead is needed: Rolf, Tess paged. The database melts"
    assert event.data["to"] == [f"may_hold:{LEAD}"]
    assert "example.test" not in str(event.data)
    assert PendingEvent.objects.filter(event=event, consumer="comms.routing").exists()
    route_event(event, now=now)
    urgent = Delivery.objects.filter(event=event, urgent=True, contact__isnull=False)
    assert {row.contact.name for row in urgent if row.contact} == {"Rolf", "Tess"}
    assert "The database melts" in Delivery.objects.filter(event=event).first().message.body  # type: ignore[union-attr]


def test_they_are_given_time_to_answer(
    incident: Incident, commander: Actor, contacts: dict[str, Contact], now: dt.datetime
) -> None:
    page(incident, commander, now)
    with pytest.raises(PagedJustNow, match="few minutes"):
        page(incident, commander, now + dt.timedelta(minutes=4, seconds=59))
    RoleGrant.objects.create(user=User.objects.get(username="sam"), role="security_lead")
    assert page(incident, commander, now, role="security_lead") == ("Sam",)  # another role is another page
    page(incident, commander, now + dt.timedelta(minutes=5, seconds=1))
    assert Event.objects.filter(kind="role.paged").count() == 3


@pytest.mark.parametrize(
    ("level", "role", "change", "error"),
    [
        ("viewer", LEAD, "", NotAllowed),
        ("responder", "engineering_manager", "", Invalid),
        ("responder", LEAD, "taken", Conflict),
        ("responder", LEAD, "resolved", Conflict),
        ("responder", LEAD, "restricted", NotFound),
        ("responder", "communications_lead", "", NobodyToTell),
    ],
)
def test_what_is_refused_and_pages_nobody(
    incident: Incident, commander: Actor, contacts: dict[str, Contact], make_actor: Callable[..., Actor],
    now: dt.datetime, level: str, role: str, change: str, error: type[FirebreakError],
) -> None:  # fmt: skip
    if change == "taken":
        assign_role(incident_id=incident.pk, role=LEAD, username="tess", actor=commander, now=now)
    if change == "resolved":
        resolve_incident(incident_id=incident.pk, resolution="done", actor=commander, now=now)
    if change == "restricted":
        Incident.objects.filter(pk=incident.pk).update(restricted=True)
    with pytest.raises(error):
        page(incident, make_actor("otto", level), now, role=role)
    assert not Event.objects.filter(kind="role.paged").exists()


def test_a_playbook_without_the_route_is_named(
    incident: Incident, commander: Actor, contacts: dict[str, Contact], now: dt.datetime,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("comms.services.paging.has_route", lambda kind: False)
    with pytest.raises(Conflict, match=r"role\.paged"):
        page(incident, commander, now)


def test_the_page_offers_it_for_gaps_and_says_who_is_paged(
    ida: Client, incident: Incident, contacts: dict[str, Contact]
) -> None:
    address = f"/incidents/{incident.ref}/"
    calls = {role.key: role.call for role in ida.get(address).context["roles"]}
    assert calls.keys() == set(INCIDENT_ROLES)
    assert calls["incident_commander"] is None  # Ida holds it
    form = ida.get(calls[LEAD].url, headers={"HX-Request": "true"}).content.decode()
    assert "Paged at once, each in the way that reaches them first: Rolf, Tess." in form
    assert "Technical Lead of " in form
    answer = ida.post(calls[LEAD].url, {"reason": "help"})
    assert (answer.status_code, answer["Location"]) == (302, address)
    again = {role.key: role.call for role in ida.get(address).context["roles"]}[LEAD]
    assert (again.enabled, "few minutes" in again.why_not) == (False, True)
    assert ida.post(calls[LEAD].url, {"reason": "help"}).status_code == 409


def test_a_viewer_sees_why_not(sign_in: SignIn, incident: Incident, contacts: dict[str, Contact]) -> None:
    calls = {
        role.key: role.call
        for role in sign_in("vic", "viewer").get(f"/incidents/{incident.ref}/").context["roles"]
    }
    assert (calls[LEAD].enabled, "Needs the account level" in calls[LEAD].why_not) == (False, True)


def test_programs_page_too_and_are_told_who(
    ida: Client, incident: Incident, contacts: dict[str, Contact]
) -> None:
    address = f"/api/v1/incidents/{incident.ref}/roles/{LEAD}/page/"
    answer = ida.post(address, {"reason": "help"}, content_type="application/json")
    assert (answer.status_code, answer.json()) == (200, {"role": LEAD, "paged": ["Rolf", "Tess"]})
    again = ida.post(address, {}, content_type="application/json")
    assert (again.status_code, again.json()["code"]) == (409, "paged_just_now")
    assert ida.post(address.replace(LEAD, "cook"), {}, content_type="application/json").status_code == 404
