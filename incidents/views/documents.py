"""An incident as files: its report, and everything there is about it."""

from __future__ import annotations

from collections.abc import Callable

from django.http import FileResponse, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render

from core.actors import Actor
from core.clock import utcnow
from core.views.downloads import own_file
from core.views.reading import reading
from incidents.documents.pdf import NotMade
from incidents.models import Incident
from incidents.selectors.export import export_incident
from incidents.selectors.incident_page import get_incident
from incidents.selectors.report_files import markdown_of, pdf_of, pdf_of_revision
from incidents.selectors.report_history import get_revision

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
    return _as_pdf(request, incident, lambda: pdf_of(incident), name=incident.ref)


@reading
def revision_markdown(request: HttpRequest, actor: Actor, ref: str, number: int) -> HttpResponseBase:
    """A published revision, the bytes whose SHA-256 stands on the timeline."""
    incident = get_incident(actor, ref)
    text = HttpResponse(get_revision(incident, number).markdown)
    return own_file(text, name=f"{incident.ref}-revision-{number}.md", content_type=MARKDOWN)


@reading
def revision_pdf(request: HttpRequest, actor: Actor, ref: str, number: int) -> HttpResponseBase:
    """A published revision as a document to hand on."""
    incident = get_incident(actor, ref)
    row = get_revision(incident, number)
    name = f"{incident.ref}-revision-{number}"
    return _as_pdf(request, incident, lambda: pdf_of_revision(incident, row), name=name)


def _as_pdf(
    request: HttpRequest, incident: Incident, make: Callable[[], bytes], *, name: str
) -> HttpResponseBase:
    try:
        file = make()
    except NotMade as error:
        context = {"incident": incident, "said": error.message}
        answer = render(request, "incidents/not_made.html", context, status=error.status)
        answer["Retry-After"] = str(error.retry_after)
        return answer
    return own_file(HttpResponse(file), name=f"{name}.pdf", content_type=PDF)
