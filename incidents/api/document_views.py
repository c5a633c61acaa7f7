"""Addresses of an incident's files: its report, and everything there is about it."""

from __future__ import annotations

from typing import Any

from django.http import FileResponse
from django.http.response import HttpResponseBase
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request

from core.api.views import ApiViewSet
from core.clock import utcnow
from core.views.downloads import own_file
from incidents.api.document_serializers import IncidentExportSerializer
from incidents.models import Incident
from incidents.selectors.export import export_incident
from incidents.selectors.records import get_incident


class ExportViewSet(ApiViewSet):
    """An incident as one file."""

    queryset = Incident.objects.none()
    scopes = {"GET": "read"}

    @extend_schema(responses=IncidentExportSerializer, operation_id="incident_export")
    def retrieve(self, request: Request, ref: str) -> HttpResponseBase:
        """Everything about it with its hash chain, to be verified without Firebreak: docs/export.md."""
        incident = get_incident(ref, self.actor)
        file = export_incident(self.actor, incident, now=utcnow())
        return own_file(FileResponse(file), name=f"{incident.ref}.json", content_type="application/json")

    def perform_content_negotiation(self, request: Request, force: bool = False) -> Any:
        """The file is given whatever is asked for."""
        return super().perform_content_negotiation(request, force=True)
