"""Addresses of reports."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from core.api.serializers import EmptySerializer, ReasonSerializer
from core.api.views import ApiViewSet, command
from incidents import policy
from incidents.api import report_serializers as shapes
from incidents.api.filters import ReportFilters
from incidents.models import Incident, Report
from incidents.selectors.records import get_incident
from incidents.selectors.report_list import reports_of
from incidents.selectors.reports import get_report, report_lines, texts_and_versions, written_everywhere
from incidents.services import reports


class ReportListViewSet(ApiViewSet):
    """Reports of incidents that are over."""

    queryset = Report.objects.none()
    serializer_class = shapes.ReportSummarySerializer
    scopes = {"GET": "read"}
    filters = ReportFilters

    def list(self, request: Request) -> Response:
        """Reports, the newest first."""
        found = self.paginate_queryset(self.filter_queryset(reports_of(self.actor)))
        return self.get_paginated_response(
            shapes.ReportSummarySerializer(found, many=True, context=_context(found or [])).data
        )


class ReportViewSet(ApiViewSet):
    """The post-incident report of one incident."""

    queryset = Report.objects.none()
    serializer_class = shapes.ReportSerializer
    scopes = {"GET": "read", "PATCH": "write", "POST": "write", "PUT": "write"}
    versioned = True
    stands_still = False  # `overdue` comes by itself, and events of the timeline

    def retrieve(self, request: Request, ref: str) -> Response:
        """It as it stands; 404 while the incident is open: a report begins with the resolution."""
        return self._show(get_incident(ref, self.actor))

    @extend_schema(request=shapes.EditReportSerializer)
    def partial_update(self, request: Request, ref: str) -> Response:
        """Write sections; 409 with `theirs` where somebody wrote one since the version in `seen`."""
        body = self.body(shapes.EditReportSerializer)
        return self._do(reports.edit_report, ref, texts=dict(body["sections"]), seen=body.get("seen"))

    @command(takes=EmptySerializer, answers=shapes.ReportSerializer)
    def submit(self, request: Request, ref: str) -> Response:
        """Hand it in for review; 409 names what is still to be written."""
        self.body(EmptySerializer)
        return self._do(reports.submit_report, ref)

    @command(takes=ReasonSerializer, answers=shapes.ReportSerializer)
    def send_back(self, request: Request, ref: str) -> Response:
        """Back to its writers, with what is to be changed."""
        return self._do(reports.return_report, ref, **self.body(ReasonSerializer))

    @command(takes=EmptySerializer, answers=shapes.ReportSerializer)
    def publish(self, request: Request, ref: str) -> Response:
        """Keep it as it is, for ever; a person does, never a token, and 409 says why not."""
        self.body(EmptySerializer)
        return self._do(reports.publish_report, ref)

    @command(takes=ReasonSerializer, answers=shapes.ReportSerializer)
    def revise(self, request: Request, ref: str) -> Response:
        """Open a published one again: the next revision."""
        return self._do(reports.revise_report, ref, **self.body(ReasonSerializer))

    @command(takes=shapes.AssignReportSerializer, answers=shapes.ReportSerializer)
    def assign(self, request: Request, ref: str) -> Response:
        """Say whose it is to write."""
        body = self.body(shapes.AssignReportSerializer)
        return self._do(reports.give_report, ref, owner=body["user"])

    @extend_schema(request=shapes.EditRowSerializer, responses=shapes.ReportSerializer)
    def edit_row(self, request: Request, ref: str, seq: int) -> Response:
        """Leave an event out of its timeline, take it in, or say it in other words."""
        body = self.body(shapes.EditRowSerializer)
        said = {name: body.get(key, "") for name, key in _CELLS.items()}
        more = {"included": body["included"], "seen": body.get("seen"), **said}
        return self._do(reports.edit_row, ref, seq=seq, **more)

    def _do(self, service: Callable[..., Any], ref: str, **what: Any) -> Response:
        incident = get_incident(ref, self.actor)
        report = get_report(incident)
        with self.unchanged(report, after=[Incident.objects.filter(pk=incident.pk)]):
            service(incident_id=incident.pk, **what, **self.by())
        return self._show(incident)

    def _show(self, incident: Incident) -> Response:
        report = get_report(incident)
        texts, versions = texts_and_versions(report)
        context = {
            **_context([report]),
            "texts": texts,
            "versions": versions,
            "lines": report_lines(incident, report),
        }

        def shape(row: Report) -> shapes.ReportSerializer:
            return shapes.ReportSerializer(row, context=context)

        return self.show(report, shape, moves=True)  # type: ignore[arg-type]


_CELLS = {"event_text": "event", "action_text": "action", "owner": "owner"}


def _context(found: Sequence[Report]) -> dict[str, Any]:
    return {"written": written_everywhere(found), "required": policy.reports().required}
