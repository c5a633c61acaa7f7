"""Reports on their pages, by forms without JavaScript: written by two, reviewed, published, read."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from typing import Any

import pypdfium2
import pytest
from django.test import Client

from core.actors import Actor
from core.clock import utcnow
from core.models import Event
from core.outbox import deliver_pending
from incidents import policy
from incidents.documents import pdf
from incidents.models import Incident, PublishedReport, Report, ReportRow, ReportText
from incidents.selectors.report_files import html_of
from incidents.services.incidents import close_incident, declare_incident, resolve_incident
from incidents.services.notes import add_note
from incidents.services.reports import (
    draft_missing_reports,
    draft_report,
    edit_report,
    give_report,
    publish_report,
    revise_report,
    submit_report,
)
from incidents.states import ReportSection
from rollbacks.services.endings import end_rollback
from rollbacks.services.requests import request_rollback
from rollbacks.states import RollbackState
from tests.pages.conftest import HOSTILE, SignIn
from tests.pages.test_reading import count_queries
from tests.pages.test_two_people import opened
from tests.reporting import publish_report_of

HOUR, DAY = dt.timedelta(hours=1), dt.timedelta(days=1)
By = dict[str, Any]


@pytest.fixture
def now() -> dt.datetime:
    """In the past, so that a report can be overdue."""
    return utcnow() - 2 * DAY


@pytest.fixture
def by(incident: Incident, commander: Actor, now: dt.datetime) -> By:
    return {"incident_id": incident.pk, "actor": commander, "now": now}


@pytest.fixture
def over(incident: Incident, by: By, now: dt.datetime) -> Incident:
    add_note(summary="Switched the provider off", kind="action", **by)
    add_note(summary="Coffee is out", **by)
    resolve_incident(resolution="Provider back", root_cause="Expired key", **by)
    deliver_pending(now=now)
    incident.refresh_from_db()
    return incident


def address(incident: Incident, rest: str = "") -> str:
    return f"/incidents/{incident.ref}/report/{rest}"


def page(browser: Client, incident: Incident, rest: str = "") -> str:
    answer = browser.get(address(incident, rest))
    assert answer.status_code == 200, answer.status_code
    return answer.content.decode()


def everything() -> dict[str, str]:
    return {str(section): f"{section.label} of it" for section in ReportSection}


def test_an_open_incident_says_when_its_report_begins(ida: Client, incident: Incident) -> None:
    assert "It begins with the resolution" in page(ida, incident)
    html = ida.get(f"/incidents/{incident.ref}/").content.decode()
    assert "open-report" not in html


def test_it_is_written_reviewed_and_published_by_forms(
    ida: Client, sign_in: SignIn, over: Incident, by: By
) -> None:
    html = page(ida, over)
    assert "3 of 12 filled" in html
    assert "Drafted from the timeline" in html
    assert re.search(r"Still to be written: Impact, Contributing factors, Users affected", html)
    assert 'id="action-report-submit" aria-disabled="true"' in html
    assert "Number or percentage" in html  # what belongs there
    at = address(over, "sections/users_affected/")
    assert "Number or percentage" in page(ida, over, "sections/users_affected/")
    answer = ida.post(at, opened(ida, at) | {"text": "**All** of them"})
    assert (answer.status_code, answer["Location"]) == (302, address(over))
    assert "<strong>All</strong> of them" in page(ida, over)
    edit_report(texts=everything(), **by)
    assert ida.post(address(over, "submit/")).status_code == 302
    html = page(ida, over)
    assert "In review" in html
    assert "Another person than who wrote all of it or handed it in publishes it at this severity." in html
    assert ida.post(address(over, "publish/")).status_code == 409
    lena = sign_in("lena")
    assert lena.post(address(over, "return/"), {"reason": "Say more"}).status_code == 302
    assert ida.post(address(over, "submit/")).status_code == 302
    assert lena.post(address(over, "publish/")).status_code == 302
    shown = ida.get(f"/incidents/{over.ref}/?panel=report").content.decode()
    assert f'id="open-report" href="{address(over, "read/")}"' in shown
    html = page(ida, over)
    assert "Revision 1" in html and "12 of 12 filled" in html
    assert 'href="' + address(over, "revisions/1/") in html
    assert "edit-impact" not in html
    assert ida.post(address(over, "sections/impact/"), {"text": "Late"}).status_code == 409
    assert "Users affected of it" in page(ida, over, "revisions/1/")
    assert ida.get(address(over, "revisions/2/")).status_code == 404
    assert ida.post(address(over, "revise/"), {"reason": "The vendor answered"}).status_code == 302
    assert "revision 2" in page(ida, over)
    assert close_incident(**by).status == "closed"


def test_who_was_second_sees_both_texts_and_decides(
    ida: Client, sign_in: SignIn, over: Incident, now: dt.datetime
) -> None:
    lena, at = sign_in("lena"), address(over, "sections/went_well/")
    seen = opened(ida, at)
    theirs = f"{HOSTILE}\nThe runbook, which somebody had read on Friday for another reason altogether"
    assert lena.post(at, opened(lena, at) | {"text": theirs}).status_code == 302
    answer = ida.post(at, seen | {"text": "Paging worked"})
    html = answer.content.decode()
    assert answer.status_code == 409
    assert "Meanwhile lena changed this. Both stand here" in html and "lena: as it is now" in html
    assert HOSTILE not in html and "&lt;" in html
    assert re.search(r"<textarea[^>]*>\s*Paging worked</textarea>", html)
    assert ReportText.objects.get(section="went_well").text == theirs
    form = answer.context["form"]
    assert ida.post(at, {"text": "Paging worked", "seen": form["seen"].value()}).status_code == 302
    assert ReportText.objects.get(section="went_well").text == "Paging worked"
    shown = page(ida, over, "sections/went_well/history/")
    assert shown.count("<ins>") == 3 and shown.count("<del>") == 2
    assert "&lt;img src=x" in shown and HOSTILE not in shown
    # One that says the same as what is there contradicts nobody.
    assert lena.post(at, seen | {"text": "Paging worked"}).status_code == 302


def test_what_publishing_asks_for_is_said_and_led_to(
    ida: Client, over: Incident, by: By, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rule of publishing says what is asked for: on the page, in the form, and where it is refused."""
    asked = policy.reports()
    needed = ("impact", "went_well")
    rule = asked.model_copy(update={"required": dict.fromkeys(asked.required, needed), "second_person": ()})
    monkeypatch.setattr(policy, "reports", lambda: rule)
    html = page(ida, over)
    ways = re.findall(r'href="([^"]*)" data-dialog><span class="visually-hidden">Write </span>', html)
    assert ways == [address(over, f"sections/{key}/") for key in needed]
    words = {}
    for key in ReportSection.values:
        form = page(ida, over, f"sections/{key}/")
        words[key] = "needed to publish" in form, "(optional)" in form
        assert "<textarea" in form and " required" not in form, "a draft may leave it empty"
    assert words == {key: (key in needed, key not in needed) for key in ReportSection.values}
    for verb in ("submit/", "publish/"):
        refused = ida.post(address(over, verb))
        html = refused.content.decode()
        assert (refused.status_code, Report.objects.get().state) == (409, "draft")
        assert "Still to be written: Impact, What went well." in html
        assert [way in html for way in ways] == [True, True]
        assert ida.get(ways[1]).status_code == 200
    edit_report(texts=dict.fromkeys(needed, "All"), **by)
    for verb in ("", "submit/", "publish/"):
        assert "Still to be written" not in page(ida, over, verb)
    assert ida.post(address(over, "publish/")).status_code == 302


