"""Finding anything by words."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from core.api.fields import Line
from core.api.filters import Filters
from core.api.views import ApiViewSet
from core.search import LONGEST, search


class SearchFilters(Filters):
    """The words to look for."""

    q = Line(max_length=LONGEST, help_text="Words of which each begins one of what is found, or a reference.")


class HitSerializer(serializers.Serializer[Any]):
    """One thing that was found; `url` is the path of its page."""

    kind = serializers.CharField()
    key = serializers.CharField(help_text="Its reference, short name, version or number.")
    label = serializers.CharField()  # type: ignore[assignment]
    detail = serializers.CharField()
    url = serializers.CharField()


class FindingsSerializer(serializers.Serializer[Any]):
    """What was found, kind by kind, the best first of each; `failed` names what gave no answer."""

    results = HitSerializer(many=True)
    failed = serializers.ListField(child=serializers.CharField())


class SearchViewSet(ApiViewSet):
    """Finding anything by words."""

    scopes = {"GET": "read"}
    filters = SearchFilters
    filtered = ("find",)

    @extend_schema(responses=FindingsSerializer, parameters=[SearchFilters], operation_id="search")
    def find(self, request: Request) -> Response:
        """Incidents, services, releases, rollbacks and contacts by words: a few of each, no pages."""
        found = search(self.actor, self.parameters()["q"])
        return Response(FindingsSerializer({"results": found.hits, "failed": found.failed}).data)
