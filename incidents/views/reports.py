"""Pages of reports, and the doors of the commands on them."""

from __future__ import annotations

import datetime as dt
import hashlib
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.safestring import mark_safe

from core.actors import Actor
from core.careful_forms import WholeForm
from core.clock import utcnow
from core.texts import made_harmless
from core.views.reading import Later, Live, page_query, reading, render_page
from incidents import forms
from incidents.documents.html import as_html
from incidents.report_forms import GiveForm, RowForm, SectionForm, row_of
from incidents.selectors.incident_page import get_incident
from incidents.selectors.report_files import html_of, markdown_of
from incidents.selectors.report_history import get_revision, revision_of, row_history, section_history
from incidents.selectors.report_list import STATES, list_owners, list_reports
from incidents.selectors.report_pages import (
    SectionText,
    get_row,
    get_section,
    list_choices,
    missing_of,
    view_report,
)
from incidents.selectors.reports import ReportLine, report_of_incident, report_url, required_of
from incidents.selectors.tasks import owner_choices
from incidents.selectors.waiting import REPORTS, waits_for
from incidents.services import reports as commands
from incidents.states import Severity
from incidents.views.incidents import IncidentCommand


@reading
def reports(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Every report that is to be written, what is due first before the rest."""
    query = page_query(request)
    state, severity, after = (query.get(name, "") for name in ("state", "severity", "after"))
    owner = made_harmless(query.get("owner", "")[:150])
    state = state if state in STATES else ""
    severity = severity if severity in Severity.values else ""
    found = list_reports(actor, now=utcnow(), state=state, severity=severity, owner=owner, after=after)

    def address(**changes: str) -> str:
        chosen = {"state": state, "severity": severity, "owner": owner, **changes}
        asked = urlencode({name: value for name, value in chosen.items() if value})
        return reverse("incidents:reports") + (f"?{asked}" if asked else "")

    severities = [("", "Any severity"), *((known, known) for known in Severity.values)]
    owners = [("", "Everybody's"), *((name, name) for name in _owners(actor, owner))]
    context = {
        "live": Live(reverse("incidents:reports"), "now"),
        "reports": found.cards,
        "waits": Later(lambda: waits_for(actor, now=utcnow(), only=REPORTS)),
        "state": state,
        "filtered": bool(state or severity or owner or after),
        "filters": [
            _filter("State", [(label, address(state=key), key == state) for key, label in STATES.items()]),
            _filter(
                "Severity", [(label, address(severity=key), key == severity) for key, label in severities]
            ),
            _filter("Owner", [(label, address(owner=key), key == owner) for key, label in owners]),
        ],
        "previous_url": address() if after else None,
        "next_url": address(after=found.after) if found.after else None,
    }
    return render_page(request, "incidents/reports.html", context)


def _owners(actor: Actor, chosen: str) -> list[str]:
    """Those who have one to write, the actor first; few enough to be buttons."""
    names = list_owners(actor)
    first = [actor.label] if actor.label in names else []
    rest = [name for name in names if name not in first][:6]
    return [*first, *rest, *([chosen] if chosen and chosen not in (*first, *rest) else [])]


def _filter(label: str, options: list[tuple[str, str, bool]]) -> dict[str, Any]:
    shown = [{"label": text, "url": url, "current": current} for text, url, current in options]
    return {"label": label, "options": shown}


@reading
def report(request: HttpRequest, actor: Actor, ref: str) -> HttpResponse:
    """The report of one incident as its writers see it."""
    incident = get_incident(actor, ref)
    context = {
        "live": Live(report_url(incident.ref), f"incident:{incident.ref}"),
        "report": view_report(actor, incident, now=utcnow()),
    }
    return render_page(request, "incidents/report.html", context)


@reading
def read(request: HttpRequest, actor: Actor, ref: str) -> HttpResponse:
    """The report as its readers see it."""
    incident = get_incident(actor, ref)
    here = reverse("incidents:report_read", args=[incident.ref])
    context = {
        "live": Live(here, f"incident:{incident.ref}"),
        "incident": incident,
        "report": report_of_incident(incident),
        "html": mark_safe(html_of(incident)),  # noqa: S308 - cleaned there
    }
    return render_page(request, "incidents/report_read.html", context)


@reading
def revision(request: HttpRequest, actor: Actor, ref: str, number: int) -> HttpResponse:
    """A revision as it was published."""
    incident = get_incident(actor, ref)
    published = get_revision(incident, number)
    context = {
        "incident": incident,
        "published": revision_of(incident, published),
        "html": mark_safe(as_html(published.markdown)),  # noqa: S308 - cleaned there
    }
    return render_page(request, "incidents/report_read.html", context)


@reading
def history(request: HttpRequest, actor: Actor, ref: str, section: str) -> HttpResponse:
    """How a section came about."""
    incident = get_incident(actor, ref)
    found = get_section(incident, section).section
    context = {
        "incident": incident,
        "section": found.label,
        "changes": section_history(incident, found),
        "live": Live(
            reverse("incidents:report_history", args=[incident.ref, section]), f"incident:{incident.ref}"
        ),
    }
    return render_page(request, "incidents/report_history.html", context)


@reading
def row_changes(request: HttpRequest, actor: Actor, ref: str, seq: int) -> HttpResponse:
    """How a row of the report's timeline came about."""
    incident = get_incident(actor, ref)
    here = reverse("incidents:report_row_history", args=[incident.ref, seq])
    context = {
        "incident": incident,
        "section": f"Event {seq} in the timeline",
        "changes": row_history(incident, seq),
        "live": Live(here, f"incident:{incident.ref}"),
    }
    return render_page(request, "incidents/report_history.html", context)


@reading
def timeline(request: HttpRequest, actor: Actor, ref: str) -> HttpResponse:
    """All events of the incident, to take some into the report and leave others out."""
    incident = get_incident(actor, ref)
    after = page_query(request).get("after", "")
    choices, next_after = list_choices(actor, incident, after=after)
    here = reverse("incidents:report_timeline", args=[incident.ref])
    context = {
        "live": Live(here, f"incident:{incident.ref}"),
        "incident": incident,
        "choices": choices,
        "previous_url": here if after else None,
        "next_url": f"{here}?after={next_after}" if next_after else None,
    }
    return render_page(request, "incidents/report_timeline.html", context)


class ReportCommand(IncidentCommand):
    """A command on the report of the incident that the address names."""

    def back_url(self) -> str:
        return report_url(self.incident.ref)


class EditSection(ReportCommand):
    form_class = SectionForm
    submit_label = "Save"
    section: SectionText

    def load(self, **kwargs: Any) -> None:
        super().load(**kwargs)
        self.section = get_section(self.incident, kwargs["section"])

    def form_arguments(self) -> dict[str, Any]:
        return {
            "section": self.section.section,
            "text": self.section.text,
            "by": self.section.changed_by,
            "asked": self.section.section in required_of(self.incident),
        }

    def run(self, data: dict[str, Any], now: dt.datetime) -> str:
        key = str(self.section.section)
        if "text" in data:  # the form was compared with this version, so it must still be that
            texts, seen = {key: data["text"]}, {key: self.section.version}
            commands.edit_report(
                incident_id=self.incident.pk, texts=texts, seen=seen, actor=self.actor, now=now
            )
        return f"{self.section.section.label} is saved."

    def extra_context(self) -> dict[str, Any]:
        return {"title": str(self.section.section.label)}


class EditRow(ReportCommand):
    form_class = RowForm
    title = "In the report's timeline"
    submit_label = "Save"
    line: ReportLine

    def load(self, **kwargs: Any) -> None:
        super().load(**kwargs)
        self.line = get_row(self.incident, kwargs["seq"])

    def form_arguments(self) -> dict[str, Any]:
        return {"line": self.line}

    def run(self, data: dict[str, Any], now: dt.datetime) -> str:
        said = row_of(self.line) | data
        commands.edit_row(
            incident_id=self.incident.pk,
            seq=self.line.seq,
            seen=self.line.version,
            actor=self.actor,
            now=now,
            **said,
        )
        return "It stands in the report." if said["included"] else "It is left out of the report."

    def extra_context(self) -> dict[str, Any]:
        when = f"{self.line.at:%Y-%m-%d %H:%M:%S} UTC"
        return {"intro": f"Event {self.line.seq}, {when}. The incident's own timeline stays as it is."}


class ReportDecision(ReportCommand):
    """Needs what the severity asks for to be written, and leads there."""

    template_name = "incidents/report_decision.html"

    def extra_context(self) -> dict[str, Any]:
        return {"missing": missing_of(self.actor, self.incident)}


class Submit(ReportDecision):
    title = "Hand in for review"

    def run(self, data: dict[str, Any], now: dt.datetime) -> str:
        commands.submit_report(incident_id=self.incident.pk, actor=self.actor, now=now)
        return "The report is handed in."

    def extra_context(self) -> dict[str, Any]:
        intro = "Another person reads it, and publishes it or gives it back."
        return super().extra_context() | {"intro": intro}


class Return(ReportCommand):
    form_class = forms.ReasonForm
    title = "Return to its writers"

    def run(self, data: dict[str, Any], now: dt.datetime) -> str:
        commands.return_report(incident_id=self.incident.pk, actor=self.actor, now=now, **data)
        return "The report is returned."


class Publish(ReportDecision):
    form_class = WholeForm
    title = "Publish"

    def form_arguments(self) -> dict[str, Any]:
        text = markdown_of(self.incident)
        said = "Somebody wrote in it since you opened this. Read it again; sent again, it is published."
        return {"now_is": hashlib.sha256(text.encode()).hexdigest()[:16], "said": said}

    def run(self, data: dict[str, Any], now: dt.datetime) -> str:
        commands.publish_report(incident_id=self.incident.pk, actor=self.actor, now=now)
        return "The report is published."

    def extra_context(self) -> dict[str, Any]:
        consequences = [
            "It is kept as it is now, for ever, with its SHA-256 on the timeline.",
            f"{self.incident.ref} may be closed.",
            "What is learned later becomes the next revision.",
        ]
        return super().extra_context() | {"consequences": consequences}


class Revise(ReportCommand):
    form_class = forms.ReasonForm
    title = "Revise"

    def run(self, data: dict[str, Any], now: dt.datetime) -> str:
        commands.revise_report(incident_id=self.incident.pk, actor=self.actor, now=now, **data)
        return "The next revision is begun."

    def extra_context(self) -> dict[str, Any]:
        return {"intro": "The published one stays as it is; the next revision begins with its texts."}


class Give(ReportCommand):
    form_class = GiveForm
    title = "Give to"
    submit_label = "Save"

    def form_arguments(self) -> dict[str, Any]:
        found = report_of_incident(self.incident)
        owner = found.owner.get_username() if found is not None and found.owner else ""
        return {"owner": owner, "owners": owner_choices(self.incident)}

    def run(self, data: dict[str, Any], now: dt.datetime) -> str:
        if "owner" not in data:  # left as it was
            return "The report stays whose it is."
        owner = data["owner"] or None
        commands.give_report(incident_id=self.incident.pk, owner=owner, actor=self.actor, now=now)
        return f"The report is {owner}'s to write." if owner else "The report is nobody's to write."
