"""The playbook's reference, written from its models: docs/playbook-reference.md."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from django.conf import settings
from django.utils.module_loading import import_string
from pydantic import BaseModel
from ruamel.yaml import YAML

from core.playbook.schema import DURATION, SOME_TIME

Schema = Mapping[str, Any]
FOLDER: Path = settings.BASE_DIR / "playbook"
PAGE: Path = settings.BASE_DIR / "docs" / "playbook-reference.md"

_HEAD = """# Playbook reference

Written by `manage.py playbook reference` from the models that check the playbook; do not edit it here.
The playbook is the folder `PLAYBOOK_DIR` (without it `playbook/`). `manage.py playbook check` names file,
line and field of every mistake, `manage.py playbook show` prints what is understood, `manage.py playbook
schema` a JSON schema for editors. A field that is not listed is refused. What the words mean:
[concepts.md](concepts.md).

A *duration* is a whole number with its unit: `500ms`, `30s`, `15m`, `4h`, `1d`. A *key* begins with a small
letter and has small letters, digits and underscores, at most 60. The last column and the pieces of YAML
show what the shipped playbook has.
"""
_COLUMNS = "| field | type | default | limits | what it is | shipped |\n|---|---|---|---|---|---|"
_NAMED_PATTERNS = {DURATION: "duration", SOME_TIME: "duration", "^[a-z][a-z0-9_]{0,59}$": "key"}
_PLAIN = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false"}
_RANGES = (
    ("minimum", "maximum", ""),
    ("minItems", "maxItems", ""),
    ("minProperties", "maxProperties", ""),
    ("minLength", "maxLength", " characters"),
)
_EXAMPLE_LENGTH = 60
_EXAMPLE_LINES = 9


def section_schemas() -> dict[str, dict[str, Any]]:
    """Each section's place in the playbook and its JSON schema, by name."""
    found = {}
    for name, place, path in settings.PLAYBOOK_SECTIONS:
        model: type[BaseModel] = import_string(path)
        found[name] = {"place": place, "schema": model.model_json_schema()}
    return found


def reference() -> str:
    """The whole page, with the shipped playbook's values as examples."""
    told: set[str] = set()
    parts = [_HEAD]
    for section in section_schemas().values():
        parts += _section(section["place"], section["schema"], told)
    return "\n".join(parts)


def _section(place: str, schema: Schema, told: set[str]) -> Iterator[str]:
    files = sorted((FOLDER / place).glob("*.yaml")) if place.endswith("/") else [FOLDER / place]
    documents = [YAML(typ="safe").load(file) for file in files]
    models = schema.get("$defs", {})
    yield f"## `{place}*.yaml`\n" if place.endswith("/") else f"## `{place}`\n"
    if about := schema["description"].partition(": ")[2]:
        yield f"{about[0].upper()}{about[1:]}\n"
    yield _excerpt(files[0])
    yield _table(schema, documents, models) if "properties" in schema else f"A {_type(schema, models)}.\n"
    seen: dict[str, list[Any]] = {}
    for document in documents:
        _collect(document, schema, models, seen)
    for name in (name for name in seen if name not in told):
        told.add(name)
        about = " ".join(models[name]["description"].split())
        yield f"### {_words(name)}\n\n{about}\n"
        yield _table(models[name], seen[name], models)


def _excerpt(file: Path) -> str:
    """The first lines of a shipped file."""
    lines = [line for line in file.read_text().splitlines() if line.strip() and not line.startswith("#")]
    more = ["# …"] if len(lines) > _EXAMPLE_LINES else []
    shown = "\n".join([*lines[:_EXAMPLE_LINES], *more])
    return f"```yaml\n# {file.relative_to(FOLDER)}\n{shown}\n```\n"


def _table(schema: Schema, values: list[Any], models: Schema) -> str:
    required = schema.get("required", ())
    rows = [
        f"| `{name}` | {_type(field, models)} | {'required' if name in required else _default(field)} |"
        f" {_limits(field)} | {field.get('description', '')} | {_example(name, values)} |"
        for name, field in schema["properties"].items()
    ]
    return "\n".join([_COLUMNS, *rows]) + "\n"


