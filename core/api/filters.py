"""Query parameters of lists: declared as serializer fields, refused when unknown."""

from __future__ import annotations

import functools
import operator
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from django.db.models import Q, QuerySet
from rest_framework import serializers
from rest_framework.filters import BaseFilterBackend
from rest_framework.request import Request

if TYPE_CHECKING:
    from rest_framework.views import (
        APIView,  # at run time a circle: it reads the settings that name this module
    )

OF_EVERY_LIST = ("cursor", "page_size")
DRILLS = {"true": {"drill": True}, "false": {"drill": False}, "any": {}}


class Filters(serializers.Serializer[Any]):
    """The query parameters of one list: a subclass declares the fields and what they do."""

    LOOKUPS: ClassVar[Mapping[str, str]] = {}  # parameter → what must equal it
    SEARCHED: ClassVar[tuple[str, ...]] = ()  # where `search` looks

    def apply(self, rows: QuerySet[Any], asked: dict[str, Any]) -> QuerySet[Any]:
        """`rows` narrowed to what was asked; `asked` holds only the parameters that were sent."""
        rows = rows.filter(**{lookup: asked[name] for name, lookup in self.LOOKUPS.items() if name in asked})
        if self.SEARCHED and "search" in asked:
            anywhere = (Q((f"{field}__icontains", asked["search"])) for field in self.SEARCHED)
            rows = rows.filter(functools.reduce(operator.or_, anywhere))
        return rows


class DrillFilters(Filters):
    """Drills are left out unless asked for."""

    drill = serializers.ChoiceField(choices=tuple(DRILLS), default="false")

    def apply(self, rows: QuerySet[Any], asked: dict[str, Any]) -> QuerySet[Any]:
        return super().apply(rows, asked).filter(**DRILLS[asked["drill"]])


class StrictFilterBackend(BaseFilterBackend):
    """Applies the view's `filters`; a parameter that is not among them is a 400."""

    def filter_queryset(self, request: Request, queryset: QuerySet[Any], view: APIView) -> QuerySet[Any]:
        filters = checked_filters(request, view)
        return filters.apply(queryset, filters.validated_data)

    def get_schema_operation_parameters(self, view: APIView) -> list[dict[str, Any]]:
        schema: Any = view.schema
        return [
            {
                "name": name,
                "in": "query",
                "required": False,
                "schema": schema._map_serializer_field(field, "request"),
            }
            for name, field in _filters_of(view)().fields.items()
        ]


def checked_filters(request: Request, view: APIView) -> Filters:
    """The parameters of the address, validated; raises ValidationError naming each wrong one."""
    sent = request.query_params.dict()
    filters = _filters_of(view)(data={name: sent[name] for name in sent if name not in OF_EVERY_LIST})
    if unknown := set(filters.initial_data) - set(filters.fields):
        raise serializers.ValidationError(dict.fromkeys(sorted(unknown), "There is no such parameter."))
    filters.is_valid(raise_exception=True)
    return filters


def refuse_parameters(request: Request, *, all_unknown: bool) -> None:
    """Raises ValidationError for parameters sent twice, and for any where the address takes none."""
    wrong = {
        name: "There is no such parameter." if all_unknown else "Send it once."
        for name, values in request.query_params.lists()
        if all_unknown or len(values) > 1
    }
    if wrong:
        raise serializers.ValidationError(wrong)


def _filters_of(view: APIView) -> type[Filters]:
    found: type[Filters] = getattr(view, "filters", Filters)
    return found
