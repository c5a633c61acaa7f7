"""The schema is whole and says what the API does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from rest_framework.test import APIClient

from core.api.documents import SchemaView

WITHOUT_BODY = (
    "/tasks/take_over/",
    "/acknowledge/",
    "/arm/",
    "/end/",
    "/deliveries/{id}/retry/",
    "/channels/{key}/test/",
    "/messages/{message}/approve/",
    "/deliveries/{delivery}/replay/",
    "/rotate_secret/",
    "/webhooks/{id}/test/",
    "/tasks/{id}/done/",
    "/tasks/{id}/reopen/",
    "/report/submit/",
    "/report/publish/",
    "/drills/{id}/start/",
    "/action-items/{id}/reopen/",
    "/reviews/{id}/sign_off/",
)
VERSIONED = ("incidents", "services", "monitors", "rollbacks")
METHODS = {"get", "post", "put", "patch", "delete"}
PAGERDUTY = "/v2/"  # its own way to say who sends and what is refused


@pytest.fixture
def schema(db: None) -> dict[str, Any]:
    return dict(APIClient().get("/api/v1/schema/", HTTP_ACCEPT="application/vnd.oai.openapi+json").json())


def test_it_is_generated_without_a_warning_and_valid(tmp_path: Path) -> None:
    call_command("spectacular", "--validate", "--fail-on-warn", "--file", str(tmp_path / "schema.yaml"))


def test_what_is_kept_for_everybody_has_nothing_of_a_request(
    db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: dict[str, bytes] = {}
    monkeypatch.setattr(SchemaView, "made", made)
    accepted = ("application/json; x=1", "application/json; indent=1", "application/json")
    answers = [APIClient().get("/api/v1/schema/?version=evil&lang=de", HTTP_ACCEPT=a) for a in accepted]
    assert set(made) == {"application/json"}
    assert len({answer.content for answer in answers}) == 1
    assert answers[0].json()["info"]["version"] == "1"
    assert {answer["Content-Type"] for answer in answers} == {"application/json"}


def test_every_operation_is_described(schema: dict[str, Any]) -> None:
    assert schema["openapi"].startswith("3.1")
    assert len(schema["paths"]) > 25
    for path, operations in schema["paths"].items():
        for method in METHODS & set(operations):
            operation = operations[method]
            assert operation["description"], (method, path)
            if path.startswith(PAGERDUTY):
                assert "EventRefused" in str(operation["responses"]["4XX"])
            else:
                assert operation["responses"]["4XX"] == {"$ref": "#/components/responses/Problem"}
                assert {"bearer": []} in operation["security"]
            if method in ("post", "put", "patch") and not path.endswith(WITHOUT_BODY):
                assert "requestBody" in operation, (method, path)
                body = operation["requestBody"]["content"]
                if path.endswith("/contacts/import/"):
                    assert set(body) == {"text/csv"}
                    continue
                if path.endswith("/evidence/"):
                    assert set(body) == {"multipart/form-data"}
                    continue
                assert set(body) == {"application/json"}
                assert "$ref" in body["application/json"]["schema"], (method, path)
            if method == "post":
                assert "Idempotency-Key" in [parameter["name"] for parameter in operation["parameters"]]


def test_every_body_has_a_name(schema: dict[str, Any]) -> None:
    for path, operations in schema["paths"].items():
        for method in METHODS & set(operations):
            for status, answer in operations[method]["responses"].items():
                for media_type, content in answer.get("content", {}).items():
                    if media_type == "application/json":
                        assert "$ref" in content["schema"], (method, path, status)


def parameters_of(operation: dict[str, Any]) -> set[str]:
    return {parameter["name"] for parameter in operation.get("parameters", ())}


def test_refusals_and_headers_are_described(schema: dict[str, Any]) -> None:
    for path, operations in schema["paths"].items():
        for method in METHODS & set(operations):
            operation = operations[method]
            said = operation["responses"]
            if not path.startswith(PAGERDUTY):
                assert said["429"] == {"$ref": "#/components/responses/TooManyRequests"}, path
            assert ("412" in said) == ("If-Match" in parameters_of(operation)), (method, path)
            answered = said.get("201") or said.get("200") or said.get("202") or {}
            if method == "post":
                assert "Idempotent-Replayed" in answered["headers"], path
    responses = schema["components"]["responses"]
    assert responses["TooManyRequests"]["headers"]["Retry-After"]["required"] is True
    assert "ETag" in responses["VersionChanged"]["headers"]


@pytest.mark.parametrize("kind", VERSIONED)
def test_what_has_a_version_says_so(schema: dict[str, Any], kind: str) -> None:
    [path] = [
        p
        for p in schema["paths"]
        if p.startswith(f"/api/v1/{kind}/{{") and p.endswith("}/") and p.count("/") == 5
    ]
    read = schema["paths"][path]["get"]
    assert "ETag" in read["responses"]["200"]["headers"]
    assert ("304" in read["responses"]) == (kind != "monitors") == ("If-None-Match" in parameters_of(read))
    patch = schema["paths"][path]["patch"]
    assert {"412", "428"} <= set(patch["responses"])
    assert "ETag" in patch["responses"]["200"]["headers"]


def test_the_schema_is_made_once_and_then_the_same(db: None) -> None:
    def read(accept: str) -> Any:
        return APIClient().get("/api/v1/schema/", HTTP_ACCEPT=accept)

    for accept in ("application/vnd.oai.openapi+json", "application/vnd.oai.openapi", "*/*"):
        first, second = read(accept), read(accept)
        assert (first.status_code, first.content) == (200, second.content)
        assert first["Content-Type"] == second["Content-Type"]
    assert read("application/vnd.oai.openapi")["Content-Type"].startswith("application/vnd.oai.openapi;")
    assert read("application/vnd.oai.openapi").content.startswith(b"openapi: 3.1")


def test_filters_and_pages_are_parameters(schema: dict[str, Any]) -> None:
    listed = schema["paths"]["/api/v1/incidents/"]["get"]["parameters"]
    names = {parameter["name"] for parameter in listed}
    assert names == set(
        "status severity kind service open search declared_after declared_before drill cursor page_size".split()
    )


def test_the_docs_are_shown_under_the_csp(db: None) -> None:
    page = APIClient().get("/api/v1/docs/", HTTP_ACCEPT="text/html")
    assert page.status_code == 200
    policy = page["Content-Security-Policy"]
    assert "script-src 'self';" in policy + ";"
    assert "unsafe" not in policy
    assert " style=" not in page.content.decode()
    assert "<style" not in page.content.decode()
    assert "<script>" not in page.content.decode()
    assert "//cdn" not in page.content.decode()
