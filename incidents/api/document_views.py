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
from incidents.selectors.report_files import markdown_of, pdf_of
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
        """The report as it stands, in the structure of the policy's template."""
        incident = get_incident(ref, self.actor)
        text = HttpResponse(markdown_of(incident))
        return own_file(text, name=f"{incident.ref}.md", content_type="text/markdown; charset=utf-8")


class ReportPdfViewSet(_FileViewSet):
    """A report as PDF."""

    @extend_schema(responses={(200, "application/pdf"): OpenApiTypes.BINARY}, operation_id="report_pdf")
    def retrieve(self, request: Request, ref: str) -> HttpResponseBase:
        """The report as it stands, as a document to hand on."""
        incident = get_incident(ref, self.actor)
        return own_file(
            HttpResponse(pdf_of(incident)), name=f"{incident.ref}.pdf", content_type="application/pdf"
        )


class SimilarViewSet(ApiViewSet):
    """Incidents of the past that are like one."""

    queryset = Incident.objects.none()
    scopes = {"GET": "read"}

    @extend_schema(responses=SimilarIncidentsSerializer, operation_id="incident_similar")
    def retrieve(self, request: Request, ref: str) -> Response:
        """At most five that are over, the most alike first, with what both share and how each ended."""
        found = similar_incidents(self.actor, get_incident(ref, self.actor))
        return Response(SimilarIncidentsSerializer({"results": found}).data)
