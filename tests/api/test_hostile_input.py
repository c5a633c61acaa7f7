"""Nothing that a client sends is a 500: it is stored as sent or refused with a problem."""

from __future__ import annotations

import io
import json
from base64 import b64encode
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rest_framework.test import APIClient

from core.api.parsers import BodyTooLarge, StrictJSONParser
from incidents.models import Incident, Service

INCIDENTS = "/api/v1/incidents/"
DEEP = "[" * 100_000
GOOD = {"title": "Checkout fails", "severity": "P1"}


def refused(answer: Any, status: int, pointer: str | None = None) -> None:
    assert answer.status_code == status, answer.content
    assert answer["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert {"type", "title", "status", "detail", "code"} <= set(problem)
    assert problem["status"] == status
    if pointer is not None:
        assert pointer in [error["pointer"] for error in problem["errors"]]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"text"',
        b"NaN",
        b'{"title": NaN, "severity": "P1"}',
        b'{"title": "x", "severity": "P1", "security_level": 1e400}',
        b'{"title": "x", "title": "y", "severity": "P1"}',
        b'{"title": "\xff", "severity": "P1"}',
        b'\xef\xbb\xbf{"title": "x", "severity": "P1"}',
        b'{"title": "x", "severity": "P1", "security_level": ' + b"9" * 5000 + b"}",
        DEEP.encode(),
        ('{"title": ' * 50 + "1" + "}" * 50).encode(),
        ('{"title": "x", "severity": "P1", "services": ' + "[" * 60 + "]" * 60 + "}").encode(),
    ],
)
def test_what_is_no_usable_json_is_400(api: APIClient, body: bytes) -> None:
    refused(api.post(INCIDENTS, body, content_type="application/json"), 400)
    assert not Incident.objects.exists()


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"title": "a\0b"}, "/title"),
        ({"title": "\ud800"}, "/title"),
        ({"services": ["ok", "a\0b"]}, "/services/1"),
        ({"colour": "red"}, "/colour"),
        ({"a/b~c": 1}, "/a~1b~0c"),
        ({"title": " "}, "/title"),
        ({"title": 5}, "/title"),
        ({"title": None}, "/title"),
        ({"title": ["x"]}, "/title"),
        ({"title": "x" * 201}, "/title"),
        ({"description": "x" * 20_001}, "/description"),
        ({"severity": "P9"}, "/severity"),
        ({"severity": 0}, "/severity"),
        ({"severity": {}}, "/severity"),
        ({"drill": "true"}, "/drill"),
        ({"drill": 1}, "/drill"),
        ({"security_level": True}, "/security_level"),
        ({"security_level": 1.5}, "/security_level"),
        ({"security_level": "NaN"}, "/security_level"),
        ({"security_level": 10**4000}, "/security_level"),
        ({"security_level": 1}, "/security_level"),
        ({"services": "shop"}, "/services"),
        ({"services": {}}, "/services"),
        ({"services": ["nowhere"]}, "/services"),
        ({"started_at": 5}, "/started_at"),
        ({"started_at": "yesterday"}, "/started_at"),
        ({"started_at": "2026-11-23T10:00:00"}, "/started_at"),
        ({"started_at": "0001-01-01T00:00:00+23:59"}, "/started_at"),
        ({"started_at": "0189-09-26T13:08:09-19:00"}, "/started_at"),
        ({"started_at": "99999-01-01T00:00:00Z"}, "/started_at"),
        ({"started_at": "9999-12-31T23:59:59-23:59"}, "/started_at"),
        ({"started_at": "2099-01-01T00:00:00Z"}, "/started_at"),
    ],
)
def test_a_wrong_field_is_named(api: APIClient, shop: Service, change: dict[str, Any], pointer: str) -> None:
    refused(api.post(INCIDENTS, json.dumps(GOOD | change), content_type="application/json"), 400, pointer)
    assert not Incident.objects.exists()


