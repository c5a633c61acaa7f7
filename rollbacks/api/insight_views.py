"""Addresses of the figures: as JSON and as CSV."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.http import HttpResponse
from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from core.api.views import ApiViewSet
from core.clock import utcnow
from core.errors import Invalid
from core.views.downloads import own_file
from rollbacks.api.filters import InsightFilters
from rollbacks.api.insight_serializers import InsightsSerializer
from rollbacks.rules.insights import Scope, WrongSpan, record_of, span
from rollbacks.selectors.insights import get_insights, group_insights, insights_sheet, start_before


class _ScopedViewSet(ApiViewSet):
    """What is asked about a span."""

    scopes = {"GET": "read"}
    filters = InsightFilters
    filtered = ("retrieve",)

    def _asked(self, now: dt.datetime) -> tuple[Scope, str]:
        """What is looked at, and by what; raises ValidationError and Invalid."""
        asked = self.parameters()
        try:
            start, end = span(asked.get("from"), asked.get("to"), now)
        except WrongSpan as error:
            raise Invalid({"from": str(error)}) from error
        services = tuple(dict.fromkeys(filter(None, asked.get("service", "").split(","))))
        scope = Scope(start, end, services, asked.get("severity", ""), asked.get("trigger", ""))
        return scope, asked.get("by", "")


class InsightsViewSet(_ScopedViewSet):
    """The figures of what happened: how often, how fast, how well."""

    serializer_class = InsightsSerializer

    @extend_schema(parameters=[InsightFilters], responses=InsightsSerializer, operation_id="insights")
    def retrieve(self, request: Request) -> Response:
        """In total, of the span before, and by month of UTC; of what the asker may see, without drills."""
        now = utcnow()
        scope, by = self._asked(now)
        found = get_insights(self.actor, scope, now=now)
        months = found.months_covered
        groups = group_insights(self.actor, scope, by, now=now) if by else ()
        answer: dict[str, Any] = {
            "from": scope.start,
            "to": scope.end,
            "service": ",".join(scope.services) or None,
            "severity": scope.severity or None,
            "trigger": scope.trigger or None,
            "by": by or None,
            "months": months,
            **record_of(found.total, months),
            "previous": {
                "from": start_before(scope),
                "to": scope.start,
                **record_of(found.before, found.months_before),
            },
            "monthly": [
                {"month": f"{month.start:%Y-%m}", **record_of(month.figures, 1.0)} for month in found.monthly
            ],
            "groups": [{"key": group.key or "none", **record_of(group.figures, months)} for group in groups],
        }
        return Response(InsightsSerializer(answer).data)


class InsightsSheetViewSet(_ScopedViewSet):
    """The figures for a spreadsheet."""

    def perform_content_negotiation(self, request: Request, force: bool = False) -> Any:
        return super().perform_content_negotiation(request, force=True)

    @extend_schema(
        parameters=[InsightFilters],
        responses={(200, "text/csv"): OpenApiTypes.STR},
        operation_id="insights_sheet",
    )
    def retrieve(self, request: Request) -> HttpResponseBase:
        """A line for each month, or what `by` names, and the total last; no cell is a formula."""
        now = utcnow()
        scope, by = self._asked(now)
        found = get_insights(self.actor, scope, now=now)
        groups = group_insights(self.actor, scope, by, now=now) if by else ()
        sheet = HttpResponse(insights_sheet(found, by, groups))
        return own_file(sheet, name="insights.csv", content_type="text/csv; charset=utf-8")