def test_one_that_is_not_there_yet_says_when_it_is(ida: Client, incident: Incident, now: dt.datetime) -> None:
    Incident.objects.filter(pk=incident.pk).update(status="resolved", resolved_at=now, root_cause="Key")
    assert "is drafted within a minute" in page(ida, incident)
    assert "open-report" not in ida.get(f"/incidents/{incident.ref}/?panel=report").content.decode()
    for rest in ("read/", "timeline/", "sections/impact/", "sections/impact/history/", "give/"):
        assert ida.get(address(incident, rest)).status_code == 200, rest
    assert ida.post(address(incident, "sections/impact/"), {"text": "x"}).status_code == 409
    draft_missing_reports(now=now)
    assert "2 of 12 filled" in page(ida, incident)


def test_action_items_and_the_rollback_stand_on_its_page(
    ida: Client, over: Incident, commander: Actor, now: dt.datetime
) -> None:
    incident = declare_incident(
        actor=commander, now=now, title="Bad release", severity="P1", services=["shop"]
    )
    asked: dict[str, Any] = {"incident_id": incident.pk, "actor": commander, "now": now}
    rollback = request_rollback(service="shop", reason="It is the release", **asked)
    end_rollback(rollback, RollbackState.CANCELLED, "not needed", actor=commander, now=now)
    resolve_incident(resolution="By itself", **asked)
    deliver_pending(now=now)
    html = page(ida, incident)
    assert f'href="/rollbacks/{rollback.ref}/"' in html and "cancelled" in html
    assert "Action items, Prevention measures." in html
    add = re.search(r'id="add-action-item" href="([^"]*)"', html)
    assert add and add[1] == f"/incidents/{incident.ref}/action-items/new/?back=report"
    answer = ida.post(add[1], {"title": "Read the plan", "kind": "immediate"})
    assert (answer.status_code, answer["Location"]) == (302, address(incident))
    html = page(ida, incident)
    assert "Read the plan" in html and "Action items" not in html.partition("Still to be written")[2][:200]
    assert "edit-no_prevention" not in html
    done = re.search(r'href="(/action-items/\d+/done/\?back=report)"', html)
    assert done and ida.post(done[1], {"note": "Read"})["Location"] == address(incident)
    # Where there is none, somebody says why.
    html = page(ida, over)
    assert 'href="/rollbacks/' not in html
    assert 'id="edit-no_prevention"' in html
    at = address(over, "sections/no_prevention/")
    assert ida.post(at, opened(ida, at) | {"text": "The vendor ended it"}).status_code == 302
    assert "The vendor ended it" in page(ida, over, "?panel=follow_up")
    assert "3 of 12 filled" in page(ida, over)  # it is no section of the template


