"""The playbook's reference is what its models say, every field is described, and the schema is true."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import StringIO
from typing import Any

import jsonschema_rs
import pytest
from django.conf import settings
from django.core.management import call_command
from ruamel.yaml import YAML

from core.playbook.reference import PAGE, reference, section_schemas

PLAYBOOK = settings.BASE_DIR / "playbook"
SECTIONS = section_schemas()


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text() == reference(), "run `manage.py playbook reference`"


def _fields(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for model in (schema, *schema.get("$defs", {}).values()):
        for name, field in model.get("properties", {}).items():
            yield f"{model['title']}.{name}", field


@pytest.mark.parametrize("section", SECTIONS)
def test_every_field_and_every_model_is_described(section: str) -> None:
    schema = SECTIONS[section]["schema"]
    assert [name for name, field in _fields(schema) if not field.get("description")] == []
    models = {name: model for name, model in schema.get("$defs", {}).items() if "properties" in model}
    assert [name for name, model in models.items() if not model.get("description")] == []


def test_every_field_stands_on_the_page() -> None:
    page = PAGE.read_text()
    for section in SECTIONS.values():
        for name, field in _fields(section["schema"]):
            assert f"| `{name.partition('.')[2]}` |" in page, name
            assert field["description"] in page, name


def _shipped(place: str) -> list[Any]:
    files = sorted((PLAYBOOK / place).glob("*.yaml")) if place.endswith("/") else [PLAYBOOK / place]
    return [json.loads(json.dumps(YAML(typ="safe").load(file))) for file in files]


def test_the_printed_schema_takes_the_shipped_playbook_and_refuses_a_mistake() -> None:
    out = StringIO()
    call_command("playbook", "schema", stdout=out)
    for section in json.loads(out.getvalue()).values():
        for document in _shipped(section["place"]):
            assert jsonschema_rs.is_valid(section["schema"], document)
    severities = json.loads(out.getvalue())["severities"]["schema"]
    (document,) = _shipped("severities.yaml")
    for wrong in ("soon", "0m", 900):
        document["P0"]["response_time"] = wrong
        assert not jsonschema_rs.is_valid(severities, document)


def test_show_prints_every_section_as_it_is_understood() -> None:
    out = StringIO()
    call_command("playbook", "show", stdout=out)
    shown = json.loads(out.getvalue())
    assert set(shown) == set(SECTIONS)
    assert shown["severities"]["P0"]["response_time"] == 900
    assert shown["procedures"]["storefront_rollback"]["verify"][-1] == {
        "key": "monitor", "name": "Monitor for issues", "kind": "soak", "duration": 12, "settle": 3,
        "on_failure": "stop", "only_if_failed": None,
    }  # fmt: skip
