"""Pages of reports."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse

from core.actors import Actor
from core.views.reading import Live, reading, render_page
from incidents.selectors.incident_page import get_incident
from incidents.selectors.report_files import html_of
from incidents.selectors.reports import report_url


@reading
def report(request: HttpRequest, actor: Actor, ref: str) -> HttpResponse:
    """The report of one incident as its readers see it."""
    incident = get_incident(actor, ref)
    context = {
        "live": Live(report_url(incident.ref), f"incident:{incident.ref}"),
        "incident": incident,
        "html": html_of(incident),
    }
    return render_page(request, "incidents/report.html", context)
