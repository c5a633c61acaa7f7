"""An incident as files: the report, and everything there is about it."""

from __future__ import annotations

from django.http import FileResponse, HttpRequest
from django.http.response import HttpResponseBase

from core.actors import Actor
from core.clock import utcnow
from core.views.downloads import own_file
from core.views.reading import reading
from incidents.selectors.export import export_incident
from incidents.selectors.incident_page import get_incident


@reading
def export(request: HttpRequest, actor: Actor, ref: str) -> HttpResponseBase:
    """Everything about the incident, with its hash chain: docs/export.md."""
    incident = get_incident(actor, ref)
    file = export_incident(actor, incident, now=utcnow())
    return own_file(FileResponse(file), name=f"{incident.ref}.json", content_type="application/json")
