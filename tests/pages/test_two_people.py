"""Two people change one thing at once: nobody's words are overwritten unseen, nobody's are lost."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from comms.models import Component, Contact
from core.clock import utcnow
from core.models import Event, User
from core.versions import at_version
from incidents.models import Incident, Service
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


# --- the admin, and what else is configured --------------------------------------------------------------


def admin_form(browser: Client, at: str) -> dict[str, Any]:
    """Every field of the admin's form as a browser would send it back."""
    return admin_fields(browser.get(at))


def admin_fields(answer: Any) -> dict[str, Any]:
    form = answer.context["adminform"].form
    found: dict[str, Any] = {}
    for name in form.fields:
        value = form[name].value()
        shown_as = form.fields[name].prepare_value(value)
        if shown_as is not None and shown_as is not False:
            found[name] = "on" if shown_as is True else shown_as
    return found


@pytest.fixture
def two_commanders(sign_in: SignIn) -> tuple[Client, Client]:
    pair = sign_in("carl", "commander"), sign_in("cora", "commander")
    User.objects.filter(username__in=("carl", "cora")).update(is_staff=True)
    return pair


def test_a_contact_is_not_overwritten_unseen_in_the_admin(two_commanders: tuple[Client, Client]) -> None:
    carl, cora = two_commanders
    row = Contact.objects.create(name="Ann", email="ann@example.test", phone="+4930123456", time_zone="UTC")
    at = f"/admin/comms/contact/{row.pk}/change/"
    of_carl, of_cora = admin_form(carl, at), admin_form(cora, at)
    assert re.search(r'<input type="hidden" name="seen" value="[^"]{20,}"', carl.get(at).content.decode())
    assert cora.post(at, of_cora | {"phone": "+4930999", "title": "On call"}).status_code == 302
    # Another field of the same contact: both stand.
    assert carl.post(at, of_carl | {"name": "Ann Example"}).status_code == 302
    row.refresh_from_db()
    assert (row.name, row.phone, row.title) == ("Ann Example", "+4930999", "On call")
    # The same field: refused once, with both in view.
    refused = carl.post(at, of_carl | {"phone": "+4930111", "name": "Ann Example"})
    assert refused.status_code == 200
    said = html.unescape(refused.content.decode())
    assert "Meanwhile cora changed this to “+4930999”" in said
    assert 'value="+4930111"' in said
    row.refresh_from_db()
    assert row.phone == "+4930999"
    again = admin_fields(refused)
    assert carl.post(at, again).status_code == 302
    row.refresh_from_db()
    assert (row.phone, row.title) == ("+4930111", "On call")


@pytest.mark.parametrize("seen", ["", "null", "[]", "{", '{"name": 5}', "x" * 5000])
def test_a_forged_memory_is_no_error_in_the_admin_either(
    two_commanders: tuple[Client, Client], seen: str
) -> None:
    row = Contact.objects.create(name="Ann", email="ann@example.test")
    at = f"/admin/comms/contact/{row.pk}/change/"
    assert two_commanders[0].post(at, admin_form(two_commanders[0], at) | {"seen": seen}).status_code in (
        200,
        302,
    )


def test_a_service_and_an_account_are_not_overwritten_unseen(
    two_commanders: tuple[Client, Client], sign_in: SignIn, shop: Service
) -> None:
    carl, cora = two_commanders
    at = f"/admin/incidents/service/{shop.pk}/change/"
    of_carl, of_cora = admin_form(carl, at), admin_form(cora, at)
    assert cora.post(at, of_cora | {"name": "Cora's shop"}).status_code == 302
    assert carl.post(at, of_carl | {"name": "Carl's shop"}).status_code == 200
    shop.refresh_from_db()
    assert shop.name == "Cora's shop"
    ada = sign_in("ada", "administrator")
    User.objects.filter(username="ada").update(is_staff=True)
    account = User.objects.get(username="carl")
    at = f"/admin/core/user/{account.pk}/change/"
    stale = admin_form(ada, at)
    User.objects.filter(pk=account.pk).update(email="new@example.test")
    prefix = ada.get(at).context["inline_admin_formsets"][0].formset.prefix
    inline = {f"{prefix}-TOTAL_FORMS": 0, f"{prefix}-INITIAL_FORMS": 0}
    assert ada.post(at, stale | inline | {"email": "mine@example.test"}).status_code == 200
    assert ada.post(at, stale | inline | {"first_name": "Carl"}).status_code == 302
    account.refresh_from_db()
    assert (account.email, account.first_name) == ("new@example.test", "Carl")


def test_a_components_state_is_not_set_over_another_ones(ida: Client, sign_in: SignIn, shop: Service) -> None:
    Service.objects.filter(pk=shop.pk).update(public_name="Shop")
    now = utcnow()
    component = Component.objects.create(service=shop, created_at=now, changed_at=now, counted_until=now)
    at = f"/components/{component.public_id}/state/"
    carl, of_ida = sign_in("carl", "commander"), opened(ida, at)
    assert carl.post(at, opened(carl, at) | {"state": "partial_outage", "reason": "x"}).status_code == 302
    refused = ida.post(at, of_ida | {"state": "degraded_performance", "reason": "slow"})
    assert refused.status_code == 409
    assert "Meanwhile somebody changed this to “Partial outage”" in html.unescape(refused.content.decode())
    component.refresh_from_db()
    assert component.state == "partial_outage"
    again = {name: shown(refused, name) for name in of_ida} | {
        "reason": "slow",
        "state": "degraded_performance",
    }
    assert ida.post(at, again).status_code == 302
