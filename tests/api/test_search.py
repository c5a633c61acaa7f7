"""The search by API: its shape, what it refuses, and that a failing part is named."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from rest_framework.test import APIClient

from core.models import User
from incidents.models import Incident


def test_it_answers_with_the_nearest_of_each_kind(api: APIClient, incident: Incident) -> None:
    answer = api.get("/api/v1/search/", {"q": "shop"})
    assert answer.status_code == 200
    service = {
        "kind": "service",
        "key": "shop",
        "label": "Shop",
        "detail": "production",
        "url": "/services/shop/",
        "excerpt": "",
    }
    assert answer.json() == {"results": [service], "failed": []}
    (found,) = api.get("/api/v1/search/", {"q": incident.ref}).json()["results"]
    assert (found["kind"], found["key"], found["url"]) == (
        "incident",
        incident.ref,
        f"/incidents/{incident.ref}/",
    )


@pytest.mark.parametrize(
    ("asked", "pointer"),
    [({}, "/q"), ({"q": ""}, "/q"), ({"q": "x" * 201}, "/q"), ({"q": "a\u202eb"}, "/q"), ({"q": "x", "kind": "y"}, "/kind")],
)  # fmt: skip
def test_what_is_wrong_is_named(api: APIClient, asked: dict[str, str], pointer: str) -> None:
    answer = api.get("/api/v1/search/", asked)
    assert answer.status_code == 400
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]


def test_a_token_needs_the_scope_to_read(
    program: Callable[..., APIClient], make_user: Callable[..., User], incident: Incident
) -> None:
    vic = make_user("vic", "viewer")
    assert program(vic, "read").get("/api/v1/search/?q=shop").json()["results"]
    assert program(vic, "ingest").get("/api/v1/search/?q=shop").status_code == 403
    assert APIClient().get("/api/v1/search/?q=shop").status_code == 401


def test_what_did_not_answer_is_named(api: APIClient, incident: Incident, settings: Any) -> None:
    settings.SEARCH_PROVIDERS = (
        ("contacts", "tests.core.test_search.broken"),
        *settings.SEARCH_PROVIDERS[:2],
    )
    answer = api.get("/api/v1/search/?q=shop").json()
    assert answer["failed"] == ["contacts"]
    assert [found["key"] for found in answer["results"]] == ["shop"]
