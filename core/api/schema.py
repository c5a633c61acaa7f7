"""What the schema says about every operation."""

from __future__ import annotations

from typing import Any

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiParameter

from core.api import idempotency

_IDEMPOTENCY_KEY = OpenApiParameter(
    idempotency.HEADER,
    str,
    OpenApiParameter.HEADER,
    description="Makes a repeat within 24 hours get the first answer, with `Idempotent-Replayed: true`.",
)


class ApiSchema(AutoSchema):
    """Every POST takes an Idempotency-Key."""

    def get_override_parameters(self) -> list[Any]:
        return [_IDEMPOTENCY_KEY] if self.method == "POST" else []
