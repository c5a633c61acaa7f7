"""Rollbacks through the API: asked for, decided, stopped, settled by hand."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from rest_framework.test import APIClient

from core.actors import SYSTEM
from core.models import User
from core.playbook import get_playbook, use_playbook
from incidents.models import Incident, Service
from incidents.services.services import switch_back
from rollbacks.models import Rollback, RollbackStep, StepOutput
from rollbacks.states import RollbackState, StepState
from rollbacks.transitions import move_rollback, move_step

ROLLBACKS = "/api/v1/rollbacks/"
FIELDS = set(
    "ref incident service procedure procedure_digest trigger state from_version target_version requested_by "
    "requested_at started_at completed_at duration_seconds approvals steps drill outcome false_positive".split()
)
STEP_FIELDS = set(
    "position phase key kind state attempt started_at finished_at exit_code output_tail".split()
)


@pytest.fixture
def asked(incident: Incident) -> dict[str, str]:
    return {"incident": incident.ref, "service": "shop", "reason": "errors since 2.0.0"}


@pytest.fixture
def waiting(
    asked: dict[str, str], make_user: Callable[..., User], person: Callable[[User], APIClient]
) -> dict[str, Any]:
    """A rollback that Bea asked for and that awaits Ida."""
    answer = person(make_user("bea")).post(ROLLBACKS, asked)
    assert answer.status_code == 201
    return dict(answer.json())


@pytest.fixture
def stuck(waiting: dict[str, Any], now: dt.datetime) -> Rollback:
    """A rollback whose first changing step failed: a person must decide."""
    rollback = Rollback.objects.get(ref=waiting["ref"])
    step = rollback.steps.filter(mutating=True).first()
    assert step is not None
    for state in (RollbackState.APPROVED, RollbackState.VALIDATING, RollbackState.EXECUTING):
        move_rollback(rollback, state, started_at=now)
    for step_state in (StepState.STARTING, StepState.RUNNING, StepState.FAILED):
        move_step(step, step_state)
    RollbackStep.objects.filter(pk=step.pk).update(output_tail="größer\nfailed", exit_code=3)
    StepOutput.objects.create(step=step, attempt=0, start=0, end=15, raw_end=15, text="größer\nfailed")
    move_rollback(rollback, RollbackState.NEEDS_ATTENTION, attention="the switch failed")
    return rollback


def stuck_step(rollback: Rollback) -> str:
    position = rollback.steps.get(state=StepState.FAILED).position
    return f"{ROLLBACKS}{rollback.ref}/steps/{position}/"


def test_the_commander_decides_alone_on_a_p0(api: APIClient, asked: dict[str, str]) -> None:
    answer = api.post(ROLLBACKS, asked)
    assert answer.status_code == 201
    rollback = answer.json()
    assert set(rollback) >= FIELDS
    assert (rollback["state"], rollback["trigger"]) == ("approved", "manual")
    assert (rollback["from_version"], rollback["target_version"]) == ("2.0.0", "1.9.0")
    assert all(set(step) >= STEP_FIELDS for step in rollback["steps"])
    assert [step["position"] for step in rollback["steps"]] == list(range(1, len(rollback["steps"]) + 1))
    of_incident = api.get(f"/api/v1/incidents/{asked['incident']}/rollbacks/").json()["results"]
    assert [row["ref"] for row in of_incident] == [rollback["ref"]]
    assert api.get(f"/api/v1/incidents/{asked['incident']}/").json()["active_rollback"] == rollback["ref"]


def test_one_rollback_at_a_time(api: APIClient, asked: dict[str, str]) -> None:
    first = api.post(ROLLBACKS, asked).json()
    second = api.post(ROLLBACKS, asked)
    assert (second.status_code, second.json()["code"]) == (409, "rollback_under_way")
    assert (second.json()["state"], first["ref"] in second.json()["detail"]) == ("approved", True)


def test_what_another_asked_for_is_approved(api: APIClient, waiting: dict[str, Any]) -> None:
    assert waiting["state"] == "awaiting_approval"
    approved = api.post(f"{ROLLBACKS}{waiting['ref']}/approve/", {"reason": "go"}).json()
    assert approved["state"] == "approved"
    assert [(row["user"], row["decision"], row["reason"]) for row in approved["approvals"]] == [
        ("ida", "approved", "go")
    ]


def test_or_rejected_or_cancelled(api: APIClient, waiting: dict[str, Any]) -> None:
    at = f"{ROLLBACKS}{waiting['ref']}/"
    assert api.post(f"{at}reject/").json()["errors"] == [
        {"pointer": "/reason", "detail": "This field is required."}
    ]
    rejected = api.post(f"{at}reject/", {"reason": "wait for the fix"}).json()
    assert (rejected["state"], rejected["approvals"][0]["decision"]) == ("rejected", "rejected")
    too_late = api.post(f"{at}cancel/", {"reason": "never mind"})
    assert (too_late.status_code, too_late.json()["state"]) == (409, "rejected")


def test_a_waiting_rollback_is_cancelled_at_once(api: APIClient, waiting: dict[str, Any]) -> None:
    answer = api.post(f"{ROLLBACKS}{waiting['ref']}/cancel/", {"reason": "fixed forward"})
    assert (answer.status_code, answer.json()["state"]) == (200, "cancelled")


def test_a_token_asks_but_never_decides(
    api: APIClient, ida: User, program: Callable[..., APIClient], asked: dict[str, str], stuck: Rollback
) -> None:
    token = program(ida, "read", "write", "rollback")
    assert token.post(f"{stuck_step(stuck)}mark_done/", {"reason": "sure"}).status_code == 403
    assert token.post(f"{stuck_step(stuck)}abort/", {"reason": "sure"}).status_code == 403
    assert api.post(f"{stuck_step(stuck)}abort/", {"reason": "by hand"}).json()["state"] == "resolved_by_hand"
    rollback = token.post(ROLLBACKS, asked).json()
    assert rollback["state"] == "awaiting_approval"
    for verb in ("approve", "reject"):
        refused = token.post(f"{ROLLBACKS}{rollback['ref']}/{verb}/", {"reason": "sure"})
        assert (refused.status_code, refused.json()["code"]) == (403, "approval_refused")


def test_a_person_settles_what_a_machine_could_not(api: APIClient, stuck: Rollback) -> None:
    at = stuck_step(stuck)
    assert api.get(f"{ROLLBACKS}{stuck.ref}/").json()["attention"] == "the switch failed"
    assert api.post(f"{at}mark_done/", {"reason": " "}).status_code == 400
    assert api.post(f"{at}mark_done/", {"reason": "looked at it"}).json()["state"] == "executing"
    assert api.post(f"{at}mark_done/", {"reason": "again"}).status_code == 409
    assert api.post(f"{ROLLBACKS}{stuck.ref}/steps/99/abort/", {"reason": "x"}).status_code == 409


def test_a_steps_output_is_plain_text_from_any_byte_on(api: APIClient, stuck: Rollback) -> None:
    at = f"{stuck_step(stuck)}output/"
    whole = api.get(at)
    assert whole["Content-Type"] == "text/plain; charset=utf-8"
    assert whole.content.decode() == "größer\nfailed"
    assert api.get(at, {"after": len("größer\n".encode())}).content == b"failed"
    assert api.get(at, {"after": 10_000}).content == b""
    assert api.get(at, HTTP_ACCEPT="text/plain").status_code == 200
    wrong = api.get(at, {"after": -1})
    assert (wrong.status_code, wrong["Content-Type"]) == (400, "application/problem+json")
    assert api.get(f"{ROLLBACKS}{stuck.ref}/steps/99/output/").status_code == 404


@pytest.mark.parametrize(
    ("change", "status", "what"),
    [
        ({"incident": "INC-1"}, 400, "/incident"),
        ({"service": "nowhere"}, 400, "/service"),
        ({"procedure": "format_disk"}, 400, "/procedure"),
        ({"parameters": {"speed": "high"}}, 400, "/parameters/speed"),
        ({"parameters": {"speed": 3}}, 400, "/parameters/speed"),
        ({"target_version": "2.0.0"}, 400, "/target_version"),
        ({"target_version": "0.1.0"}, 409, "target_unverified"),
        ({"command": ["rm", "-rf", "/"]}, 400, "/command"),
        ({"expected_duration_seconds": 2**40}, 400, "/expected_duration_seconds"),
    ],
)
def test_a_wrong_request_says_what_is_wrong(
    api: APIClient, asked: dict[str, Any], change: dict[str, Any], status: int, what: str
) -> None:
    answer = api.post(ROLLBACKS, asked | change)
    assert answer.status_code == status
    problem = answer.json()
    assert what in [problem["code"], *(error["pointer"] for error in problem.get("errors", []))]


def test_procedures_are_shown_without_their_commands(api: APIClient, db: None) -> None:
    rows = api.get("/api/v1/procedures/").json()
    assert (rows["next"], rows["previous"]) == (None, None)
    shown = next(row for row in rows["results"] if row["key"] == "storefront_rollback")
    assert len(shown["digest"]) == 64
    assert {step["phase"] for step in shown["steps"]} == {"validate", "execute", "verify"}
    assert all(set(step) == {"phase", "key", "name", "kind", "mutating"} for step in shown["steps"])


def test_the_switch_is_disarmed_by_many_and_armed_by_persons_only(
    api: APIClient, ida: User, program: Callable[..., APIClient]
) -> None:
    at, token = "/api/v1/automation/", program(ida, "read", "rollback")
    assert api.get(at).json()["armed"] is True
    disarmed = token.post(f"{at}disarm/", {"reason": "a storm of false alarms"}).json()
    assert (disarmed["armed"], disarmed["reason"]) == (False, "a storm of false alarms")
    assert token.post(f"{at}disarm/", {"reason": "again"}).status_code == 409
    assert token.post(f"{at}arm/").status_code == 403
    assert api.post(f"{at}arm/").json()["armed"] is True


@pytest.fixture
def switched(stuck: Rollback, shop: Service, now: dt.datetime) -> Rollback:
    """1.9.0 is live by it, 1.8.0 was good before, and a person must decide."""
    switch_back(
        service_id=shop.pk,
        from_version="2.0.0",
        to_version="1.9.0",
        rollback_ref=stuck.ref,
        actor=SYSTEM,
        now=now,
    )
    long_ago = now - dt.timedelta(days=9)
    shop.releases.create(
        version="1.8.0", state="good", deployed_at=long_ago, recorded_at=long_ago, good_at=now
    )
    return stuck


def test_a_rollback_is_undone_by_another_one(api: APIClient, switched: Rollback) -> None:
    at = f"{ROLLBACKS}{switched.ref}/"
    assert api.post(f"{at}undo/", {"reason": ""}).status_code == 400
    undone = api.post(f"{at}undo/", {"reason": "1.9.0 is worse"})
    child = undone.json()
    assert undone.status_code == 201
    assert (child["parent"], child["state"], child["people"]) == (switched.ref, "awaiting_approval", 2)
    assert (child["from_version"], child["target_version"], child["returns"]) == ("1.9.0", "2.0.0", "version")
    assert api.get(at).json()["state"] == "handed_over"
    again = api.post(f"{at}undo/", {"reason": "again"})
    assert (again.status_code, again.json()["code"], again.json()["state"]) == (
        409,
        "nothing_to_undo",
        "handed_over",
    )
    assert api.post(f"{ROLLBACKS}{child['ref']}/approve/").status_code == 403


def test_or_handed_over_to_one_that_goes_elsewhere(api: APIClient, switched: Rollback) -> None:
    at = f"{ROLLBACKS}{switched.ref}/hand_over/"
    assert api.post(at, {"reason": "x"}).json()["errors"][0]["pointer"] == "/target_version"
    same = api.post(at, {"reason": "x", "target_version": "1.9.0"})
    assert (same.status_code, same.json()["errors"][0]["pointer"]) == (400, "/target_version")
    unknown = api.post(at, {"reason": "x", "target_version": "9.9.9"})
    assert (unknown.status_code, unknown.json()["code"]) == (409, "target_unverified")
    answer = api.post(at, {"reason": "further back", "target_version": "1.8.0"})
    assert (answer.status_code, answer.json()["target_version"]) == (201, "1.8.0")


def test_an_undo_may_rest_on_what_was_read(api: APIClient, switched: Rollback) -> None:
    at = f"{ROLLBACKS}{switched.ref}/"
    stale = api.post(f"{at}undo/", {"reason": "x"}, HTTP_IF_MATCH='"1"')
    assert (stale.status_code, stale.json()["code"]) == (412, "version_changed")
    assert api.post(f"{at}undo/", {"reason": "x"}, HTTP_IF_MATCH=api.get(at)["ETag"]).status_code == 201


def test_what_is_over_is_judged_and_says_so(api: APIClient, waiting: dict[str, Any]) -> None:
    at = f"{ROLLBACKS}{waiting['ref']}/"
    assert api.get(at).json()["false_positive"] is None
    body = {"false_positive": True, "reason": "the monitor lied"}
    early = api.post(f"{at}judge/", body)
    assert (early.status_code, early.json()["state"]) == (409, "awaiting_approval")
    api.post(f"{at}reject/", {"reason": "it is well"})
    before = api.get(at)["ETag"]
    assert api.post(f"{at}judge/", {"reason": "x"}).json()["errors"][0]["pointer"] == "/false_positive"
    judged = api.post(f"{at}judge/", body)
    assert (judged.json()["false_positive"], judged.json()["judged_by"]) == (True, "ida")
    assert judged["ETag"] != before


def test_a_procedure_that_leaves_the_version_takes_no_target(api: APIClient, asked: dict[str, str]) -> None:
    playbook = get_playbook()
    own = playbook["procedures"]["storefront_rollback"].model_copy(update={"returns": "configuration"})
    procedures = {**playbook["procedures"], "storefront_rollback": own}
    with use_playbook(replace(playbook, sections={**playbook.sections, "procedures": procedures})):
        wrong = api.post(ROLLBACKS, asked | {"target_version": "1.9.0"})
        assert [error["pointer"] for error in wrong.json()["errors"]] == ["/target_version"]
        rollback = api.post(ROLLBACKS, asked).json()
    assert (rollback["returns"], rollback["from_version"], rollback["target_version"]) == (
        "configuration",
        "2.0.0",
        "2.0.0",
    )