def test_a_guess_is_shown_as_one(ida: Client, over: Incident) -> None:
    html = page(ida, over, "?panel=sections")
    assert "Proposed: Shop" in html and "Proposed: to be rewritten" in html
    at = address(over, "sections/functionality_affected/")
    assert ida.post(at, opened(ida, at) | {"text": "Paying"}).status_code == 302
    assert "Proposed: to be rewritten" not in page(ida, over, "?panel=sections")
    assert "4 of 12 filled" in page(ida, over)


def test_a_row_of_the_timeline_says_how_it_came_about(ida: Client, over: Incident) -> None:
    coffee = Event.objects.get(summary="Coffee is out")
    at = address(over, f"timeline/{coffee.seq}/")
    assert "Nothing written yet" in page(ida, over, f"timeline/{coffee.seq}/history/")
    for text in ("No coffee", HOSTILE):
        assert ida.post(at, opened(ida, at) | {"included": "on", "event_text": text}).status_code == 302
    assert f'href="{at}history/"' in page(ida, over, "?panel=rows")
    shown = page(ida, over, f"timeline/{coffee.seq}/history/")
    assert "Version 2" in shown and "Version 1" in shown
    assert "<bdi>Left out</bdi></del>" in shown and "<bdi>Event: No coffee</bdi></ins>" in shown
    assert "&lt;img src=x" in shown and HOSTILE not in shown
    assert ida.get(address(over, "timeline/999/history/")).status_code == 404


