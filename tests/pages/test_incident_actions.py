"""What people do about an incident, as forms: with JavaScript and without, allowed and refused."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable

import pytest
from django.test import Client

from comms.selectors.content import facts_for
from core.actors import Actor
from core.clock import utcnow
from core.models import Event, User
from core.outbox import deliver_pending
from incidents.models import Incident, ReportText, Service
from incidents.services.holds import place_hold
from incidents.services.incidents import resolve_incident
from incidents.states import IncidentStatus
from tests.pages.conftest import HOSTILE, SignIn, declare
from tests.reporting import publish_report_of

DIALOG = {"HX-Request": "true", "HX-Target": "dialog-content"}
IN_PLACE = {"HX-Request": "true"}


def test_declared_by_form_it_has_its_page_and_its_clock(ida: Client, shop: Service) -> None:
    answer = ida.post(
        "/incidents/declare/", {"title": HOSTILE, "severity": "P1", "services": ["shop"], "impact": "all"}
    )
    incident = Incident.objects.get()
    assert answer["Location"] == f"/incidents/{incident.ref}/"
    assert (incident.title, incident.severity, incident.impact) == (HOSTILE, "P1", "all")
    assert [service.slug for service in incident.services.all()] == ["shop"]
    page = ida.get(answer["Location"]).content.decode()
    assert f"{incident.ref} is declared" in page  # the notice after the redirect


def test_the_form_shows_what_each_severity_means(ida: Client) -> None:
    page = ida.get("/incidents/declare/").content.decode()
    assert "Complete system outage or critical security breach" in page
    assert "Technical Lead, with approval" in page
    assert "15 min" in page


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({"severity": "P1"}, "title"),
        ({"title": "   ", "severity": "P1"}, "title"),
        ({"title": "x" * 201, "severity": "P1"}, "title"),
        ({"title": "a\0b", "severity": "P1"}, "title"),
        ({"title": "x", "severity": "P9"}, "severity"),
        ({"title": "x", "severity": "P1", "services": ["none"]}, "services"),
        ({"title": "x", "severity": "P1", "security_level": "2"}, "security_level"),
        ({"title": "x", "severity": "P1", "kind": "weather"}, "kind"),
    ],
)
def test_a_wrong_declaration_comes_back_with_the_field_named(
    ida: Client, shop: Service, data: dict[str, object], field: str
) -> None:
    answer = ida.post("/incidents/declare/", data)
    assert answer.status_code == 422
    assert field in answer.context["form"].errors
    assert not Incident.objects.exists()


def test_the_life_of_an_incident_in_forms(ida: Client, incident: Incident) -> None:
    steps = [
        ("acknowledge", {}, IncidentStatus.INVESTIGATING),
        ("note", {"summary": "Looked at the logs", "kind": "action"}, IncidentStatus.INVESTIGATING),
        ("severity", {"severity": "P1", "reason": "half of them"}, IncidentStatus.INVESTIGATING),
        ("update", {"message": "Fixed forward", "status": "monitoring"}, IncidentStatus.MONITORING),
        ("resolve", {"resolution": "a new certificate"}, IncidentStatus.RESOLVED),
        ("reopen", {"reason": "it is back"}, IncidentStatus.INVESTIGATING),
        ("resolve", {"resolution": "again", "root_cause": "expiry"}, IncidentStatus.RESOLVED),
        ("close", {}, IncidentStatus.CLOSED),
    ]
    for verb, data, status in steps:
        if verb == "close":
            publish_report_of(incident, now=utcnow())
        address = f"/incidents/{incident.ref}/{verb}/"
        assert ida.get(address).status_code == 200, verb  # the page without JavaScript
        answer = ida.post(address, data)
        assert (answer.status_code, answer["Location"]) == (302, f"/incidents/{incident.ref}/"), verb
        incident.refresh_from_db()
        assert incident.status == status, verb
    assert ida.get(f"/incidents/{incident.ref}/").status_code == 200
    kinds = list(Event.objects.filter(stream=incident.stream).values_list("kind", flat=True))
    assert kinds.count("incident.resolved") == 2
    assert "action.taken" in kinds


def test_reading_an_address_of_a_command_changes_nothing(ida: Client, incident: Incident) -> None:
    before = Event.objects.count()
    for verb in ("acknowledge", "update", "severity", "resolve", "reopen", "close", "note"):
        assert ida.get(f"/incidents/{incident.ref}/{verb}/").status_code == 200
    assert ida.post(f"/incidents/{incident.ref}/").status_code == 405
    assert Event.objects.count() == before


def test_a_form_without_its_token_is_refused(incident: Incident, commander: Actor) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(User.objects.get(username=commander.label))
    assert strict.post(f"/incidents/{incident.ref}/acknowledge/").status_code == 403
    incident.refresh_from_db()
    assert incident.acknowledged_at is None


@pytest.mark.parametrize(
    ("headers", "status"), [({}, 409), (IN_PLACE, 409), (DIALOG, 422)], ids=["page", "in place", "dialog"]
)
def test_a_second_acknowledgement_is_refused_in_the_shape_that_was_asked_for(
    ida: Client, incident: Incident, headers: dict[str, str], status: int
) -> None:
    address = f"/incidents/{incident.ref}/acknowledge/"
    ida.post(address)
    answer = ida.post(address, headers=headers)
    assert answer.status_code == status
    assert "was acknowledged before" in answer.content.decode()
    is_problem = answer["Content-Type"] == "application/problem+json"
    assert is_problem == (headers == IN_PLACE)
    if is_problem:
        said = answer.json()
        assert (said["type"], said["code"], said["status"]) == (
            "/problems/already_acknowledged",
            "already_acknowledged",
            409,
        )
        assert said["request_id"] == answer["X-Request-ID"]


def test_what_one_did_or_decided_is_written_down_as_that_in_one_click_more(
    ida: Client, incident: Incident, commander: Actor, now: dt.datetime
) -> None:
    page = ida.get(f"/incidents/{incident.ref}/").content.decode()
    form = page.split('class="note-form"')[1].split("</form>")[0]
    offered = re.findall(r'type="radio" name="kind" value="(\w+)"( checked)?', form)
    assert offered == [("note", " checked"), ("action", ""), ("decision", "")]  # nothing to do for a note
    for kind, said in (
        ("action", "Blocked the importer"),
        ("decision", "We wait for the vendor"),
        ("", "Quiet"),
    ):
        data = {"summary": said} | ({"kind": kind} if kind else {})
        assert ida.post(f"/incidents/{incident.ref}/note/", data).status_code == 302
    written = Event.objects.filter(stream=incident.stream).order_by("-seq").values_list("kind", "summary")[:3]
    assert list(written) == [
        ("note.added", "Quiet"),
        ("decision.made", "We wait for the vendor"),
        ("action.taken", "Blocked the importer"),
    ]
    lines = ida.get(f"/incidents/{incident.ref}/?panel=timeline").content.decode().split("<li ")
    words = {
        re.findall("<bdi>(.*?)</bdi>", line)[0]: re.findall("<strong>(.*?)</strong>", line)
        for line in lines[1:4]
    }
    assert words == {
        "Quiet": [],
        "We wait for the vendor": ["Decision"],
        "Blocked the importer": ["Action taken"],
    }
    incident.refresh_from_db()
    latest = Event.objects.filter(stream=incident.stream).latest("seq")
    assert facts_for(latest, incident, None).actions == ("Blocked the importer",)  # of messages
    resolve_incident(incident_id=incident.pk, resolution="Vendor is back", actor=commander, now=now)
    deliver_pending(now=now)
    drafted = ReportText.objects.get(report__incident=incident, section="actions_taken").text
    assert drafted == "Blocked the importer\nVendor is back"
    assert ida.post(f"/incidents/{incident.ref}/note/", {"summary": "x", "kind": "order"}).status_code == 422


def test_a_note_that_is_too_long_is_refused_in_place_with_words(ida: Client, incident: Incident) -> None:
    answer = ida.post(f"/incidents/{incident.ref}/note/", {"summary": "x" * 501}, headers=IN_PLACE)
    assert answer.status_code == 400
    assert "500" in answer.json()["detail"]


@pytest.mark.parametrize("when", ["0001-01-01T00:00", "9999-12-31T23:59", "tomorrow", "1999-12-31T23:59"])
def test_a_note_cannot_be_dated_out_of_this_world(ida: Client, incident: Incident, when: str) -> None:
    answer = ida.post(f"/incidents/{incident.ref}/note/", {"summary": "x", "occurred_at": when})
    assert answer.status_code == 422
    assert "occurred_at" in answer.context["form"].errors


def test_a_held_incident_says_why_it_cannot_be_resolved(
    ida: Client, incident: Incident, now: dt.datetime
) -> None:
    place_hold(incident=incident, kind="rollback", reference="RB-X", reason="RB-X is under way", now=now)
    actions = {action.key: action for action in ida.get(f"/incidents/{incident.ref}/").context["actions"]}
    assert not actions["resolve"].enabled
    assert "RB-X is under way" in actions["resolve"].why_not
    answer = ida.post(f"/incidents/{incident.ref}/resolve/", {"resolution": "done"})
    assert answer.status_code == 409
    assert "RB-X is under way" in answer.content.decode()


def test_a_viewer_sees_why_nothing_can_be_done_and_can_do_nothing(
    sign_in: SignIn, incident: Incident
) -> None:
    viewer = sign_in("vic", "viewer")
    context = viewer.get(f"/incidents/{incident.ref}/").context
    assert all(not action.enabled and action.why_not for action in context["actions"])
    assert not any(role.can_take for role in context["roles"])
    assert not context["can_note"]
    posts = {
        "acknowledge": {},
        "update": {"message": "x"},
        "severity": {"severity": "P3", "reason": "x"},
        "resolve": {"resolution": "x"},
        "note": {"summary": "x"},
        "roles/technical_lead/take": {},
        "roles/incident_commander/release": {},
    }
    before = Event.objects.count()
    for verb, data in posts.items():
        assert viewer.post(f"/incidents/{incident.ref}/{verb}/", data).status_code == 403, verb
    assert viewer.post("/incidents/declare/", {"title": "x", "severity": "P1"}).status_code == 403
    assert Event.objects.count() == before


def test_roles_are_taken_assigned_and_released_by_form(
    ida: Client, sign_in: SignIn, incident: Incident, make_user: Callable[..., User]
) -> None:
    make_user("tom", "responder", "technical_lead")
    base = f"/incidents/{incident.ref}/roles"
    assert ida.post(f"{base}/technical_lead/take/").status_code == 302
    assert holder(ida, incident, "technical_lead") == "ida"
    assert ida.post(f"{base}/technical_lead/assign/", {"username": "tom"}).status_code == 302
    assert holder(ida, incident, "technical_lead") == "tom"
    assert ida.post(f"{base}/technical_lead/assign/", {"username": "nobody"}).status_code == 422
    assert ida.post(f"{base}/technical_lead/release/").status_code == 302
    assert holder(ida, incident, "technical_lead") is None
    assert ida.post(f"{base}/technical_lead/release/").status_code == 409
    assert ida.post(f"{base}/engineering_manager/take/").status_code == 404
    rosa = sign_in("rosa", "responder")
    assert rosa.post(f"{base}/technical_lead/take/").status_code == 403
    slot = next(
        r for r in rosa.get(f"/incidents/{incident.ref}/").context["roles"] if r.key == "technical_lead"
    )
    assert "no grant" in slot.why_not


def test_who_works_on_a_restricted_incident_sees_it(
    sign_in: SignIn, commander: Actor, now: dt.datetime
) -> None:
    secret = declare(commander, now, 1, restricted=True)
    rosa = sign_in("rosa", "responder")
    assert rosa.post(f"/incidents/{secret.ref}/acknowledge/").status_code == 404
    secret.responders.create(user=User.objects.get(username="rosa"), since=now, added_by="ida")
    assert rosa.post(f"/incidents/{secret.ref}/acknowledge/").status_code == 302


def holder(browser: Client, incident: Incident, role: str) -> str | None:
    roles = browser.get(f"/incidents/{incident.ref}/").context["roles"]
    found: str | None = next(slot.holder for slot in roles if slot.key == role)
    return found
