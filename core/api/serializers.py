"""What every request body obeys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rest_framework import serializers

from core.api.fields import Text


class StrictSerializer(serializers.Serializer[Any]):
    """A request body: an unknown field is refused, never ignored."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping):
            known = {name for name, field in self.fields.items() if not field.read_only}
            if unknown := [str(name) for name in data if name not in known]:
                raise serializers.ValidationError({name: ["There is no such field."] for name in unknown})
        return super().to_internal_value(data)


class EmptySerializer(StrictSerializer):
    """Nothing to say."""


class ReasonSerializer(StrictSerializer):
    """Why."""

    reason = Text()


class OptionalReasonSerializer(StrictSerializer):
    """Why, if there is something to say."""

    reason = Text(required=False, allow_blank=True)
