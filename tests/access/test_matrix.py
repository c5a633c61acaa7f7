"""Every address has its row in matrix.yaml, and every row is true."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Iterator
from dataclasses import replace
from http.cookies import SimpleCookie
from types import ModuleType

import pytest
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import include, path

from core.models import User
from core.models.accounts import SCOPES
from tests.access.matrix import (
    ADMIN_VIEWS,
    METHODS,
    AdminTable,
    Case,
    Matrix,
    Status,
    known_routes,
    read_matrix,
    tables_of_the_admin,
)
from tests.access.scene import Scene

MATRIX = read_matrix()
NEED_TO_KNOW = ("viewer", "responder", "commander")  # who sees no restricted incident of others
OF_AN_INCIDENT = (
    "/api/v1/alerts/{pk}/", "/api/v1/drills/{pk}/", "/drills/{pk}/", "/api/v1/action-items/{pk}/", "/action-items/{pk}/",
)  # fmt: skip
THIRD_PARTY = ("/accounts/", "/admin/")  # their views answer methods that nobody asked for
SIGN_IN = ("/accounts/login/?next=", "/admin/login/?next=")


@pytest.fixture(autouse=True)
def no_log_of_refusals() -> Iterator[None]:
    """Thousands of refusals, each with its trace, would take longer than the requests."""
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


# --- every address has a row --------------------------------------------------------------------


def unmatched(matrix: Matrix, routes: set[str]) -> list[str]:
    """What stands in one of the two alone, in words for whoever adds an address."""
    missing = [f"{route}: no row in tests/access/matrix.yaml" for route in sorted(routes - matrix.paths)]
    return missing + [f"{row}: no such address any more" for row in sorted(matrix.paths - routes)]


def test_every_address_has_a_row_and_every_row_an_address() -> None:
    assert unmatched(MATRIX, set(known_routes())) == []
    assert {table.label for table in MATRIX.tables} == tables_of_the_admin()


def surprise(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


def test_a_new_address_without_a_row_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    urls = ModuleType("tests.access.urls_with_a_surprise")
    urls.urlpatterns = [path("", include("config.urls")), path("incidents/<slug:ref>/leak/", surprise)]  # type: ignore[attr-defined]
    monkeypatch.setitem(__import__("sys").modules, urls.__name__, urls)
    assert unmatched(MATRIX, set(known_routes(urls.__name__))) == [
        "/incidents/{ref}/leak/: no row in tests/access/matrix.yaml"
    ]
    fewer = set(known_routes()) - {"/contacts/"}
    assert unmatched(MATRIX, fewer) == ["/contacts/: no such address any more"]


def test_the_methods_of_the_api_are_those_of_its_rows() -> None:
    for route, view in known_routes().items():
        if actions := getattr(view, "actions", None):
            rows = {case.method for case in MATRIX.cases if case.path == route}
            assert rows == {method.upper() for method in actions} - {"HEAD"}, route


# --- every row is true --------------------------------------------------------------------------


def cells(level: str) -> Iterator[tuple[Case, str, Status]]:
    """Each request of a level: the case, whose the thing is, and what is expected."""
    for case in MATRIX.cases:
        has_ref = "{ref}" in case.path
        yield case, "own", case.profile.own[level]
        if level not in ("viewer", "responder", "commander"):
            continue  # refused before anything is looked up, or as a commander
        if not has_ref and level in NEED_TO_KNOW and ("{slug}" in case.path or "{pk}" in case.path):
            # The service of a restricted incident; what is of the incident itself is as little there.
            hidden = case.path.startswith(OF_AN_INCIDENT)
            refused_first = "/drills/" in case.path and case.is_api and case.profile.own[level] == 403
            yield case, "beside", 404 if hidden and not refused_first else case.profile.own[level]
        if has_ref:
            other = case.profile.other[level]
            if level == "responder" or other != case.profile.own[level]:
                yield case, "other", other
            if level in NEED_TO_KNOW or case.method == "GET":
                yield case, "restricted", 404 if level in NEED_TO_KNOW else other
        looked_up = any(name in case.path for name in ("{ref}", "{slug}", "{pk}"))
        if looked_up and level == "commander" and not case.path.startswith(THIRD_PARTY):
            yield case, "missing", 404


def complaint(case: Case, expected: Status, answer: HttpResponse) -> str | None:
    """Why the answer is not the expected one; None when it is."""
    if expected == "login":
        led = answer.status_code == 302 and answer["Location"].startswith(SIGN_IN)
        return None if led else f"{answer.status_code} instead of the sign-in"
    wanted = case.ok if expected == "ok" else (expected,)
    if answer.status_code not in wanted:
        return f"{answer.status_code} instead of {wanted}: {answer.content[:200]!r}"
    if expected == "ok" and answer.status_code == 302 and answer["Location"].startswith(SIGN_IN):
        return "led to the sign-in"
    return None


def walk(scene: Scene, found: list[str]) -> None:
    client = scene.client(staff=scene.level != "signed_out")
    cookies = {name: morsel.value for name, morsel in client.cookies.items()}
    for case, whose, expected in cells(scene.level):
        answer = scene.send(case, whose, client=client)
        client.cookies = SimpleCookie(cookies)
        if why := complaint(case, expected, answer):
            found.append(f"{case} as {scene.level}, {whose}: {why}")
        if scene.level in NEED_TO_KNOW and (told := scene.secrets_in(answer, whose)):
            found.append(f"{case} as {scene.level}, {whose}: tells {told} of the restricted incident")


# Whoever may all that a commander may, and more: whether it is more is looked at by `make faults`.
LEVELS = [
    pytest.param(level, marks=pytest.mark.faults) if level == "administrator" else level
    for level in MATRIX.levels
]


@pytest.mark.parametrize("level", LEVELS)
def test_every_row_is_true(db: None, now: dt.datetime, level: str) -> None:
    found: list[str] = []
    walk(Scene(level, now), found)
    assert not found, "\n".join(found)


def test_a_row_that_is_not_true_is_noticed(
    db: None, now: dt.datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    [acknowledge] = MATRIX.cases_of("/api/v1/incidents/{ref}/acknowledge/", "POST")
    lax = replace(acknowledge.profile, own=dict.fromkeys(MATRIX.levels, "ok"))
    wrong = replace(MATRIX, cases=(replace(acknowledge, profile=lax),))
    monkeypatch.setattr("tests.access.test_matrix.MATRIX", wrong)
    found: list[str] = []
    walk(Scene("viewer", now), found)
    assert [text.split(":")[0] for text in found] == [f"{acknowledge} as viewer, own"]


def test_a_token_does_what_its_scope_says_and_opens_no_page(db: None, now: dt.datetime) -> None:
    scene, found = Scene("administrator", now), []
    anonymous = Client(raise_request_exception=False)
    bearers = {scope: scene.bearer(scope) for scope in SCOPES}
    for case in MATRIX.cases:
        if case.profile.scope is None:
            if case.profile.name in ("public", "routing_key", "by_link") or case.path.startswith(THIRD_PARTY):
                continue
            answer = scene.send(case, "own", client=anonymous, **bearers["read"])
            if why := complaint(case, "login", answer):
                found.append(f"{case} with a token: {why}")
            continue
        for scope in SCOPES:
            expected = case.profile.token if case.profile.scope in (scope, "any") else 403
            answer = scene.send(case, "own", client=anonymous, **bearers[scope])
            if why := complaint(case, expected, answer):
                found.append(f"{case} with the scope {scope}: {why}")
    assert not found, "\n".join(found)


@pytest.mark.faults
def test_other_methods_are_405_and_head_is_a_get_without_a_body(db: None, now: dt.datetime) -> None:
    scene, found = Scene("administrator", now), []
    client = scene.client()
    for route in sorted(MATRIX.paths):
        mine = [case for case in MATRIX.cases if case.path == route]
        if route.startswith(THIRD_PARTY) or not mine or route == "/api/":
            continue
        allowed = {case.method for case in mine}
        for method in (*METHODS, "OPTIONS") if mine[0].is_api else METHODS:
            if method in allowed:
                continue
            answer = scene.send(replace(mine[0], send={}), "own", client=client, method=method)
            allow = {name.strip() for name in answer.get("Allow", "").split(",")}
            if answer.status_code != 405 or not allowed <= allow:
                found.append(f"{method} {route}: {answer.status_code}, Allow {sorted(allow)}")
        for case in MATRIX.cases_of(route, "GET"):
            answer = scene.send(case, "own", client=client, method="HEAD")
            if answer.status_code not in case.ok or answer.content:
                found.append(f"HEAD {route}: {answer.status_code}")
    assert not found, "\n".join(found)


# --- the admin ----------------------------------------------------------------------------------


def requests_of(table: AdminTable, level: str) -> Iterator[tuple[str, str, bool]]:
    """(method, view of the admin, whether the level may) of one table."""
    ranks = {name: rank for rank, name in enumerate((*MATRIX.levels, "nobody"))}
    sees, writes = ranks[level] >= ranks[table.see], ranks[level] >= ranks[table.write]
    yield "GET", "", sees
    yield "GET", "add/", writes and table.add
    yield "POST", "add/", writes and table.add
    yield "GET", "{object_id}/change/", sees
    yield "POST", "{object_id}/change/", writes
    yield "GET", "{object_id}/history/", sees
    yield "GET", "{object_id}/delete/", writes and table.delete
    yield "POST", "{object_id}/delete/", writes and table.delete


@pytest.mark.parametrize("level", MATRIX.levels)
def test_the_admin_is_for_staff_of_the_right_level(db: None, now: dt.datetime, level: str) -> None:
    scene, found = Scene(level, now), []
    client, outsider = scene.client(staff=True), scene.client()
    User.objects.filter(username="me").update(is_staff=True)
    rows = {model._meta.label_lower: model._default_manager.first() for model in admin.site._registry}
    for table in MATRIX.tables:
        pk = getattr(rows[table.label], "pk", None)
        for method, view, may in requests_of(table, level):
            assert view in ADMIN_VIEWS
            if pk is None and "{object_id}" in view:
                continue
            send = client.get if method == "GET" else client.post
            answer = send((table.path + view).format(object_id=pk))
            expected = (200, 302) if may else (403,)
            if level == "signed_out":
                expected = (302,)
            if answer.status_code not in expected:
                found.append(f"{method} {table.path}{view} as {level}: {answer.status_code}")
    User.objects.filter(username="me").update(is_staff=False)
    for table in MATRIX.tables:
        if outsider.get(table.path).status_code != 302:
            found.append(f"{table.path} as {level} who is no staff")
    assert not found, "\n".join(found)
