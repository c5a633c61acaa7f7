"""Two people change one thing at once: nobody's words are overwritten unseen, nobody's are lost."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from core.models import Event, User
from core.versions import at_version
from incidents.models import Incident
from tests.pages.conftest import SignIn

DIALOG = {"HX-Request": "true", "HX-Target": "dialog-content"}


@pytest.fixture
def rosa(sign_in: SignIn) -> Client:
    return sign_in("rosa", "responder")


def opened(browser: Client, at: str) -> dict[str, Any]:
    """The form as the browser has it in front of it."""
    form = browser.get(at).context["form"]
    fields = {name: form[name].value() for name in form.fields}
    return {name: value for name, value in fields.items() if value is not None}


def shown(answer: Any, name: str) -> Any:
    return answer.context["form"][name].value()


def test_the_edit_form_changes_what_was_changed(ida: Client, incident: Incident) -> None:
    at = f"/incidents/{incident.ref}/edit/"
    form = opened(ida, at)
    assert (form["title"], form["services"]) == ("Checkout fails", ["shop"])
    assert ida.post(at, form | {"title": "Nobody can pay", "services": []}).status_code == 302
    incident.refresh_from_db()
    assert (incident.title, incident.services.count()) == ("Nobody can pay", 0)
    assert Event.objects.get(kind="incident.edited").data["fields"] == ["title", "services"]
    assert at in ida.get(f"/incidents/{incident.ref}/").content.decode()


def test_different_fields_of_two_people_both_stand(ida: Client, rosa: Client, incident: Incident) -> None:
    at = f"/incidents/{incident.ref}/edit/"
    of_ida, of_rosa = opened(ida, at), opened(rosa, at)
    assert rosa.post(at, of_rosa | {"title": "Rosa's title"}).status_code == 302
    assert ida.post(at, of_ida | {"impact": "Ida's impact"}).status_code == 302
    incident.refresh_from_db()
    assert (incident.title, incident.impact) == ("Rosa's title", "Ida's impact")


@pytest.mark.parametrize(("headers", "status"), [({}, 409), (DIALOG, 422)], ids=["page", "dialog"])
def test_the_second_keeps_her_words_and_sees_the_first_ones(
    ida: Client, rosa: Client, incident: Incident, headers: dict[str, str], status: int
) -> None:
    at = f"/incidents/{incident.ref}/edit/"
    of_ida, of_rosa = opened(ida, at), opened(rosa, at)
    rosa.post(at, of_rosa | {"title": "Rosa's title", "impact": "Rosa's impact"})
    refused = ida.post(at, of_ida | {"title": "Ida's title", "description": "Ida's text"}, headers=headers)
    assert refused.status_code == status
    page = html.unescape(refused.content.decode())
    assert "Meanwhile rosa changed this to “Rosa's title”" in page
    assert shown(refused, "title") == "Ida's title"
    assert shown(refused, "description") == "Ida's text"
    assert shown(refused, "impact") == "Rosa's impact", "what she did not touch shows what it is now"
    incident.refresh_from_db()
    assert (incident.title, incident.description) == ("Rosa's title", ""), "nothing was written"
    again = {name: shown(refused, name) for name in of_ida}
    assert ida.post(at, again, headers=headers).status_code == 302, "sent again, it is meant"
    incident.refresh_from_db()
    assert (incident.title, incident.impact, incident.description) == (
        "Ida's title",
        "Rosa's impact",
        "Ida's text",
    )


def test_the_hidden_field_really_stands_in_the_page(ida: Client, incident: Incident) -> None:
    page = ida.get(f"/incidents/{incident.ref}/edit/").content.decode()
    assert re.search(r'<input type="hidden" name="seen" value="[^"]{20,}"', page)


def test_an_update_does_not_put_back_what_it_did_not_mean(
    ida: Client, rosa: Client, incident: Incident
) -> None:
    at = f"/incidents/{incident.ref}/update/"
    of_ida = opened(ida, at)
    assert (
        rosa.post(f"/incidents/{incident.ref}/severity/", {"severity": "P2", "reason": "few"}).status_code
        == 302
    )
    assert ida.post(at, of_ida | {"message": "We look"}).status_code == 302
    incident.refresh_from_db()
    assert incident.severity == "P2", "Ida's form said P0 because it was old"


def test_an_update_that_means_another_state_than_somebody_elses_is_refused_once(
    ida: Client, rosa: Client, incident: Incident
) -> None:
    at = f"/incidents/{incident.ref}/update/"
    of_ida, of_rosa = opened(ida, at), opened(rosa, at)
    rosa.post(at, of_rosa | {"message": "Fixed forward", "severity": "P2", "next_steps": "Watch it"})
    refused = ida.post(at, of_ida | {"message": "It got worse", "severity": "P1", "next_steps": "Call them"})
    assert refused.status_code == 409
    said = html.unescape(refused.content.decode())
    assert "Meanwhile rosa changed this to “P2 Medium”" in said
    assert "Meanwhile rosa changed this to “Watch it”" in said
    assert shown(refused, "message") == "It got worse"
    incident.refresh_from_db()
    assert (incident.severity, incident.next_steps) == ("P2", "Watch it")
    again = {name: shown(refused, name) for name in of_ida} | {"message": "It got worse"}
    assert ida.post(at, again).status_code == 302
    incident.refresh_from_db()
    assert (incident.severity, incident.next_steps) == ("P1", "Call them")


def test_a_stale_state_that_was_not_touched_is_no_wrong_choice(
    ida: Client, rosa: Client, incident: Incident
) -> None:
    at = f"/incidents/{incident.ref}/update/"
    Incident.objects.filter(pk=incident.pk).update(status="rollback_initiated")
    of_ida = opened(ida, at)
    Incident.objects.filter(pk=incident.pk).update(status="monitoring")
    assert ida.post(at, of_ida | {"message": "We look"}).status_code == 302
    incident.refresh_from_db()
    assert incident.status == "monitoring"
    forged = ida.post(at, {"message": "x", "status": "closed"})
    assert (forged.status_code, "status" in forged.context["form"].errors) == (422, True)


def test_a_severity_chosen_from_an_old_page_is_not_taken_silently(
    ida: Client, rosa: Client, incident: Incident
) -> None:
    at = f"/incidents/{incident.ref}/severity/"
    of_ida = opened(ida, at)
    rosa.post(at, {"severity": "P2", "reason": "few"})
    refused = ida.post(at, of_ida | {"severity": "P1", "reason": "half"})
    assert refused.status_code == 409
    assert "Meanwhile rosa changed this to “P2 Medium”" in html.unescape(refused.content.decode())
    incident.refresh_from_db()
    assert incident.severity == "P2"


def test_between_the_look_and_the_lock_nothing_slips_in(
    ida: Client, incident: Incident, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = f"/incidents/{incident.ref}/edit/"
    of_ida = opened(ida, at)

    def late(*args: Any, **kwargs: Any) -> Any:
        Incident.objects.filter(pk=incident.pk).update(title="Rosa's title", version=incident.version + 5)
        return at_version(*args, **kwargs)

    monkeypatch.setattr("incidents.views.incidents.at_version", late)
    refused = ida.post(at, of_ida | {"title": "Ida's title"})
    assert refused.status_code == 412
    assert shown(refused, "title") == "Ida's title"
    incident.refresh_from_db()
    assert incident.title == "Rosa's title"


@pytest.mark.parametrize("seen", ["", "null", "[]", "{", '{"title": 5}', "x" * 3000])
def test_a_forged_memory_is_no_error_of_ours(ida: Client, incident: Incident, seen: str) -> None:
    answer = ida.post(f"/incidents/{incident.ref}/edit/", {"title": "New", "seen": seen})
    assert answer.status_code in (302, 409, 422)


def test_escalation_says_who_is_told_before_and_afterwards(
    ida: Client, incident: Incident, make_user: Callable[..., User]
) -> None:
    at = f"/incidents/{incident.ref}/escalate/"
    page = html.unescape(ida.get(at).content.decode())
    assert "every contact of the audience you choose" in page
    assert "Everyone (hears of it already; is asked for now)" in page
    actions = [action.key for action in ida.get(f"/incidents/{incident.ref}/").context["actions"]]
    assert actions.index("escalate") < actions.index("resolve")
    assert ida.post(at, {"to": "nobody", "reason": "x"}).status_code == 422
    assert ida.post(at, {"to": "management", "reason": "We need the budget"}).status_code == 302
    page = html.unescape(ida.get(f"/incidents/{incident.ref}/").content.decode())
    assert "management is told" in page
    assert "Escalated to management" in page
    assert "management" not in dict(ida.get(at).context["form"].fields["to"].choices)
