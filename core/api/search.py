"""Finding anything by words."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from core.api.fields import Line, Moment
from core.api.filters import Filters
from core.api.views import ApiViewSet
from core.search import LONGEST, Hit, Period, search


class SearchFilters(Filters):
    """The words to look for."""

    q = Line(
        max_length=LONGEST,
        help_text="Words of which each begins one of what is found, or a reference. In texts they are whole"
        ' words in any order, "phrases", and -words that must not be there.',
    )
    declared_after = Moment(required=False, help_text="Of texts alone.")
    declared_before = Moment(required=False, help_text="Of texts alone.")

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        """`in` is a word of Python's own."""
        names = [name for name, _path in settings.SEARCH_PROVIDERS]
        kinds = serializers.ChoiceField(choices=names, required=False, help_text="Look for these alone.")
        return {**super().get_fields(), "in": kinds}


class HitSerializer(serializers.Serializer[Any]):
    """One thing that was found; `url` is the path of its page."""

    kind = serializers.CharField()
    key = serializers.CharField(help_text="Its reference, short name, version or number.")
    label = serializers.CharField()  # type: ignore[assignment]
    detail = serializers.CharField()
    url = serializers.CharField()
    excerpt = serializers.SerializerMethodField(help_text="Of a text: where the words stand in it.")

    def get_excerpt(self, hit: Hit) -> str:
        return "".join(text for text, _found in hit.excerpt)


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
        """Incidents, their texts, services, releases, rollbacks and contacts by words: a few of each."""
        asked = self.parameters()
        period = Period(asked.get("declared_after"), asked.get("declared_before"))
        found = search(
            self.actor,
            asked["q"],
            among=[asked["in"]] if "in" in asked else (),
            period=period if period != Period() else None,
        )
        return Response(FindingsSerializer({"results": found.hits, "failed": found.failed}).data)
