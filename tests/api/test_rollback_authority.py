"""Through the API: who stands behind a rollback, editing it, breaking the glass, and what people say of a step."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from rest_framework.test import APIClient

from core.actors import Actor
from core.models import Event, User
from incidents.models import Incident, Service
from incidents.services.incidents import change_severity
from incidents.services.people import assign_role
from rollbacks.models import Rollback, RollbackStep
from rollbacks.states import RollbackState, StepState

ROLLBACKS = "/api/v1/rollbacks/"
WHY = {"reason": "the approver's phone is dead"}


@pytest.fixture
def tom(
    incident: Incident, commander: Actor, make_user: Callable[..., User], now: dt.datetime,
    person: Callable[[User], APIClient],
) -> APIClient:  # fmt: skip
    """The technical lead of what is a P1 by now."""
    change_severity(incident_id=incident.pk, severity="P1", reason="less", actor=commander, now=now)
    lead = make_user("tom", "responder", "technical_lead")
    assign_role(incident_id=incident.pk, role="technical_lead", username="tom", actor=commander, now=now)
    return person(lead)


@pytest.fixture
def at(tom: APIClient, incident: Incident, shop: Service, now: dt.datetime) -> str:
    """Tom's request, which awaits another person; 1.8.0 was good before 1.9.0."""
    long_ago = now - dt.timedelta(days=9)
    shop.releases.create(
        version="1.8.0", state="good", deployed_at=long_ago, recorded_at=long_ago, good_at=now
    )
    asked = tom.post(ROLLBACKS, {"incident": incident.ref, "service": "shop", "reason": "errors"})
    assert (asked.status_code, asked.json()["state"]) == (201, "awaiting_approval")
    return f"{ROLLBACKS}{asked.json()['ref']}/"


def test_an_edit_is_another_plan_and_rests_on_what_was_read(api: APIClient, tom: APIClient, at: str) -> None:
    stale = api.get(at)["ETag"]
    assert api.post(f"{at}approve/").json()["state"] == "approved"
    refused = tom.patch(at, {"target_version": "1.8.0"}, HTTP_IF_MATCH=stale)
    assert (refused.status_code, refused.json()["code"]) == (412, "version_changed")
    edited = tom.patch(at, {"target_version": "1.8.0"}, HTTP_IF_MATCH=tom.get(at)["ETag"])
    assert (edited.status_code, edited.json()["state"], edited.json()["target_version"]) == (
        200, "awaiting_approval", "1.8.0",
    )  # fmt: skip
    assert tom.post(f"{at}approve/").json()["code"] == "approval_refused"
    assert api.post(f"{at}approve/").json()["state"] == "approved"


def test_words_are_edited_without_asking_anybody_again(api: APIClient, at: str) -> None:
    assert api.post(f"{at}approve/").status_code == 200
    edited = api.patch(
        at, {"reason": "cart too", "expected_duration_seconds": 5, "expected_impact": ""}
    ).json()
    assert (edited["state"], edited["reason"], edited["expected_duration_seconds"], edited["expected_impact"]) == (
        "approved", "cart too", 5, "",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("change", "status", "pointer"),
    [
        ({"state": "approved"}, 400, "/state"),
        ({"reason": ""}, 400, "/reason"),
        ({"reason": None}, 400, "/reason"),
        ({"target_version": "2.0.0"}, 400, "/target_version"),
        ({"parameters": {"command": "; reboot"}}, 400, "/parameters/command"),
        ({"parameters": []}, 400, "/parameters"),
        ({"expected_duration_seconds": 0}, 400, "/expected_duration_seconds"),
        ({"target_version": "9.9.9"}, 409, ""),
    ],
)
def test_a_wrong_edit_names_the_field(
    api: APIClient, at: str, change: dict[str, Any], status: int, pointer: str
) -> None:
    answer = api.patch(at, change)
    assert answer.status_code == status
    assert [error["pointer"] for error in answer.json().get("errors", [])] == ([pointer] if pointer else [])


def test_one_person_breaks_the_glass(api: APIClient, tom: APIClient, at: str) -> None:
    short = tom.post(f"{at}break_glass/", {"reason": "now"})
    assert (short.status_code, short.json()["errors"][0]["pointer"]) == (400, "/reason")
    needless = api.post(f"{at}break_glass/", WHY)
    assert (needless.status_code, needless.json()["code"]) == (403, "approval_refused")
    broken = tom.post(f"{at}break_glass/", WHY).json()
    assert (broken["state"], broken["break_glass"]) == ("approved", True)
    assert [(row["user"], row["decision"]) for row in broken["approvals"]] == [("tom", "broke")]
    assert tom.post(f"{at}break_glass/", WHY).status_code == 409
    assert Event.objects.filter(kind="rollback.break_glass").count() == 1


def test_a_step_that_asks_and_a_step_that_failed(api: APIClient, at: str) -> None:
    rollback = Rollback.objects.get()
    Rollback.objects.update(state=RollbackState.NEEDS_ATTENTION, started_at=rollback.requested_at)
    RollbackStep.objects.filter(position=4).update(state=StepState.FAILED, attempt=1)
    nothing = api.post(f"{at}steps/1/confirm/")
    assert (nothing.status_code, nothing.json()["state"]) == (409, "needs_attention")
    assert api.post(f"{at}steps/1/confirm/", {"note": 1}).json()["errors"][0]["pointer"] == "/note"
    assert api.post(f"{at}steps/4/retry/").json()["errors"][0]["pointer"] == "/reason"
    assert api.post(f"{at}steps/5/retry/", {"reason": "x"}).status_code == 409
    again = api.post(f"{at}steps/4/retry/", {"reason": "the mount is back"}).json()
    assert (again["state"], again["steps"][3]["state"], again["steps"][3]["attempt"]) == (
        "executing", "pending", 1,
    )  # fmt: skip


def test_a_token_asks_and_stops_and_says_nothing_else(
    at: str, ida: User, program: Callable[..., APIClient]
) -> None:
    token = program(ida, "read", "write", "rollback")
    refused = [
        token.patch(at, {"reason": "x"}),
        *(token.post(f"{at}{verb}/", WHY) for verb in ("approve", "reject", "break_glass")),
        *(token.post(f"{at}steps/1/{verb}/", WHY) for verb in ("mark_done", "retry", "abort")),
        token.post(f"{at}steps/1/confirm/"),
    ]
    assert [answer.status_code for answer in refused] == [403] * 8
    assert token.post(f"{at}cancel/", WHY).json()["state"] == "cancelled"