def test_each_revision_is_saved_as_it_was_published(
    ida: Client, over: Incident, by: By, now: dt.datetime
) -> None:
    """Page, Markdown and PDF of what was published: later changes are the next revision's."""
    publish_report_of(over, now=now)
    first = PublishedReport.objects.get().markdown
    Incident.objects.filter(pk=over.pk).update(title="Renamed", severity="P1")
    for ways in ("/incidents/", "/api/v1/incidents/"):
        files = [
            ida.get(f"{ways}{over.ref}/{name}").content
            for name in ("report.md", "report/revisions/1/report.md")
        ]
        assert files == [first.encode()] * 2, ways
    assert html_of(over) in page(ida, over, "read/")
    revise_report(reason="The vendor answered", **by)
    edit_report(texts={"primary_cause": "Their fault"}, **by)
    assert "Their fault" in ida.get(f"/incidents/{over.ref}/report.md").content.decode()
    answer = ida.get(address(over, "revisions/1/report.md"))
    assert answer.content == first.encode()
    assert f'filename="{over.ref}-revision-1.md"' in answer["Content-Disposition"]
    html = page(ida, over)
    for name in ("report.md", "report.pdf"):
        assert f'href="{address(over, "revisions/1/" + name)}"' in html
        assert f'href="{address(over, "revisions/1/" + name)}"' in page(ida, over, "revisions/1/")
        assert ida.get(address(over, f"revisions/2/{name}")).status_code == 404
        assert ida.get(f"/api/v1/incidents/{over.ref}/report/revisions/2/{name}").status_code == 404
    document = pypdfium2.PdfDocument(ida.get(address(over, "revisions/1/report.pdf")).content)
    text = " ".join(document[0].get_textpage().get_text_range().split())
    assert "Checkout fails" in text and "P0 Critical" in text and "by rex" in text
    assert "Renamed" not in text


def test_the_timeline_is_chosen_and_reworded(ida: Client, over: Incident, by: By) -> None:
    coffee = Event.objects.get(summary="Coffee is out")
    switched = Event.objects.get(summary="Switched the provider off")
    rows = page(ida, over, "?panel=rows")
    assert "Coffee is out" not in rows and "Switched the provider off" in rows
    shown = page(ida, over, "timeline/")
    assert "Coffee is out" in shown and "Left out" in shown
    at = address(over, f"timeline/{coffee.seq}/")
    seen = opened(ida, at)
    assert ida.post(at, {"included": "on"}).status_code == 422
    assert ida.post(at, seen | {"included": "on", "event_text": "No coffee"}).status_code == 302
    assert ida.post(address(over, f"timeline/{switched.seq}/"), {"action_text": "x"}).status_code == 302
    rows = page(ida, over, "?panel=rows")
    assert "No coffee" in rows and "Switched the provider off" not in rows
    second = ida.post(at, seen | {"included": "on", "event_text": "Mine"})
    assert second.status_code == 409 and "“No coffee”" in second.content.decode()
    assert ReportRow.objects.get(event=coffee).event_text == "No coffee"
    assert ida.get(address(over, "timeline/999/")).status_code == 404
    assert ida.get(address(over, f"timeline/{2**70}/")).status_code == 404


def test_it_is_given_to_who_may_see_it(
    ida: Client, over: Incident, make_actor: Callable[..., Actor], by: By
) -> None:
    make_actor("vic", "viewer")
    assert ida.post(address(over, "give/"), {"owner": "vic"}).status_code == 302
    assert Report.objects.get().owner.get_username() == "vic"  # type: ignore[union-attr]
    Incident.objects.filter(pk=over.pk).update(restricted=True)
    assert ida.post(address(over, "give/"), {"owner": ""}).status_code == 302
    assert ida.post(address(over, "give/"), {"owner": "vic"}).status_code == 422
    assert Report.objects.get().owner is None


