"""The report of an incident as files: Markdown, HTML of it, and PDF.

What is published is given as it was published, whatever the incident has become since: its Markdown is the
one whose SHA-256 stands on the timeline. Only a mark that the incident is restricted is of today.
"""

from __future__ import annotations

import datetime as dt

from incidents.documents.html import as_html
from incidents.documents.pdf import Head, as_pdf
from incidents.models import Incident, PublishedReport
from incidents.rules.markdown import moment, report_markdown
from incidents.rules.report import ReportFacts
from incidents.selectors.reports import report_facts
from incidents.states import ReportState


def markdown_of(incident: Incident) -> str:
    """The report in the structure of the policy's template: as published, or as the draft stands."""
    published = _in_force(incident)
    return published.markdown if published is not None else report_markdown(report_facts(incident))


def html_of(incident: Incident) -> str:
    """The same as clean HTML, safe to stand in a page."""
    return as_html(markdown_of(incident))


def pdf_of(incident: Incident) -> bytes:
    """The same as PDF. Raises incidents.documents.pdf.NotMade."""
    published = _in_force(incident)
    if published is not None:
        return pdf_of_revision(incident, published)
    facts = report_facts(incident)
    changed_at = facts.ended_at or facts.started_at
    return as_pdf(_head_of_draft(facts), report_markdown(facts), timestamp=_second(changed_at))


def pdf_of_revision(incident: Incident, published: PublishedReport) -> bytes:
    """A published revision as PDF. Raises incidents.documents.pdf.NotMade."""
    state = f"Published {moment(published.published_at)} by {published.published_by}"
    if published.revision > 1:
        state = f"Revision {published.revision}. {state}"
    severity = published.severity or incident.severity
    head = Head(
        title=published.title or incident.title,
        ref=incident.ref,
        severity=severity,
        severity_label=f"{severity} {published.severity_name}".strip(),
        standing=state,
        marks=_marks(restricted=incident.restricted, drill=incident.drill),
        footer=f"Post-incident report · {state}",
        author=published.published_by,
    )
    return as_pdf(head, published.markdown, timestamp=_second(published.published_at))


def _in_force(incident: Incident) -> PublishedReport | None:
    """The revision that its report is published as; None while one is being written (one query)."""
    rows = PublishedReport.objects.filter(report__incident=incident, report__state=ReportState.PUBLISHED)
    return rows.order_by("-revision").first()


def _head_of_draft(facts: ReportFacts) -> Head:
    state = str(ReportState(facts.state).label)
    return Head(
        title=facts.title,
        ref=facts.ref,
        severity=facts.severity,
        severity_label=f"{facts.severity} {facts.severity_name}",
        standing=state,
        marks=_marks(restricted=facts.restricted, drill=facts.drill),
        footer=f"Post-incident report · {state}",
        author="Firebreak",
    )


def _marks(*, restricted: bool, drill: bool) -> str:
    return " · ".join(mark for mark, there in (("RESTRICTED", restricted), ("DRILL", drill)) if there)


def _second(at: dt.datetime) -> int:
    return int(at.timestamp())