def _type(field: Schema, models: Schema) -> str:
    if "$ref" in field:
        name = field["$ref"].rpartition("/")[2]
        return _type(models[name], models) if "enum" in models[name] else _link(name)
    if "const" in field:
        return f"`{field['const']}`"
    if "enum" in field:
        return "one of " + ", ".join(f"`{value}`" for value in field["enum"])
    if options := field.get("oneOf", field.get("anyOf")):
        return " or ".join(_type(option, models) for option in options if option.get("type") != "null")
    if field["type"] == "array":
        return f"list of {_type(field['items'], models)}"
    if field["type"] == "object":
        by_pattern = field.get("patternProperties", {})
        value: Schema = next(iter(by_pattern.values()), field.get("additionalProperties", {}))
        key = "key" if by_pattern else _type(field.get("propertyNames", {"type": "string"}), models)
        return f"map of {key} to {_type(value, models)}"
    return _NAMED_PATTERNS.get(field.get("pattern", ""), _PLAIN[field["type"]])


def _default(field: Schema) -> str:
    value = field.get("default")
    if value in (None, {}):
        return "none"
    if field.get("pattern") == DURATION:
        return f"`{value:g}s`"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _limits(field: Schema) -> str:
    """Lengths and ranges, of the field itself or of the one kind of value that it may have."""
    options = [option for option in field.get("anyOf", ()) if option.get("type") != "null"]
    field = options[0] if len(options) == 1 else field
    pattern = field.get("pattern", "")
    said = ["more than 0"] if pattern == SOME_TIME else []
    if pattern and pattern not in _NAMED_PATTERNS:
        said.append(f"matches `{pattern}`")
    for low, high, unit in _RANGES:
        if low in field and high in field:
            said.append(f"{field[low]} to {field[high]}{unit}")
        elif low in field:
            said.append(f"at least {field[low]}{unit}")
        elif high in field:
            said.append(f"at most {field[high]}{unit}")
    return ", ".join(said).replace("|", "\\|")


def _collect(value: Any, schema: Schema, models: Schema, seen: dict[str, list[Any]]) -> None:
    """Every model below `schema`, outer ones first, with the shipped playbook's values of it."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        if "properties" in models[name]:
            known = seen.setdefault(name, [])
            if isinstance(value, Mapping) and _is_of(value, models[name]):
                known.append(value)
            _collect(value, models[name], models, seen)
        return
    for option in schema.get("oneOf", schema.get("anyOf", ())):
        _collect(value, option, models, seen)
    for name, field in schema.get("properties", {}).items():
        _collect(value.get(name) if isinstance(value, Mapping) else None, field, models, seen)
    for inner in (
        schema.get("items"),
        schema.get("additionalProperties"),
        *schema.get("patternProperties", {}).values(),
    ):
        if isinstance(inner, Mapping):
            items = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
            for item in items or (None,):
                _collect(item, inner, models, seen)


def _is_of(value: Mapping[str, Any], model: Schema) -> bool:
    """Whether a value with a `kind` is of this one of several kinds."""
    kind = model["properties"].get("kind", {})
    return "const" not in kind or value.get("kind", kind.get("default")) == kind["const"]


def _example(name: str, values: list[Any]) -> str:
    found = next((value[name] for value in values if isinstance(value, Mapping) and name in value), None)
    if found is None or _is_nested(found):
        return ""
    out = io.StringIO()
    yaml = YAML(typ="safe")
    yaml.default_flow_style, yaml.width = True, 10_000
    yaml.dump(found, out)
    text = out.getvalue().strip().removesuffix("...").strip()
    text = text if len(text) <= _EXAMPLE_LENGTH else f"{text[: _EXAMPLE_LENGTH - 2]} …"
    return f"`{text}`".replace("|", "\\|")


def _is_nested(value: Any) -> bool:
    """Whether a table of its own tells more about it."""
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    return any(isinstance(item, Mapping | list) for item in inner)


def _words(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).capitalize()


def _link(name: str) -> str:
    words = _words(name).lower()
    return f"[{words}](#{words.replace(' ', '-')})"
