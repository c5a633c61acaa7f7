"""Checklists and criteria through the API."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from rest_framework.test import APIClient

from core.models import Event, User
from core.outbox import deliver_pending
from incidents.models import Incident
from incidents.services.incidents import close_incident, resolve_incident
from tests.pages.test_reading import count_queries
from tests.reporting import publish_report_of

ITEM = {"key", "name", "text", "starts_at", "due_at", "owner", "ticked_at", "ticked_by", "note", "overdue"}


@pytest.fixture
def at(incident: Incident, now: dt.datetime) -> str:
    """The address of a P0 whose emergency checklist is open."""
    deliver_pending(now=now)
    return f"/api/v1/incidents/{incident.ref}/"


def test_the_checklists_have_the_shape_of_the_contract(api: APIClient, at: str) -> None:
    answer = api.get(f"{at}checklists/").json()
    assert (answer["next"], answer["previous"]) == (None, None)
    (emergency,) = answer["results"]
    assert set(emergency) == {"key", "name", "asked_for", "phases"}
    assert [phase["key"] for phase in emergency["phases"]] == [
        "immediate",
        "preparation",
        "execution",
        "validation",
    ]
    first = emergency["phases"][0]
    assert set(first) == {"key", "name", "starts_at", "due_at", "done", "total", "items"}
    assert (first["done"], first["total"]) == (1, 4)
    assert set(first["items"][0]) == ITEM
    done = {item["key"]: item["ticked_by"] for item in first["items"] if item["ticked_at"]}
    assert done == {"document_issue": "Firebreak"}


def test_a_program_ticks_with_its_name_and_unticks_with_a_reason(
    program: Callable[..., APIClient], ida: User, at: str
) -> None:
    client = program(ida, "read", "write")
    item = f"{at}checklists/emergency/items/check_dependencies/"
    ticked = client.post(f"{item}tick/", {"note": "same schema"})
    assert ticked.status_code == 200
    assert set(ticked.json()) == ITEM
    assert (ticked.json()["ticked_by"], ticked.json()["note"]) == ("ida (token ci)", "same schema")
    assert client.post(f"{item}untick/", {}).status_code == 400
    unticked = client.post(f"{item}untick/", {"reason": "looked at the wrong one"}).json()
    assert (unticked["ticked_at"], unticked["ticked_by"], unticked["note"]) == (None, None, "")
    assert client.post(f"{item}tick/").status_code == 200  # nothing need be said


def test_who_comes_second_gets_409_with_who_was_first(api: APIClient, at: str) -> None:
    item = f"{at}checklists/emergency/items/assess_severity/tick/"
    assert api.post(item).status_code == 200
    refused = api.post(item)
    assert (refused.status_code, refused.json()["code"]) == (409, "already_ticked")
    assert "is already ticked by ida at" in refused.json()["detail"]


def test_the_same_request_again_by_its_key_is_answered_as_before(api: APIClient, at: str) -> None:
    item = f"{at}checklists/emergency/items/assess_severity/tick/"
    first = api.post(item, headers={"Idempotency-Key": "a"})
    again = api.post(item, headers={"Idempotency-Key": "a"})
    assert (again.status_code, again.json()) == (200, first.json())


@pytest.mark.parametrize("place", ["emergency/items/nothing", "nothing/items/assess_severity"])
def test_what_is_not_there_is_404(api: APIClient, at: str, place: str) -> None:
    assert api.post(f"{at}checklists/{place}/tick/").status_code == 404


def test_a_closed_incident_is_409(
    api: APIClient, at: str, incident: Incident, commander: Any, now: dt.datetime
) -> None:
    resolve_incident(incident_id=incident.pk, resolution="x", actor=commander, now=now)
    publish_report_of(incident, now=now)
    close_incident(incident_id=incident.pk, actor=commander, now=now)
    refused = api.post(f"{at}checklists/emergency/items/assess_severity/tick/")
    assert (refused.status_code, refused.json()["state"]) == (409, "closed")


@pytest.mark.parametrize(
    ("body", "recommendation", "matched"),
    [
        (
            {"criteria": ["data_corruption", "minor_ui_issues"]},
            "immediate",
            ["data_corruption", "minor_ui_issues"],
        ),
        ({"criteria": ["feature_broken"]}, "recommended", ["feature_broken"]),
        ({"criteria": [], "degradation_percent": 51}, "recommended", ["degradation_major"]),
        ({"criteria": ["cosmetic_problems"]}, "optional", ["cosmetic_problems"]),
        ({"criteria": []}, "none", []),
        ({"criteria": [], "degradation_percent": 50}, "none", []),
    ],
)
def test_the_criteria_are_answered_with_a_recommendation_that_stands_on_the_timeline(
    api: APIClient, at: str, incident: Incident, body: dict[str, Any], recommendation: str, matched: list[str]
) -> None:
    answer = api.post(f"{at}criteria/", body)
    assert answer.status_code == 200
    assert set(answer.json()) == {"recommendation", "matched", "text"}
    assert (answer.json()["recommendation"], answer.json()["matched"]) == (recommendation, matched)
    assert ("judgement needed" in answer.json()["text"]) == (body.get("degradation_percent") == 50)
    event = Event.objects.filter(stream=incident.stream).latest("seq")
    assert (event.kind, event.data["recommendation"]) == ("decision.criteria_checked", recommendation)


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/criteria"),
        ({"criteria": "data_corruption"}, "/criteria"),
        ({"criteria": ["nothing"]}, "/criteria"),
        ({"criteria": [], "degradation_percent": 1.5}, "/degradation_percent"),
        ({"criteria": [], "degradation_percent": -1}, "/degradation_percent"),
        ({"criteria": [], "more": 1}, "/more"),
    ],
)
def test_a_wrong_check_names_the_field(api: APIClient, at: str, body: dict[str, Any], pointer: str) -> None:
    answer = api.post(f"{at}criteria/", body)
    assert answer.status_code == 400
    assert pointer in [error["pointer"] for error in answer.json()["errors"]]


def test_checklists_cost_the_same_however_many_there_are(
    api: APIClient,
    at: str,
    incident: Incident,
    commander: Any,
    now: dt.datetime,
    django_assert_num_queries: Any,
) -> None:
    price = count_queries(api, f"{at}checklists/")
    resolve_incident(incident_id=incident.pk, resolution="x", actor=commander, now=now)
    deliver_pending(now=now)
    with django_assert_num_queries(price):
        assert len(api.get(f"{at}checklists/").json()["results"]) == 2
