"""What the schema says about every operation."""

from __future__ import annotations

from typing import Any

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter

from core.api import idempotency

ANSWERED = ["200", "201", "202"]


def _header(name: str, description: str, **more: Any) -> OpenApiParameter:
    return OpenApiParameter(name, str, OpenApiParameter.HEADER, description=description, **more)


_IDEMPOTENCY_KEY = _header(
    idempotency.HEADER,
    "Makes a repeat within 24 hours get the first answer, with `Idempotent-Replayed: true`.",
)
_REPLAYED = OpenApiParameter(
    "Idempotent-Replayed",
    OpenApiTypes.BOOL,
    OpenApiParameter.HEADER,
    description="There and `true` when this is the first answer once more.",
    response=ANSWERED,
)
_ETAG = _header("ETag", 'The version of the thing, such as `"v7"`, for `If-Match`.', response=ANSWERED)
_IF_MATCH = _header("If-Match", "Only while the thing is at this version; else 412.")
_IF_NONE_MATCH = _header("If-None-Match", "304 while the thing is at this version and nothing in it moves.")


class ApiSchema(AutoSchema):
    """Every POST takes an Idempotency-Key; one thing has a version, and a change may rest on it."""

    def get_override_parameters(self) -> list[Any]:
        parameters = [_IDEMPOTENCY_KEY, _REPLAYED] if self.method == "POST" else []
        view: Any = self.view
        action = getattr(view, "action", "")
        if not view.versioned or action in view.about_more_than_one:
            return parameters
        if self.method != "DELETE":
            parameters.append(_ETAG)
        if self.method == "GET":
            parameters += [_IF_NONE_MATCH] if view.stands_still else []
        elif action != "create":
            parameters.append(_IF_MATCH)
        return parameters
