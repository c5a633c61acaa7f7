"""What every section of the playbook is made of: strict, frozen models and durations people can read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Union

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, StringConstraints, Tag

Key = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,59}$")]
Line = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=120)]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)]

_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
DURATION = r"^(\d+)(ms|s|m|h|d)$"
SOME_TIME = r"^0*[1-9]\d*(ms|s|m|h|d)$"


def _seconds(value: Any) -> Any:
    if isinstance(value, str):
        match = re.match(DURATION, value)
        if not match:
            raise ValueError("a duration is a whole number and a unit: 30s, 15m, 4h, 1d")
        return int(match[1]) * _UNITS[match[2]]
    raise ValueError("a duration needs its unit: 30s, 15m, 4h, 1d")


Seconds = Annotated[
    float,
    BeforeValidator(_seconds, json_schema_input_type=Annotated[str, StringConstraints(pattern=DURATION)]),
]
"""A duration written as `15m`, kept as seconds."""

_SOME_TIME = Annotated[str, StringConstraints(pattern=SOME_TIME)]
PositiveSeconds = Annotated[float, BeforeValidator(_seconds, json_schema_input_type=_SOME_TIME), Field(gt=0)]
"""A duration that is not nothing."""


class Section(BaseModel):
    """Base of everything in the playbook: unknown keys are refused, nothing changes after loading."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)


KIND_TAG = "of kind "
"""Marks the part of an error's location that names a kind: it stands in no file."""


def told_apart_by_kind(models: Mapping[str, type[Section]], *, otherwise: str = "") -> Any:
    """The union of `models`, told apart by their field `kind`; one without it is `otherwise`.

    The error of an unknown kind names the known ones, that of a wrong field only the fields of its kind.
    """

    def kind_of(value: Any) -> str | None:
        kind = value.get("kind", otherwise) if isinstance(value, Mapping) else getattr(value, "kind", None)
        return f"{KIND_TAG}{kind}" if kind in models else None

    members = [Annotated[model, Tag(f"{KIND_TAG}{kind}")] for kind, model in models.items()]
    discriminator = Discriminator(
        kind_of,
        custom_error_type="unknown_kind",
        custom_error_message=f"its kind must be one of: {', '.join(models)}",
    )
    return Annotated[Union[tuple(members)], discriminator]  # noqa: UP007 - as many as there are
