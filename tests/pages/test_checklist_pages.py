"""What an incident's page says about what to do: criteria, next items, progress; by forms without JavaScript."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from core.actors import Actor
from core.outbox import deliver_pending
from incidents.models import ChecklistItem, Incident
from incidents.services.checklists import mark_lapsed_phases, tick_item
from incidents.services.incidents import (
    close_incident,
    declare_incident,
    reopen_incident,
    resolve_incident,
)
from tests.pages.conftest import HOSTILE, SignIn, declare
from tests.pages.test_reading import count_queries
from tests.reporting import publish_report_of

IN_PLACE = {"HX-Request": "true"}
MINUTE = dt.timedelta(minutes=1)


@pytest.fixture
def late(commander: Actor, now: dt.datetime) -> Incident:
    """A P0 declared seven minutes ago: its first phase has ended and nobody has done anything."""
    began = now - 7 * MINUTE
    incident = declare_incident(actor=commander, now=began, title="Checkout fails", severity="P0")
    deliver_pending(now=began)
    return incident


def _page(browser: Client, incident: Incident, panel: str = "") -> str:
    address = f"/incidents/{incident.ref}/" + (f"?panel={panel}" if panel else "")
    return _words(browser.get(address).content.decode())


def _words(html: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", html).split())


def _item(incident: Incident, key: str) -> ChecklistItem:
    return incident.checklist_items.get(checklist="emergency", key=key)


def test_what_is_next_stands_on_the_page_with_its_window_overdue_with_icon_and_word(
    ida: Client, late: Incident
) -> None:
    html = ida.get(f"/incidents/{late.ref}/?panel=next").content.decode()
    first = html.split('<li class="todo"')[1]
    assert "Assess severity" in first
    assert 'data-clock="until"' in first
    badge = re.search(
        r'<span class="badge" data-tone="overdue"><svg.*?</svg>Overdue</span>', first, re.DOTALL
    )
    assert badge
    assert 'data-announce="Overdue: 3 of the checklists"' in html  # screen readers hear it when it changes
    assert "3 overdue" in _words(html)


def test_the_progress_names_every_phase_with_what_is_done(ida: Client, late: Incident) -> None:
    shown = _page(ida, late, "checklists")
    assert "Emergency rollback checklist 1 of 16" in shown
    for phase in (
        "Immediate actions Overdue 1/4",
        "Rollback preparation 0/4",
        "Post-rollback validation 0/4",
    ):
        assert phase in shown
    assert "Document issue Create incident ticket with details Firebreak" in shown  # who ticked it


def test_what_an_item_means_is_read_without_a_mouse(ida: Client, late: Incident) -> None:
    for panel in ("next", "checklists"):
        shown = ida.get(f"/incidents/{late.ref}/?panel={panel}").content.decode()
        said = '<span class="meaning muted">Determine if immediate rollback is required'
        assert said in shown, panel
        assert 'title="Determine' not in shown, panel


def test_a_checklist_of_an_incident_that_came_back_waits_for_the_end(
    ida: Client, late: Incident, commander: Actor, now: dt.datetime
) -> None:
    resolve_incident(incident_id=late.pk, resolution="fixed", actor=commander, now=now)
    reopen_incident(incident_id=late.pk, reason="it is back", actor=commander, now=now)
    deliver_pending(now=now)
    assert "Post-rollback analysis 0 of 12, waits for the end" in _page(ida, late, "checklists")
    assert "Verify system stability" not in _page(ida, late, "next")


def test_one_click_ticks_without_javascript_and_the_page_says_who(ida: Client, late: Incident) -> None:
    page = ida.get(f"/incidents/{late.ref}/").content.decode()
    form = re.search(r'<form method="post" action="([^"]*assess_severity/tick/)"', page)
    assert form
    answer = ida.post(form[1])
    assert answer["Location"] == f"/incidents/{late.ref}/"
    assert _item(late, "assess_severity").ticked_by == "ida"
    after = _page(ida, late)
    assert "Assess severity is done." in after
    assert "Done: Assess severity" in after  # on the timeline


def test_a_note_can_be_given_with_the_tick_and_is_shown_as_text(ida: Client, late: Incident) -> None:
    address = f"/incidents/{late.ref}/checklists/emergency/preserve_evidence/tick/"
    assert "Capture logs, screenshots, error messages" in ida.get(address).content.decode()
    assert ida.post(address, {"note": HOSTILE}).status_code == 302
    page = ida.get(f"/incidents/{late.ref}/").content.decode()
    assert HOSTILE not in page
    assert "&lt;img src=x" in page


@pytest.mark.parametrize("headers", [{}, IN_PLACE])
def test_who_clicks_second_is_told_who_was_first(
    ida: Client, sign_in: SignIn, late: Incident, headers: dict[str, str]
) -> None:
    address = f"/incidents/{late.ref}/checklists/emergency/assess_severity/tick/"
    assert ida.post(address).status_code == 302
    answer = sign_in("rob").post(address, headers=headers)
    assert answer.status_code == 409
    assert "is already ticked by ida at" in answer.content.decode()


def test_unticking_asks_for_a_reason(ida: Client, late: Incident) -> None:
    address = f"/incidents/{late.ref}/checklists/emergency/document_issue/untick/"
    assert address in ida.get(f"/incidents/{late.ref}/").content.decode()
    refused = ida.post(address, {"reason": " "})
    assert refused.status_code == 422
    assert "reason" in refused.context["form"].errors
    assert _item(late, "document_issue").ticked_at
    assert ida.post(address, {"reason": "no details"}).status_code == 302
    assert _item(late, "document_issue").ticked_at is None


def test_a_viewer_sees_everything_and_is_told_why_nothing_can_be_ticked(
    sign_in: SignIn, late: Incident
) -> None:
    viewer = sign_in("vic", "viewer")
    page = viewer.get(f"/incidents/{late.ref}/").content.decode()
    assert "Needs the account level responder; you have viewer." in page
    assert "/tick/" not in page
    assert "/untick/" not in page
    assert viewer.post(f"/incidents/{late.ref}/checklists/emergency/assess_severity/tick/").status_code == 403


@pytest.mark.parametrize(
    "place", ["emergency/nothing", "nothing/assess_severity", "analysis/assess_severity"]
)
def test_an_item_that_is_not_there_is_not_found(ida: Client, late: Incident, place: str) -> None:
    for verb in ("tick", "untick"):
        assert ida.get(f"/incidents/{late.ref}/checklists/{place}/{verb}/").status_code == 404


def test_a_resolved_incident_asks_for_the_analysis_and_a_closed_one_for_nothing(
    ida: Client, late: Incident, commander: Actor, now: dt.datetime
) -> None:
    resolve_incident(incident_id=late.pk, resolution="fixed", actor=commander, now=now)
    deliver_pending(now=now)
    shown = _page(ida, late, "next")
    assert "Verify system stability" in shown
    assert "Assess severity" not in shown
    assert "verdue" not in shown
    assert "of 16, ended" in _page(ida, late, "checklists")
    publish_report_of(late, now=now)
    close_incident(incident_id=late.pk, actor=commander, now=now)
    page = ida.get(f"/incidents/{late.ref}/").content.decode()
    assert "/tick/" not in page
    assert "Everything that is asked for now is done." in page


def test_the_criteria_are_checked_by_a_form_and_the_last_check_is_shown(ida: Client, late: Incident) -> None:
    assert "Nobody has checked the criteria for a rollback yet." in _page(ida, late)
    address = f"/incidents/{late.ref}/criteria/"
    asked = ida.get(address).content.decode()
    for words in ("Immediate rollback required", "Data corruption detected", "Nothing is rolled back by it"):
        assert words in asked
    assert ida.post(address, {"criteria": ["minor_ui_issues", "data_corruption"]}).status_code == 302
    shown = _page(ida, late, "next")
    assert "Immediate rollback required Data corruption detected, Minor UI issues ida," in shown
    assert ida.post(address, {"degradation_percent": "30"}).status_code == 302
    assert "a degradation of 30 % is in no tier: judgement needed" in _page(ida, late, "next")


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({"criteria": ["nothing"]}, "criteria"),
        ({"criteria": ["degradation_major"], "degradation_percent": "10"}, "criteria"),
        ({"degradation_percent": "-1"}, "degradation_percent"),
        ({"degradation_percent": "much"}, "degradation_percent"),
    ],
)
def test_wrong_criteria_come_back_with_the_field_named(
    ida: Client, late: Incident, data: dict[str, Any], field: str
) -> None:
    answer = ida.post(f"/incidents/{late.ref}/criteria/", data)
    assert answer.status_code == 422
    assert field in answer.context["form"].errors


def test_the_page_costs_the_same_with_one_checklist_and_with_two_all_ticked(
    ida: Client,
    commander: Actor,
    late: Incident,
    now: dt.datetime,
    django_assert_max_num_queries: Callable[..., Any],
) -> None:
    address = f"/incidents/{late.ref}/"
    price = count_queries(ida, address)
    mark_lapsed_phases(now=now)
    resolve_incident(incident_id=late.pk, resolution="fixed", actor=commander, now=now)
    deliver_pending(now=now)
    for row in ChecklistItem.objects.filter(incident=late, ticked_at__isnull=True):
        tick_item(
            incident_id=late.pk, checklist=row.checklist, item=row.key, note="x", actor=commander, now=now
        )
    with django_assert_max_num_queries(price + 1):  # its report
        ida.get(address)
    assert price <= 45


def test_an_incident_without_a_checklist_says_where_they_come_from(
    ida: Client, commander: Actor, now: dt.datetime
) -> None:
    shown = _page(ida, declare(commander, now, 1))
    assert "No checklist: the playbook opens one for incidents of a high severity." in shown