def test_other_content_types_are_415(api: APIClient) -> None:
    refused(api.post(INCIDENTS, "title=x", content_type="application/x-www-form-urlencoded"), 415)
    refused(api.post(INCIDENTS, "<x/>", content_type="text/xml"), 415)
    refused(api.post(INCIDENTS, "{}", content_type="nonsense"), 415)


def test_more_than_a_mebibyte_is_413(api: APIClient) -> None:
    refused(api.post(INCIDENTS, GOOD | {"description": "x" * 1_048_576}), 413)


def test_an_answer_that_nobody_can_give_is_406(api: APIClient) -> None:
    refused(api.get(INCIDENTS, HTTP_ACCEPT="image/png"), 406)


@pytest.mark.parametrize(
    "query",
    [
        "colour=red",
        "status=broken",
        "severity=P9",
        "open=perhaps",
        "drill=maybe",
        "declared_after=yesterday",
        "declared_after=0189-09-26T13:08:09-19:00",
        "declared_before=99999-01-01T00:00:00Z",
        "service=" + "x" * 100,
        "search=" + "x" * 300,
        "page_size=0",
        "page_size=201",
        "page_size=ten",
        "page_size=%D9%A3",
        "cursor=x",
        "cursor=%FF",
        "cursor=" + b64encode(b"p=abc").decode(),
        "cursor=" + b64encode(b"r=x&p=1").decode(),
    ],
)
def test_a_wrong_parameter_is_400(api: APIClient, query: str) -> None:
    refused(api.get(f"{INCIDENTS}?{query}"), 400)


def test_a_nul_in_the_address_is_400(api: APIClient) -> None:
    answer = api.get(f"{INCIDENTS}?search=%00")
    assert (answer.status_code, answer["Content-Type"]) == (400, "application/problem+json")


@pytest.mark.parametrize("position", ["99999-01-01", "1e99", "9" * 30, "\0", "0001-01-01 00:00:00+23:59", ""])
@pytest.mark.parametrize("path", ["incidents/", "services/shop/releases/"])
def test_a_forged_cursor_is_no_500(api: APIClient, shop: Service, path: str, position: str) -> None:
    cursor = b64encode(f"p={position}".encode()).decode()
    assert api.get(f"/api/v1/{path}", {"cursor": cursor}).status_code in (200, 400)


@pytest.mark.parametrize(
    "path",
    [
        "incidents/INC-1/",
        "incidents/%F0%28/",
        "incidents/" + "x" * 3000 + "/",
        "services/%2e%2e/",
        "monitors/99999999999999999999/",
        "monitors/99999999999999999999/samples/",
        "monitors/x/",
        "rollbacks/RB-1/steps/99999999999999999999/output/",
        "nothing/here/",
        "incidents",
    ],
)
def test_an_address_that_is_none_is_404(api: APIClient, path: str) -> None:
    refused(api.get(f"/api/v1/{path}"), 404)


def test_a_role_that_is_none_is_404(api: APIClient, incident: Incident) -> None:
    refused(api.put(f"{INCIDENTS}{incident.ref}/roles/king/", {"user": "ida"}), 404)


def test_an_address_that_is_none_says_so_only_to_those_who_may_read(db: None) -> None:
    refused(APIClient().get("/api/v1/nothing/"), 401)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(categories=None), max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
names = st.sampled_from(
    ["title", "severity", "services", "kind", "started_at", "security_level", "drill", "impact", "x"]
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(change=st.dictionaries(names, json_values, max_size=4))
def test_whatever_the_fields_hold_it_is_no_500(api: APIClient, change: dict[str, Any]) -> None:
    answer = api.post(INCIDENTS, json.dumps(GOOD | change), content_type="application/json")
    assert answer.status_code in (201, 400)


def test_there_is_one_limit_of_a_body(settings: Any) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 10
    with pytest.raises(BodyTooLarge, match="at most 10 bytes"):
        StrictJSONParser().parse(io.BytesIO(b'"123456789"'), "application/json")