def test_the_list_has_what_is_due_first_and_finds_the_rest(
    ida: Client, over: Incident, commander: Actor, by: By, now: dt.datetime
) -> None:
    made = {}
    for title, severity in (("Later", "P2"), ("Done", "P1"), ("Skipped", "P3"), ("Open", "P3")):
        incident = declare_incident(actor=commander, now=now, title=title, severity=severity)
        made[title] = incident
        if title != "Open":
            resolve_incident(incident_id=incident.pk, resolution="Fixed", actor=commander, now=now)
    deliver_pending(now=now)
    publish_report_of(made["Done"], now=now)
    close_incident(incident_id=made["Skipped"].pk, reason="A typo", actor=commander, now=now)
    Report.objects.filter(incident=made["Later"]).update(due_at=now + 50 * DAY)
    Report.objects.filter(incident=over).update(due_at=now + HOUR)

    def titles(query: str = "") -> list[str]:
        html = ida.get(f"/reports/{query}").content.decode()
        return re.findall(r'<a class="strong" href="[^"]*"><bdi>([^<]*)</bdi>', html)

    assert titles() == ["Checkout fails", "Later"]
    assert "Overdue" in ida.get("/reports/").content.decode()
    assert titles("?state=published") == ["Done"]
    assert titles("?state=skipped") == ["Skipped"]
    assert titles("?severity=P2") == ["Later"]
    assert titles("?owner=ida") == ["Checkout fails"]
    assert titles("?state=nonsense&severity=P9&after=99999999999999999") == ["Checkout fails", "Later"]
    assert titles("?after=x") == ["Checkout fails", "Later"]
    give_report(incident_id=made["Later"].pk, owner="ida", actor=commander, now=now)
    assert titles("?owner=ida") == ["Checkout fails", "Later"]


def test_two_hundred_reports_cost_what_two_do_and_are_paged(
    ida: Client, commander: Actor, now: dt.datetime
) -> None:
    def more(number: int) -> None:
        for _ in range(number):
            incident = declare_incident(actor=commander, now=now, title="Slow", severity="P2")
            report = Report.objects.create(incident=incident, drafted_at=now, due_at=now)
            ReportText.objects.create(
                report=report, section="impact", text="x", changed_at=now, changed_by="ida", by_machine=False
            )
        Incident.objects.update(status="resolved", resolved_at=now)

    more(2)
    few = count_queries(ida, "/reports/")
    more(58)
    assert count_queries(ida, "/reports/") == few
    first = ida.get("/reports/").content.decode()
    after = re.search(r'href="/reports/\?after=(\d+)"', first)
    assert after
    second = ida.get(f"/reports/?after={after[1]}").content.decode()
    refs = [set(re.findall(r'class="ref">(INC-[^<]*)<', html)) for html in (first, second)]
    assert (len(refs[0]), len(refs[1]), refs[0] & refs[1]) == (50, 10, set())


def test_others_of_a_restricted_incident_see_nothing_of_its_report(
    ida: Client, sign_in: SignIn, over: Incident, by: By
) -> None:
    edit_report(texts=everything(), **by)
    submit_report(**by)
    Incident.objects.filter(pk=over.pk).update(restricted=True)
    eve = sign_in("eve")
    for rest in (
        "",
        "read/",
        "timeline/",
        "timeline/1/",
        "timeline/1/history/",
        "sections/impact/",
        "sections/impact/history/",
        "give/",
    ):
        assert eve.get(address(over, rest)).status_code == 404, rest
    assert eve.post(address(over, "publish/")).status_code == 404
    assert over.ref not in eve.get("/reports/").content.decode()
    assert over.ref in ida.get("/reports/").content.decode()


def test_it_stands_on_the_page_of_its_incident(ida: Client, over: Incident, by: By) -> None:
    html = ida.get(f"/incidents/{over.ref}/?panel=report").content.decode()
    assert "3 of 12 filled" in html and f'href="{address(over)}"' in html
    publish_report_of(over, now=by["now"])
    assert "Published by" in ida.get(f"/incidents/{over.ref}/?panel=report").content.decode()


