"""What every section of the playbook is made of: strict, frozen models and durations people can read."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, StringConstraints

Key = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,59}$")]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)]

_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"^(\d+)(ms|s|m|h|d)$")


def _seconds(value: Any) -> Any:
    if isinstance(value, str):
        match = _DURATION.match(value)
        if not match:
            raise ValueError("a duration is a whole number and a unit: 30s, 15m, 4h, 1d")
        return int(match[1]) * _UNITS[match[2]]
    raise ValueError("a duration needs its unit: 30s, 15m, 4h, 1d")


Seconds = Annotated[float, BeforeValidator(_seconds)]
"""A duration written as `15m`, kept as seconds."""


class Section(BaseModel):
    """Base of everything in the playbook: unknown keys are refused, nothing changes after loading."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)
