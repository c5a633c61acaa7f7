"""An incident's life through the API: declared, worked on, resolved, closed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from rest_framework.test import APIClient

from core.clock import utcnow
from core.models import User
from incidents.models import Incident, Service
from incidents.services.holds import place_hold, release_hold
from incidents.services.incidents import declare_incident
from tests.reporting import publish_report_of

INCIDENTS = "/api/v1/incidents/"
FIELDS = {
    "ref",
    "title",
    "description",
    "impact",
    "kind",
    "severity",
    "security_level",
    "restricted",
    "status",
    "services",
    "drill",
    "declared_at",
    "declared_by",
    "source",
    "started_at",
    "response_due_at",
    "acknowledged_at",
    "response_breached",
    "next_update_due_at",
    "resolved_at",
    "closed_at",
    "duration_seconds",
    "escalated_at",
    "escalated_to",
    "roles",
    "active_rollback",
    "url",
}


@pytest.fixture
def declared(api: APIClient, shop: Service) -> dict[str, Any]:
    body = {"title": "Checkout fails", "severity": "P1", "services": ["shop"]}
    answer = api.post(INCIDENTS, body)
    assert answer.status_code == 201
    return dict(answer.json())


def test_a_declared_incident_has_the_shape_of_the_contract(declared: dict[str, Any]) -> None:
    assert set(declared) == FIELDS
    assert declared["ref"].startswith("INC-")
    assert (declared["severity"], declared["status"], declared["source"]) == ("P1", "investigating", "person")
    assert declared["services"] == ["shop"]
    assert declared["declared_by"] == "ida"
    assert declared["declared_at"].endswith("Z")
    assert declared["roles"] == dict.fromkeys(declared["roles"])
    assert len(declared["roles"]) == 5
    assert declared["url"].endswith(f"/incidents/{declared['ref']}/")


def test_the_whole_life_of_an_incident(api: APIClient, declared: dict[str, Any]) -> None:
    at = f"{INCIDENTS}{declared['ref']}/"
    acknowledged = api.post(f"{at}acknowledge/").json()
    assert acknowledged["acknowledged_at"]
    assert acknowledged["roles"]["incident_commander"] == "ida"
    assert api.patch(at, {"impact": "Nobody can pay"}).json()["impact"] == "Nobody can pay"
    raised = api.post(f"{at}change_severity/", {"severity": "P0", "reason": "everyone is affected"}).json()
    assert raised["severity"] == "P0"
    assert raised["response_due_at"] < declared["response_due_at"]
    fixed = {"message": "A fix is out", "status": "monitoring", "visibility": "both", "next_steps": "Watch"}
    assert api.post(f"{at}update/", fixed).json()["status"] == "monitoring"
    resolved = api.post(f"{at}resolve/", {"resolution": "Reverted the change", "root_cause": "A typo"}).json()
    assert (resolved["status"], resolved["next_update_due_at"]) == ("resolved", None)
    assert api.post(f"{at}reopen/", {"reason": "It is back"}).json()["status"] == "investigating"
    assert api.post(f"{at}resolve/", {"resolution": "Now really"}).status_code == 200
    refused = api.post(f"{at}close/")
    assert (refused.status_code, refused.json()["code"]) == (409, "report_not_published")
    publish_report_of(Incident.objects.get(ref=declared["ref"]), now=utcnow())
    assert api.post(f"{at}close/").json()["status"] == "closed"
    events = api.get(f"{at}timeline/?page_size=200").json()["results"]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert [event["kind"] for event in events][:2] == ["incident.declared", "incident.acknowledged"]
    assert [event["kind"] for event in events][-1] == "incident.closed"


def test_an_illegal_move_is_a_conflict_that_names_the_state(api: APIClient, declared: dict[str, Any]) -> None:
    answer = api.post(f"{INCIDENTS}{declared['ref']}/close/", {"reason": "tired"})
    assert answer.status_code == 409
    assert answer["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert (problem["status"], problem["code"], problem["state"]) == (409, "illegal_move", "investigating")
    assert problem["type"] == "/problems/illegal_move"


def test_a_rollback_holds_the_incident_open(
    api: APIClient, declared: dict[str, Any], now: dt.datetime
) -> None:
    at = f"{INCIDENTS}{declared['ref']}/"
    incident = Incident.objects.get(ref=declared["ref"])
    place_hold(incident=incident, kind="rollback", reference="RB-1", reason="RB-1 is under way", now=now)
    assert api.get(at).json()["active_rollback"] == "RB-1"
    refused = api.post(f"{at}resolve/", {"resolution": "fine"})
    assert (refused.status_code, refused.json()["code"]) == (409, "incident_held")
    release_hold(kind="rollback", reference="RB-1")
    assert api.post(f"{at}resolve/", {"resolution": "fine"}).json()["active_rollback"] is None


def test_roles_are_given_to_accounts_with_the_grant(
    api: APIClient, declared: dict[str, Any], make_user: Callable[..., User]
) -> None:
    make_user("tom", "responder", "technical_lead")
    make_user("eve", "responder")
    role = f"{INCIDENTS}{declared['ref']}/roles/technical_lead/"
    assert api.put(role, {"user": "tom"}).json()["role"] == "technical_lead"
    assert api.get(f"{INCIDENTS}{declared['ref']}/").json()["roles"]["technical_lead"] == "tom"
    refused = api.put(role, {"user": "eve"})
    assert (refused.status_code, refused.json()["code"]) == (403, "grant_missing")
    assert api.delete(role).status_code == 204
    assert api.delete(role).status_code == 409
    assert api.put(role.replace("technical_lead", "engineering_manager"), {"user": "tom"}).status_code == 404


def test_responders_join_once(
    api: APIClient, declared: dict[str, Any], make_user: Callable[..., User]
) -> None:
    make_user("tom")
    at = f"{INCIDENTS}{declared['ref']}/responders/"
    assert api.post(at, {"user": "tom"}).status_code == 201
    assert api.post(at, {"user": "tom"}).status_code == 409
    assert api.post(at, {"user": "nobody"}).json()["errors"][0]["pointer"] == "/user"
    rows = api.get(at).json()["results"]
    assert [(row["user"], row["role"], row["until"]) for row in rows] == [("tom", None, None)]


def test_notes_are_back_dated_and_read_from_where_one_left_off(
    api: APIClient, declared: dict[str, Any]
) -> None:
    at = f"{INCIDENTS}{declared['ref']}/timeline/"
    note = {"summary": "Restarted the cache", "kind": "action", "occurred_at": "2026-01-02T03:04:05+02:00"}
    written = api.post(at, note).json()
    assert set(written) == {
        "seq",
        "kind",
        "occurred_at",
        "recorded_at",
        "actor",
        "source",
        "summary",
        "data",
        "hash",
    }
    assert (written["kind"], written["occurred_at"]) == ("action.taken", "2026-01-02T01:04:05Z")
    rest = api.get(at, {"after_seq": 1}).json()["results"]
    assert [event["seq"] for event in rest] == [2]
    assert rest[0]["hash"] == written["hash"]


def test_a_restricted_incident_is_not_there_for_others(
    ida: User,
    commander: Any,
    make_user: Callable[..., User],
    person: Callable[[User], APIClient],
    now: dt.datetime,
) -> None:
    incident = declare_incident(
        actor=commander,
        now=now,
        title="Breach",
        severity="P0",
        kind="security",
        security_level=1,
        restricted=True,
    )
    outsider = person(make_user("vic", "responder"))
    assert outsider.get(INCIDENTS).json()["results"] == []
    for path in ("", "timeline/", "responders/", "rollbacks/"):
        assert outsider.get(f"{INCIDENTS}{incident.ref}/{path}").status_code == 404
    assert outsider.post(f"{INCIDENTS}{incident.ref}/acknowledge/").status_code == 404
    assert person(ida).get(f"{INCIDENTS}{incident.ref}/").status_code == 200


def test_viewers_read_and_accounts_without_a_level_do_not(
    declared: dict[str, Any], make_user: Callable[..., User], person: Callable[[User], APIClient]
) -> None:
    viewer, nobody = person(make_user("vera", "viewer")), person(make_user("nick", ""))
    assert viewer.get(INCIDENTS).status_code == 200
    refused = viewer.post(f"{INCIDENTS}{declared['ref']}/acknowledge/")
    assert (refused.status_code, refused.json()["code"]) == (403, "not_allowed")
    assert nobody.get(INCIDENTS).status_code == 403
