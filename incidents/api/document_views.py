"""Addresses of an incident's files: its report, and everything there is about it."""

from __future__ import annotations

from typing import Any

from django.http import FileResponse, HttpResponse
from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from core.api.views import ApiViewSet
from core.clock import utcnow
from core.views.downloads import own_file
from incidents.api.document_serializers import IncidentExportSerializer, SimilarIncidentsSerializer
from incidents.models import Incident
from incidents.selectors.export import export_incident
from incidents.selectors.records import get_incident
from incidents.selectors.report_files import markdown_of, pdf_of, pdf_of_revision
from incidents.selectors.report_history import get_revision
from incidents.selectors.similar import similar_incidents


class _FileViewSet(ApiViewSet):
    """A file of an incident, given whatever is asked for."""

    queryset = Incident.objects.none()
    scopes = {"GET": "read"}

    def perform_content_negotiation(self, request: Request, force: bool = False) -> Any:
        return super().perform_content_negotiation(request, force=True)


class ExportViewSet(_FileViewSet):
    """An incident as one file."""

    @extend_schema(responses=IncidentExportSerializer, operation_id="incident_export")
    def retrieve(self, request: Request, ref: str) -> HttpResponseBase:
        """Everything about it with its hash chain, to be verified without Firebreak: docs/export.md."""
        incident = get_incident(ref, self.actor)
        file = export_incident(self.actor, incident, now=utcnow())
        return own_file(FileResponse(file), name=f"{incident.ref}.json", content_type="application/json")


class ReportMarkdownViewSet(_FileViewSet):
    """A report as Markdown."""

    @extend_schema(responses={(200, "text/markdown"): OpenApiTypes.STR}, operation_id="report_markdown")
    def retrieve(self, request: Request, ref: str) -> HttpResponseBase:
        """The report in the structure of the policy's template, as published or as the draft stands."""
        incident = get_incident(ref, self.actor)
        return _markdown(markdown_of(incident), incident.ref)

    @extend_schema(
        responses={(200, "text/markdown"): OpenApiTypes.STR}, operation_id="report_revision_markdown"
    )
    def revision(self, request: Request, ref: str, number: int) -> HttpResponseBase:
        """A published revision, the bytes whose SHA-256 stands on the timeline."""
        incident = get_incident(ref, self.actor)
        return _markdown(get_revision(incident, number).markdown, f"{incident.ref}-revision-{number}")


class ReportPdfViewSet(_FileViewSet):
    """A report as PDF."""

    @extend_schema(responses={(200, "application/pdf"): OpenApiTypes.BINARY}, operation_id="report_pdf")
    def retrieve(self, request: Request, ref: str) -> HttpResponseBase:
        """The report as it was published, or as the draft stands, as a document to hand on."""
        incident = get_incident(ref, self.actor)
        return _pdf(pdf_of(incident), incident.ref)

    @extend_schema(
        responses={(200, "application/pdf"): OpenApiTypes.BINARY}, operation_id="report_revision_pdf"
    )
    def revision(self, request: Request, ref: str, number: int) -> HttpResponseBase:
        """A published revision as a document to hand on."""
        incident = get_incident(ref, self.actor)
        row = get_revision(incident, number)
        return _pdf(pdf_of_revision(incident, row), f"{incident.ref}-revision-{number}")


def _markdown(text: str, name: str) -> HttpResponseBase:
    return own_file(HttpResponse(text), name=f"{name}.md", content_type="text/markdown; charset=utf-8")


def _pdf(file: bytes, name: str) -> HttpResponseBase:
    return own_file(HttpResponse(file), name=f"{name}.pdf", content_type="application/pdf")


class SimilarViewSet(ApiViewSet):
    """Incidents of the past that are like one."""

    queryset = Incident.objects.none()
    scopes = {"GET": "read"}

    @extend_schema(responses=SimilarIncidentsSerializer, operation_id="incident_similar")
    def retrieve(self, request: Request, ref: str) -> Response:
        """At most five that are over, the most alike first, with what both share and how each ended."""
        found = similar_incidents(self.actor, get_incident(ref, self.actor))
        return Response(SimilarIncidentsSerializer({"results": found}).data)