def test_its_panels_come_one_by_one(ida: Client, over: Incident) -> None:
    for key in ("state", "sections", "follow_up", "rows", "rollbacks", "revisions"):
        answer = ida.get(address(over, f"?panel={key}"))
        assert f'id="panel-{key}"' in answer.content.decode(), key
    # A second id hides the first: an open page would ask for a panel that is not there, and get none at all.
    assert not re.search(r'<[^>]*\sid="[^"]*"[^>]*\sid="', page(ida, over))
    assert 'id="panel-text"' in ida.get(address(over, "read/?panel=text")).content.decode()


def live_panels(html: str) -> dict[str, str]:
    """The topics of each panel that renews itself."""
    return dict(re.findall(r'id="panel-(\w+)" data-live-topics="([^"]+)"', html))


@pytest.mark.parametrize("rest", ["", "report/", "report/read/", "report/timeline/"])
def test_a_page_that_is_open_before_the_resolution_becomes_what_it_is_after(
    ida: Client, incident: Incident, by: By, rest: str
) -> None:
    """What a page lacks a renewed panel cannot bring, so every panel is there from the beginning."""
    at = f"/incidents/{incident.ref}/{rest}"
    before = live_panels(ida.get(at).content.decode())
    resolve_incident(resolution="Provider back", **by)
    deliver_pending(now=by["now"])
    after = live_panels(ida.get(at).content.decode())
    assert before and after == before
    asked = ida.get(f"{at}?panels={','.join(before)}").json()["panels"]
    together = "".join(panel["html"] for panel in asked.values())
    if rest == "":
        assert 'id="open-report"' in together and 'id="add-action-item"' in together
        assert "ida" in asked["report"]["html"], "the draft has an owner"
        assert "Lessons learned" in asked["checklists"]["html"]
    if rest == "report/":
        assert "of 12 filled" in together and 'id="edit-impact"' in together
        hidden = [key for key, panel in asked.items() if " hidden" in panel["html"]]
        assert hidden == ["rollbacks"], "nothing was rolled back"


def test_open_pages_hear_of_the_draft(
    incident: Incident, by: By, monkeypatch: pytest.MonkeyPatch, now: dt.datetime
) -> None:
    resolve_incident(resolution="Provider back", **by)
    poked: list[str] = []
    monkeypatch.setattr("core.live.poke", lambda *topics: poked.extend(topics))
    draft_report(event=Event.objects.get(kind="incident.resolved"), now=now)
    assert {f"incident:{incident.ref}", "now"} <= set(poked)


def test_a_viewer_reads_and_is_told_why_they_may_not_write(sign_in: SignIn, over: Incident) -> None:
    vic = sign_in("vic", "viewer")
    html = page(vic, over)
    assert "edit-impact" not in html and "Needs the account level responder" in html
    assert "Expired key" in page(vic, over, "read/")
    assert vic.post(address(over, "sections/impact/"), {"text": "x"}).status_code == 403


def test_a_pdf_that_cannot_be_made_says_so(
    ida: Client, over: Incident, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pdf, "SECONDS", 0.05)
    answer = ida.get(f"/incidents/{over.ref}/report.pdf")
    assert (answer.status_code, answer["Retry-After"]) == (503, "60")
    assert "No PDF now" in answer.content.decode()
    answer = ida.get(f"/api/v1/incidents/{over.ref}/report.pdf")
    assert (answer.status_code, answer["Retry-After"], answer.json()["code"]) == (503, "60", "pdf_not_made")


def test_what_was_published_is_what_is_read(
    ida: Client, over: Incident, by: By, make_actor: Callable[..., Actor]
) -> None:
    """A revision stays, also when the incident is renamed."""
    edit_report(texts=everything() | {"impact": HOSTILE}, **by)
    submit_report(**by)
    publish_report(**by | {"actor": make_actor("rex")})
    Incident.objects.filter(pk=over.pk).update(title="Another")
    html = page(ida, over, "revisions/1/")
    assert HOSTILE not in html and "&lt;img src=x" in html
