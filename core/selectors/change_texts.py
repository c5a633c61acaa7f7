"""A row of the history of configuration in words: values as text, names for ids, who it was."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from django.db import models

from core.logs import HIDDEN, clean, without_secrets
from core.models.history import Change

LONGEST = 300
# An address or a document may carry what its owner should have kept elsewhere. What core.logs hides is hidden
# here; and an address's parameter that only sounds like a secret, which a log may need.
_SECRET_QUERY = re.compile(
    r"([?&][^=&\s]*(?:secret|token|password|api_?key|signature)[^=&\s]*=)[^&\s\"]+", re.IGNORECASE
)


@dataclass(frozen=True)
class Names:
    """The names of the things that rows point at, read with one query per kind of thing."""

    known: Mapping[type[models.Model], Mapping[Any, str]]

    @classmethod
    def of(cls, rows: Iterable[tuple[type[Change], Mapping[str, Any]]]) -> Names:
        wanted: dict[type[models.Model], set[Any]] = defaultdict(set)
        for model, values in rows:
            for column in model.columns:
                found = column_of(model, column)
                if isinstance(found, models.ForeignKey) and values.get(found.attname) is not None:
                    wanted[found.related_model].add(values[found.attname])
        return cls(
            {
                kind: {key: str(row) for key, row in kind._default_manager.in_bulk(list(keys)).items()}
                for kind, keys in wanted.items()
            }
        )


def column_of(model: type[Change], name: str) -> models.Field[Any, Any]:
    return cast("models.Field[Any, Any]", model._meta.get_field(name))


def describe(model: type[Change], column: str, values: Mapping[str, Any], names: Names) -> str | None:
    """One value as text; None when it is empty."""
    found = column_of(model, column)
    value = values.get(found.attname)
    if value is None or value in ("", [], {}):
        return None
    if isinstance(found, models.ForeignKey):
        return names.known.get(found.related_model, {}).get(value, f"number {value}")
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(found, models.DateTimeField):
        return f"{dt.datetime.fromisoformat(value).astimezone(dt.UTC):%Y-%m-%d %H:%M} UTC"
    if isinstance(value, list):
        return _shortened(", ".join(map(str, value)))
    if isinstance(value, dict):
        return _shortened(json.dumps(without_secrets(value), ensure_ascii=False))
    return _shortened(str(value))


def who_of(values: Mapping[str, Any]) -> str:
    """The actor that the door named; else Firebreak itself, or the database role and its program."""
    said = values["pgh_context"] or {}
    if said.get("actor"):
        return str(said["actor"])
    if said:
        return "somebody not signed in"
    program = values["pgh_program"]
    if program.startswith("firebreak "):
        return "Firebreak"
    return f"database role {values['pgh_role']}" + (f" in {program}" if program else "")


def _shortened(text: str) -> str:
    text = _SECRET_QUERY.sub(rf"\1{HIDDEN}", clean(text))
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
