"""The schema is whole and says what the API does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from rest_framework.test import APIClient

WITHOUT_BODY = ("/acknowledge/", "/arm/")
WITHOUT_A_BODY = ("/acknowledge/", "/arm/")
METHODS = {"get", "post", "put", "patch", "delete"}


@pytest.fixture
def schema(db: None) -> dict[str, Any]:
    return dict(APIClient().get("/api/v1/schema/", HTTP_ACCEPT="application/vnd.oai.openapi+json").json())


def test_it_is_generated_without_a_warning_and_valid(tmp_path: Path) -> None:
    call_command("spectacular", "--validate", "--fail-on-warn", "--file", str(tmp_path / "schema.yaml"))


def test_every_operation_is_described(schema: dict[str, Any]) -> None:
    assert schema["openapi"].startswith("3.1")
    assert len(schema["paths"]) > 25
    for path, operations in schema["paths"].items():
        for method in METHODS & set(operations):
            operation = operations[method]
            assert operation["description"], (method, path)
            assert operation["responses"]["4XX"] == {"$ref": "#/components/responses/Problem"}
            assert {"bearer": []} in operation["security"]
            if method in ("post", "put", "patch") and not path.endswith(WITHOUT_BODY):
                body = operation["requestBody"]["content"]
                assert set(body) == {"application/json"}
                assert "$ref" in body["application/json"]["schema"], (method, path)
            if method == "post":
                assert "Idempotency-Key" in [parameter["name"] for parameter in operation["parameters"]]


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
    assert "<script>" not in page.content.decode()
    assert "//cdn" not in page.content.decode()
