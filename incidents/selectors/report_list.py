"""Reports in lists: all that an actor may see, and one in a line."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

from django.db.models import Q

from core.actors import Actor
from incidents import policy
from incidents.models import (
    Incident,
    Report,
)
from incidents.models.reports import ReportQuerySet
from incidents.selectors.reports import (
    read_url,
    report_of_incident,
    report_url,
    required_of,
    written_everywhere,
)
from incidents.states import (
    OPEN_STATUSES,
    TEMPLATE_SECTIONS,
    ReportState,
    Severity,
)

LENGTH = 50  # of a page of reports
STATES: Mapping[str, str] = {
    "": "To be published",
    "in_review": "In review",
    "published": "Published",
    "skipped": "Closed without one",
}


@dataclass(frozen=True)
class ReportCard:
    """A report in the list; `filled` of `total` sections say something, `lacks` required parts do not."""

    ref: str
    url: str
    read_url: str
    title: str
    severity: str
    severity_name: str
    restricted: bool
    state: str
    state_label: str
    revision: int
    owner: str | None
    mine: bool
    drafted_at: dt.datetime
    due_at: dt.datetime
    overdue: bool
    published_at: dt.datetime | None
    published_by: str
    filled: int
    total: int
    lacks: int


@dataclass(frozen=True)
class ReportList:
    """A page of reports; `after` names the last one where there are more."""

    cards: tuple[ReportCard, ...]
    after: str


def reports_of(actor: Actor) -> ReportQuerySet:
    """The reports that the actor may see, of incidents that are over; drills have a scorecard instead."""
    visible = Incident.objects.visible_to(actor).exclude(status__in=OPEN_STATUSES)
    return Report.objects.filter(incident__in=visible, incident__drill=False).select_related(
        "incident", "owner"
    )


def list_reports(
    actor: Actor, *, now: dt.datetime, state: str = "", severity: str = "", owner: str = "", after: str = ""
) -> ReportList:
    """A page of reports (three queries): what is to be published by when it is due, else the newest first.

    `state` is one of STATES, `owner` an account's name; what is no value of theirs narrows nothing.
    """
    rows = _of_state(reports_of(actor), state)
    if severity in Severity.values:
        rows = rows.filter(incident__severity=severity)
    if owner:
        rows = rows.filter(owner__username=owner)
    due_first = state in ("", "in_review")
    rows = rows.order_by("due_at", "pk") if due_first else rows.order_by("-pk")
    if after.isdecimal() and len(after) < 16:
        last = Report.objects.filter(pk=int(after)).first()
        if last is not None:
            later = Q(due_at__gt=last.due_at) | Q(due_at=last.due_at, pk__gt=last.pk)
            rows = rows.filter(later if due_first else Q(pk__lt=last.pk))
    found = list(rows[: LENGTH + 1])
    shown, more = found[:LENGTH], len(found) > LENGTH
    written = written_everywhere(shown)
    cards = tuple(_card(actor, row, written[row.pk], now) for row in shown)
    return ReportList(cards=cards, after=str(shown[-1].pk) if more else "")


def count_due(actor: Actor) -> int:
    """How many reports are still to be published."""
    return _of_state(reports_of(actor), "").count()


def list_owners(actor: Actor) -> list[str]:
    """Whose reports are still to be published."""
    names = _of_state(reports_of(actor), "").filter(owner__isnull=False)
    return list(names.order_by("owner__username").values_list("owner__username", flat=True).distinct())


def _of_state(rows: ReportQuerySet, state: str) -> ReportQuerySet:
    match state:
        case "published":
            return rows.filter(state=ReportState.PUBLISHED)
        case "skipped":
            return rows.skipped()
        case "in_review":
            return rows.awaited().filter(state=ReportState.IN_REVIEW)
    return rows.awaited()


def report_line(incident: Incident, *, now: dt.datetime) -> ReportCard | None:
    """Its report in one line, for the incident's own page (three queries); None while there is none."""
    if incident.status in OPEN_STATUSES or incident.drill:
        return None
    report = report_of_incident(incident)
    if report is None:
        return None
    report.incident = incident
    return _card(None, report, written_everywhere([report])[report.pk], now)


def _card(actor: Actor | None, report: Report, written: set[str], now: dt.datetime) -> ReportCard:
    incident = report.incident
    return ReportCard(
        ref=incident.ref,
        url=report_url(incident.ref),
        read_url=read_url(incident.ref),
        title=incident.title,
        severity=incident.severity,
        severity_name=policy.severity_level(incident.severity).name,
        restricted=incident.restricted,
        state=report.state,
        state_label=str(ReportState(report.state).label),
        revision=report.revision,
        owner=report.owner.get_username() if report.owner else None,
        mine=actor is not None and report.owner_id is not None and report.owner_id == actor.user_id,
        drafted_at=report.drafted_at,
        due_at=report.due_at,
        overdue=report.is_overdue(now),
        published_at=report.published_at,
        published_by=report.published_by,
        filled=len(written.intersection(TEMPLATE_SECTIONS)),
        total=len(TEMPLATE_SECTIONS),
        lacks=len(set(required_of(incident)) - written),
    )
