"""Reports by the API: written section by section, with both kinds of conflict, reviewed, published, listed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from core.actors import Actor
from core.clock import utcnow
from core.models import Event, User
from core.outbox import deliver_pending
from incidents.models import Incident, PublishedReport, Report
from incidents.services.incidents import declare_incident, resolve_incident
from incidents.services.notes import add_note
from incidents.states import ReportSection
from tests.api.conftest import Signed, Tokened

DAY = dt.timedelta(days=1)


@pytest.fixture
def now() -> dt.datetime:
    """In the past, so that a report can be overdue."""
    return utcnow() - 9 * DAY


@pytest.fixture
def over(incident: Incident, commander: Actor, now: dt.datetime) -> Incident:
    by: dict[str, Any] = {"incident_id": incident.pk, "actor": commander, "now": now}
    add_note(summary="Coffee is out", **by)
    resolve_incident(resolution="Provider back", root_cause="Expired key", **by)
    deliver_pending(now=now)
    incident.refresh_from_db()
    return incident


def everything() -> dict[str, str]:
    return {str(section): f"{section.label} of it" for section in ReportSection}


def at(incident: Incident, rest: str = "") -> str:
    return f"/api/v1/incidents/{incident.ref}/report/{rest}"


def test_an_open_incident_has_none(api: APIClient, incident: Incident) -> None:
    answer = api.get(at(incident))
    assert answer.status_code == 404
    assert "begins with its resolution" in answer.json()["detail"]


def test_it_is_read_and_written_by_sections(api: APIClient, over: Incident) -> None:
    answer = api.get(at(over))
    report = answer.json()
    assert {name: report[name] for name in ("incident", "severity", "state", "revision", "owner", "overdue", "filled")} == {
        "incident": over.ref, "severity": "P0", "state": "draft", "revision": 1, "owner": "ida", "overdue": True,
        "filled": 3,
    }  # fmt: skip
    assert report["sections"]["primary_cause"] == "Expired key" and report["sections"]["impact"] == ""
    assert (report["versions"]["primary_cause"], report["versions"]["impact"]) == (1, 0)
    assert report["missing"][:2] == ["impact", "contributing_factors"]
    assert {"declared", "resolved"} <= {row["kind"].removeprefix("incident.") for row in report["timeline"]}
    assert report["published"] == [] and report["url"].endswith(f"/incidents/{over.ref}/report/")
    changed = api.patch(
        at(over), {"sections": {"impact": "All of them"}}, format="json", HTTP_IF_MATCH=answer["ETag"]
    )
    assert changed.status_code == 200 and changed.json()["sections"]["impact"] == "All of them"
    assert changed["ETag"] != answer["ETag"]
    late = api.patch(at(over), {"sections": {"impact": "No"}}, format="json", HTTP_IF_MATCH=answer["ETag"])
    assert (late.status_code, late["ETag"]) == (412, changed["ETag"])


def test_who_was_second_is_told_what_the_first_wrote(
    api: APIClient, person: Signed, make_user: Callable[..., User], over: Incident
) -> None:
    seen = {"impact": 0, "went_well": 0}
    first = {"sections": {"impact": "Theirs"}, "seen": seen}
    assert person(make_user("lena")).patch(at(over), first, format="json").status_code == 200
    second = {"sections": {"impact": "Mine", "went_well": "Paging"}, "seen": seen}
    answer = api.patch(at(over), second, format="json")
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (409, "report_changed")
    assert (problem["section"], problem["theirs"], problem["version"]) == ("impact", "Theirs", 1)
    assert api.get(at(over)).json()["sections"]["went_well"] == ""  # all or nothing
    assert api.patch(at(over), {**second, "seen": {"impact": 1}}, format="json").status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"sections": {"conclusion": "x"}},
        {"sections": {"impact": None}},
        {"sections": {"impact": "x" * 20_001}},
        {"sections": {"impact": "a\u0000b"}},
        {"sections": {"impact": "x"}, "seen": {"conclusion": 1}},
        {"sections": {"impact": "x"}, "seen": {"impact": -1}},
        {"sections": [], "seen": 3},
    ],
)
def test_what_is_no_report_is_refused(api: APIClient, over: Incident, body: dict[str, Any]) -> None:
    assert api.patch(at(over), body, format="json").status_code == 400


def test_two_people_publish_it_and_a_token_never_does(
    api: APIClient, person: Signed, program: Tokened, make_user: Callable[..., User], over: Incident
) -> None:
    early = api.post(at(over, "submit/"), {}, format="json")
    assert (early.status_code, early.json()["code"], early.json()["state"]) == (
        409,
        "report_not_ready",
        "draft",
    )
    assert "Still to be written: Impact" in early.json()["detail"]
    api.patch(at(over), {"sections": everything()}, format="json")
    assert api.post(at(over, "submit/"), {}, format="json").json()["submitted_by"] == "ida"
    assert api.post(at(over, "publish/"), {}, format="json").status_code == 409
    lena = make_user("lena")
    answer = person(lena).post(at(over, "return/"), {"reason": "Say more"}, format="json")
    assert answer.json()["state"] == "draft"
    assert api.post(at(over, "submit/"), {}, format="json").json()["state"] == "in_review"
    by_token = program(lena, "read", "write").post(at(over, "publish/"), {}, format="json")
    assert (by_token.status_code, by_token.json()["detail"]) == (409, "A person publishes a report.")
    published = person(lena).post(at(over, "publish/"), {}, format="json").json()
    assert (published["state"], published["published_by"], published["missing"]) == ("published", "lena", [])
    kept = PublishedReport.objects.get()
    assert [(row["revision"], row["sha256"]) for row in published["published"]] == [(1, kept.sha256)]
    revised = api.post(at(over, "revise/"), {"reason": "The vendor answered"}, format="json").json()
    assert (revised["state"], revised["revision"]) == ("draft", 2)


def test_rows_of_the_timeline_are_chosen(api: APIClient, over: Incident) -> None:
    coffee = Event.objects.get(summary="Coffee is out").seq

    def rows(answer: Any) -> list[dict[str, Any]]:
        return [row for row in answer.json()["timeline"] if row["seq"] == coffee]

    assert rows(api.get(at(over))) == []
    said = {"included": True, "event": "No coffee", "owner": "Everybody", "seen": 0}
    [row] = rows(api.put(at(over, f"timeline/{coffee}/"), said, format="json"))
    assert (row["event"], row["action"], row["owner"], row["included"], row["version"]) == (
        "No coffee", "", "Everybody", True, 1,
    )  # fmt: skip
    again = api.put(at(over, f"timeline/{coffee}/"), said, format="json")
    assert (again.status_code, again.json()["code"], again.json()["version"]) == (
        409,
        "report_row_changed",
        1,
    )
    assert api.put(at(over, f"timeline/{coffee}/"), {"included": True}, format="json").status_code == 400
    assert api.put(at(over, "timeline/999/"), {"included": False}, format="json").status_code == 404
    [row] = rows(api.put(at(over, f"timeline/{coffee}/"), {"included": False}, format="json"))
    assert row["included"] is False


def test_it_is_given_to_somebody(api: APIClient, over: Incident, make_user: Callable[..., User]) -> None:
    make_user("lena")
    assert api.post(at(over, "assign/"), {"user": "lena"}, format="json").json()["owner"] == "lena"
    assert api.post(at(over, "assign/"), {"user": None}, format="json").json()["owner"] is None
    assert api.post(at(over, "assign/"), {"user": "nobody"}, format="json").status_code == 400
    assert api.post(at(over, "assign/"), {}, format="json").status_code == 400


def test_the_list_has_those_of_incidents_that_are_over(
    api: APIClient,
    over: Incident,
    commander: Actor,
    now: dt.datetime,
    person: Signed,
    make_user: Callable[..., User],
) -> None:
    for number in range(3):
        made = declare_incident(actor=commander, now=now, title=f"Slow {number}", severity="P3")
        resolve_incident(incident_id=made.pk, resolution="Fixed", actor=commander, now=now)
    declare_incident(actor=commander, now=now, title="Exercise", severity="P1", drill=True)
    deliver_pending(now=now)

    def refs(query: str = "") -> int:
        answer = api.get(f"/api/v1/reports/{query}")
        assert answer.status_code == 200, answer.content
        return len(answer.json()["results"])

    assert (refs(), refs("?severity=P0"), refs("?state=published")) == (4, 1, 0)
    assert (refs("?overdue=true"), refs("?overdue=false"), refs("?owner=ida")) == (1, 3, 1)
    assert api.get("/api/v1/reports/?late=1").status_code == 400
    with CaptureQueriesContext(connection) as few:
        refs("?page_size=1")
    with CaptureQueriesContext(connection) as many:
        refs()
    assert len(few) == len(many)
    Incident.objects.filter(pk=over.pk).update(restricted=True)
    eve = person(make_user("eve"))
    assert over.ref not in {row["incident"] for row in eve.get("/api/v1/reports/").json()["results"]}
    assert eve.get(at(over)).status_code == 404
    assert Report.objects.count() == 4
