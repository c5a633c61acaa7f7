"""An incident as files: its report, and everything there is about it."""

from __future__ import annotations

from django.http import FileResponse, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render

from core.actors import Actor
from core.clock import utcnow
from core.views.downloads import own_file
from core.views.reading import reading
from incidents.documents.pdf import NotMade
from incidents.selectors.export import export_incident
from incidents.selectors.incident_page import get_incident
from incidents.selectors.report_files import markdown_of, pdf_of

MARKDOWN = "text/markdown; charset=utf-8"
PDF = "application/pdf"


@reading
def export(request: HttpRequest, actor: Actor, ref: str) -> HttpResponseBase:
    """Everything about the incident, with its hash chain: docs/export.md."""
    incident = get_incident(actor, ref)
    file = export_incident(actor, incident, now=utcnow())
    return own_file(FileResponse(file), name=f"{incident.ref}.json", content_type="application/json")


@reading
def report_markdown(request: HttpRequest, actor: Actor, ref: str) -> HttpResponseBase:
    """The report in the policy's own structure."""
    incident = get_incident(actor, ref)
    return own_file(HttpResponse(markdown_of(incident)), name=f"{incident.ref}.md", content_type=MARKDOWN)


@reading
def report_pdf(request: HttpRequest, actor: Actor, ref: str) -> HttpResponseBase:
    """The report as a document to hand on."""
    incident = get_incident(actor, ref)
    try:
        file = pdf_of(incident)
    except NotMade as error:
        context = {"incident": incident, "said": error.message}
        answer = render(request, "incidents/not_made.html", context, status=error.status)
        answer["Retry-After"] = str(error.retry_after)
        return answer
    return own_file(HttpResponse(file), name=f"{incident.ref}.pdf", content_type=PDF)
