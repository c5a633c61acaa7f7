"""Tokens and scopes: denied unless allowed, and never a person."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import pytest
from django.core.management import call_command
from rest_framework.test import APIClient

from core.clock import utcnow
from core.models import ApiToken, User
from incidents.models import Incident

INCIDENTS = "/api/v1/incidents/"


def bearer(text: str) -> APIClient:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {text}")
    return client


@pytest.fixture
def token(ida: User) -> tuple[ApiToken, str]:
    return ApiToken.issue(user=ida, name="ci", scopes=["read"], expires_at=utcnow() + dt.timedelta(days=1))


def test_the_token_of_the_command_line_opens_the_api(ida: User, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("token", "create", "--user", "ida", "--name", "ci", "--scope", "read")
    assert bearer(capsys.readouterr().out.strip()).get(INCIDENTS).status_code == 200


def test_without_a_token_the_answer_says_how_to_send_one(db: None) -> None:
    answer = APIClient().get(INCIDENTS)
    assert (answer.status_code, answer["WWW-Authenticate"]) == (401, 'Bearer realm="api"')
    assert answer["Content-Type"] == "application/problem+json"
    assert answer.json()["code"] == "not_authenticated"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "fb_",
        "fb_000000000000_",
        "fb_000000000000_" + "a" * 43,
        "fb_" + "a" * 5000,
        "fb_\xe9_x",
        "a b c",
    ],
)
def test_what_is_no_token_is_refused(db: None, text: str) -> None:
    answer = bearer(text).get(INCIDENTS)
    assert (answer.status_code, answer.json()["status"]) == (401, 401)


def test_a_wrong_secret_is_refused(token: tuple[ApiToken, str]) -> None:
    assert bearer(token[1]).get(INCIDENTS).status_code == 200
    assert bearer(token[1][:-1] + ("a" if token[1][-1] != "a" else "b")).get(INCIDENTS).status_code == 401


@pytest.mark.parametrize(
    "change", [{"expires_at": utcnow() - dt.timedelta(seconds=1)}, {"revoked_at": utcnow()}]
)
def test_an_ended_token_is_refused(token: tuple[ApiToken, str], change: dict[str, dt.datetime]) -> None:
    ApiToken.objects.filter(pk=token[0].pk).update(**change)
    assert bearer(token[1]).get(INCIDENTS).status_code == 401


def test_a_token_ends_with_its_account(token: tuple[ApiToken, str], ida: User) -> None:
    User.objects.filter(pk=ida.pk).update(is_active=False)
    assert bearer(token[1]).get(INCIDENTS).status_code == 401


def test_its_use_is_noted_once_a_minute(token: tuple[ApiToken, str]) -> None:
    def used() -> dt.datetime | None:
        return ApiToken.objects.get(pk=token[0].pk).last_used_at

    bearer(token[1]).get(INCIDENTS)
    first = used()
    bearer(token[1]).get(INCIDENTS)
    assert first is not None
    assert used() == first
    ApiToken.objects.update(last_used_at=first - dt.timedelta(minutes=2))
    bearer(token[1]).get(INCIDENTS)
    assert used() != first - dt.timedelta(minutes=2)


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("get", "", "read"),
        ("get", "{ref}/", "read"),
        ("get", "{ref}/timeline/", "read"),
        ("post", "{ref}/acknowledge/", "write"),
        ("post", "{ref}/timeline/", "write"),
        ("patch", "{ref}/", "write"),
        ("put", "{ref}/roles/technical_lead/", "write"),
        ("delete", "{ref}/roles/incident_commander/", "write"),
        ("post", "/api/v1/rollbacks/", "rollback"),
        ("post", "/api/v1/automation/disarm/", "rollback"),
        ("post", "/api/v1/services/", "write"),
    ],
)
def test_each_request_needs_its_scope_and_no_other(
    incident: Incident, ida: User, program: Callable[..., APIClient], method: str, path: str, scope: str
) -> None:
    at = path if path.startswith("/") else INCIDENTS + path.format(ref=incident.ref)
    others = {"read", "write", "rollback", "ingest"} - {scope}
    refused = getattr(program(ida, *others), method)(at)
    assert (refused.status_code, refused.json()["code"]) == (403, "scope_missing")
    allowed = getattr(program(ida, scope), method)(at)
    assert allowed.status_code in (200, 201, 204, 400)


def test_head_needs_what_get_needs(ida: User, program: Callable[..., APIClient]) -> None:
    assert program(ida, "read").head(INCIDENTS).status_code == 200
    assert program(ida, "write").head(INCIDENTS).status_code == 403


def test_a_method_that_an_address_does_not_have(ida: User, program: Callable[..., APIClient]) -> None:
    for client_method in ("delete", "put"):
        answer = getattr(program(ida, "read", "write"), client_method)(INCIDENTS)
        assert (answer.status_code, "GET" in answer["Allow"]) == (405, True)
        assert answer["Content-Type"] == "application/problem+json"


def test_a_token_acts_with_its_owners_level_but_is_no_person(
    make_user: Callable[..., User], program: Callable[..., APIClient], incident: Incident
) -> None:
    client = program(make_user("vera", "viewer"), "read", "write")
    refused = client.post(f"{INCIDENTS}{incident.ref}/acknowledge/")
    assert (refused.status_code, refused.json()["code"]) == (403, "not_allowed")
    assert not client.cookies  # a token opens no session


def test_what_a_token_declares_has_the_source_api(ida: User, program: Callable[..., APIClient]) -> None:
    declared = program(ida, "write").post(INCIDENTS, {"title": "From a script", "severity": "P3"}).json()
    assert (declared["source"], declared["declared_by"]) == ("api", "ida (token ci)")


def test_a_browser_session_needs_the_csrf_token(ida: User) -> None:
    client = APIClient(enforce_csrf_checks=True)
    client.force_login(ida)
    assert client.get(INCIDENTS).status_code == 200
    refused = client.post(INCIDENTS, {"title": "Forged", "severity": "P0"})
    assert (refused.status_code, refused["Content-Type"]) == (403, "application/problem+json")
    assert not Incident.objects.exists()
