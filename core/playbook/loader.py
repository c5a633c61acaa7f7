"""Reading a playbook folder: YAML with line numbers, validated section by section, then across sections."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.conf import settings
from django.utils.module_loading import import_string
from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from core.playbook.schema import KIND_TAG

Location = tuple[str | int, ...]


class PlaybookError(Exception):
    """Everything that is wrong with a playbook, one line each: file, line, field, what."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True)
class Playbook:
    """A whole, valid playbook. `sections` maps a section's name to its model, or to models by key.

    `templates` are the texts of its folder `templates/` by file name.
    """

    folder: Path
    sections: Mapping[str, Any]
    digest: str
    templates: Mapping[str, str] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Any:
        return self.sections[name]


def load(folder: Path) -> Playbook:
    """Read and validate the playbook in `folder`; raises PlaybookError naming file, line and field."""
    problems: list[str] = []
    sections: dict[str, Any] = {}
    digest = hashlib.sha256()
    for name, place, model_path in settings.PLAYBOOK_SECTIONS:
        model: type[BaseModel] = import_string(model_path)
        if place.endswith("/"):
            files = sorted((folder / place).glob("*.yaml"))
            if not files:
                problems.append(f"{place}: no file here, the section {name} needs at least one")
            sections[name] = {file.stem: _read(file, folder, model, digest, problems) for file in files}
        else:
            sections[name] = _read(folder / place, folder, model, digest, problems)
    templates = _templates(folder, digest, problems)
    if problems:
        raise PlaybookError(problems)
    playbook = Playbook(folder, sections, digest.hexdigest(), templates)
    for path in settings.PLAYBOOK_CHECKS:
        checks: Iterable[tuple[str, Location, str]] = import_string(path)(playbook)
        problems += [_locate(folder / file, folder, location, text) for file, location, text in checks]
    if problems:
        raise PlaybookError(problems)
    return playbook


def _templates(folder: Path, digest: Any, problems: list[str]) -> dict[str, str]:
    found = {}
    for file in sorted((folder / "templates").glob("*")):
        shown = file.relative_to(folder)
        try:
            raw = file.read_bytes()
            digest.update(f"{shown}\0{len(raw)}\0".encode() + raw)
            found[file.name] = raw.decode()
        except OSError as error:
            problems.append(f"{shown}: cannot be read: {error.strerror}")
        except UnicodeDecodeError:
            problems.append(f"{shown}: is not UTF-8")
    return found


def _read(file: Path, folder: Path, model: type[BaseModel], digest: Any, problems: list[str]) -> Any:
    shown = file.relative_to(folder)
    try:
        raw = file.read_bytes()
        digest.update(f"{shown}\0{len(raw)}\0".encode() + raw)
        return model.model_validate(_parse(raw.decode()))
    except OSError as error:
        problems.append(f"{shown}: cannot be read: {error.strerror}")
    except UnicodeDecodeError:
        problems.append(f"{shown}: is not UTF-8")
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        problems.append(f"{shown}:{line}: is not YAML: {error.problem}")
    except YAMLError as error:
        problems.append(f"{shown}:1: is not YAML: {error}")
    except ValidationError as error:
        for item in error.errors():
            problems.append(_locate(file, folder, item["loc"], item["msg"].removeprefix("Value error, ")))
    return None


def _parse(text: str) -> Any:
    return YAML(typ="rt").load(text)


def _locate(file: Path, folder: Path, location: Location, text: str) -> str:
    if file.suffix != ".yaml":  # a template: its location is a line
        return f"{file.relative_to(folder)}:{location[0] if location else 1}: {text}"
    location = tuple(part for part in location if not str(part).startswith(("function-", KIND_TAG)))
    field = ".".join(map(str, location)) or "(top)"
    return f"{file.relative_to(folder)}:{_line(_parse(file.read_text()), location)}: {field}: {text}"


def _line(node: Any, location: Location) -> int:
    """The line of the deepest part of `location` that the file really has, counted from 1."""
    line = 1
    for part in location:
        marks = getattr(node, "lc", None)
        if marks is None:
            break
        try:
            position = marks.key(part) if isinstance(node, Mapping) else marks.item(part)
            line, node = position[0] + 1, node[part]
        except (KeyError, IndexError, TypeError):
            break
    return int(line)
