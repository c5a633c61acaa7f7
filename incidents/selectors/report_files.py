"""The report of an incident as files: Markdown, HTML of it, and PDF."""

from __future__ import annotations

from incidents.documents.html import as_html
from incidents.documents.pdf import Head, as_pdf
from incidents.models import Incident
from incidents.rules.markdown import moment, report_markdown
from incidents.rules.report import ReportFacts
from incidents.selectors.reports import report_facts
from incidents.states import ReportState


def markdown_of(incident: Incident) -> str:
    """The report as it stands, in the structure of the policy's template."""
    return report_markdown(report_facts(incident))


def html_of(incident: Incident) -> str:
    """The same as clean HTML, safe to stand in a page."""
    return as_html(markdown_of(incident))


def pdf_of(incident: Incident) -> bytes:
    """The same as PDF. Raises incidents.documents.pdf.NotMade."""
    facts = report_facts(incident)
    changed_at = facts.published_at or facts.ended_at or facts.started_at
    return as_pdf(_head(facts), report_markdown(facts), timestamp=int(changed_at.timestamp()))


def _head(facts: ReportFacts) -> Head:
    severity = f"{facts.severity} {facts.severity_name}"
    marks = [mark for mark, there in (("RESTRICTED", facts.restricted), ("DRILL", facts.drill)) if there]
    state = str(ReportState(facts.state).label)
    if facts.state == ReportState.PUBLISHED:
        state = f"Published {moment(facts.published_at)} by {facts.published_by}"
    return Head(
        title=facts.title,
        ref=facts.ref,
        severity=facts.severity,
        severity_label=severity,
        standing=state,
        marks=" · ".join(marks),
        footer=f"Post-incident report · {state}",
        author=facts.published_by or "Firebreak",
    )
