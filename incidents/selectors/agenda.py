"""What this app gives to the agenda of a review: functions of a period, each a section (REVIEW_SECTIONS).

Everything is counted, restricted incidents too; each line names its incident, so that a reader who may not
see it is shown its code name (`incidents.selectors.reviews.agenda_for`). Drills are left out.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from django.db.models import Count, Min, QuerySet
from django.urls import reverse

from incidents import policy
from incidents.facts import AgendaLine, AgendaSection, ReviewPeriod
from incidents.models import ActionItem, ChecklistItem, Incident, Report, Task
from incidents.selectors.documents import STATES as DOCUMENT_STATES
from incidents.selectors.documents import document_state, list_documents
from incidents.selectors.training import training_matrix
from incidents.states import IncidentStatus, TaskState, audience_label
from incidents.values import duration_text

MOST_LINES = 200  # of a section: more are behind the figures


def incidents_of(period: ReviewPeriod) -> AgendaSection:
    """The incidents declared in the period, the gravest first (two queries)."""
    rows = _declared(period)
    lines = [
        AgendaLine(
            text=f"{row.ref} {row.title}",
            detail=f"{row.severity}, {_how_it_went(row)}",
            url=_url(row),
            incident=row.ref,
            tone="critical" if row.is_open else "",
        )
        for row in rows.order_by("severity", "declared_at", "pk")[:MOST_LINES]
    ]
    return AgendaSection("Incidents of the period", tuple(lines), count=rows.count())


def overdue_tasks(period: ReviewPeriod) -> AgendaSection:
    """Open tasks past their due time, the oldest first (two queries)."""
    rows = Task.objects.filter(state=TaskState.OPEN, due_at__lte=period.opened_at, incident__drill=False)
    lines = [
        AgendaLine(
            text=f"{row.title} ({row.incident.ref})",
            detail=f"{row.owner or 'nobody'}, {_late(row.due_at, period)}",
            url=_url(row.incident),
            incident=row.incident.ref,
            tone="warning",
        )
        for row in rows.select_related("incident", "owner").order_by("due_at", "pk")[:MOST_LINES]
    ]
    return AgendaSection("Overdue tasks", tuple(lines), count=rows.count())


def overdue_action_items(period: ReviewPeriod) -> AgendaSection:
    """Action items whose day has ended, the oldest first (two queries)."""
    rows = ActionItem.objects.overdue(period.opened_at).exclude(incident__drill=True)
    lines = [
        AgendaLine(
            text=row.title + (f" ({row.incident.ref})" if row.incident else ""),
            detail=f"{row.owner or 'nobody'}, was due {row.due_on:%Y-%m-%d}",
            url=reverse("incidents:action_item", args=[row.pk]),
            incident=row.incident.ref if row.incident else "",
            tone="warning",
        )
        for row in rows.select_related("incident", "owner").order_by("due_on", "pk")[:MOST_LINES]
    ]
    return AgendaSection("Overdue action items", tuple(lines), count=rows.count())


def undone_checklists(period: ReviewPeriod) -> AgendaSection:
    """Checklists of which something was left undone when its window ended in the period (one query)."""
    rows = list(
        ChecklistItem.objects.filter(
            ticked_at__isnull=True,
            incident__drill=False,
            due_at__gte=period.begins_at,
            due_at__lt=period.ends_at,
        )
        .values("incident__ref", "checklist")
        .annotate(undone=Count("pk"), first=Min("due_at"))
        .order_by("first", "incident__ref", "checklist")
    )
    names = policy.checklists()
    lines = [
        AgendaLine(
            text=f"{names[row['checklist']].name if row['checklist'] in names else row['checklist']}"
            f" ({row['incident__ref']})",
            detail=f"{row['undone']} left undone",
            url=reverse("incidents:incident", args=[row["incident__ref"]]),
            incident=row["incident__ref"],
            tone="warning",
        )
        for row in rows[:MOST_LINES]
    ]
    return AgendaSection("Checklists left undone", tuple(lines), count=len(rows))


def unpublished_reports(period: ReviewPeriod) -> AgendaSection:
    """Reports that somebody waits for, the longest due first (two queries)."""
    rows = Report.objects.awaited()
    lines = [
        AgendaLine(
            text=f"{row.incident.ref} {row.incident.title}",
            detail=_late(row.due_at, period),
            url=reverse("incidents:report", args=[row.incident.ref]),
            incident=row.incident.ref,
            tone="warning" if row.due_at <= period.opened_at else "",
        )
        for row in rows.select_related("incident").order_by("due_at", "pk")[:MOST_LINES]
    ]
    return AgendaSection("Reports not published", tuple(lines), count=rows.count())


def lapsed_training(period: ReviewPeriod) -> AgendaSection:
    """By course: whose training has lapsed, and who never did it (four queries)."""
    matrix = training_matrix(now=period.opened_at)
    lines = []
    for number, (_key, course) in enumerate(matrix.courses):
        for state, said in (("lapsed", "lapsed"), ("never", "never done")):
            names = [row.name for row in matrix.rows if row.cells[number].state == state]
            if names:
                lines.append(
                    AgendaLine(
                        text=f"{course.name}: {said} by {len(names)}",
                        detail=_some(names),
                        url=reverse("incidents:training"),
                        tone="warning" if state == "lapsed" else "",
                    )
                )
    return AgendaSection("Training lapsed", tuple(lines), count=len(lines))


def due_documents(period: ReviewPeriod) -> AgendaSection:
    """Documents whose review is overdue, which say something else since, or which nobody ever looked over
    (one query).
    """
    found = [
        (row, document_state(row, period.opened_at)) for row in list_documents().order_by("due_at", "pk")
    ]
    lines = [
        AgendaLine(
            text=row.name,
            detail=f"{DOCUMENT_STATES[state].lower()}, {audience_label(row.owner)}",
            url=reverse("incidents:documents"),
            tone="" if state == "never" else "warning",
        )
        for row, state in found
        if state != "current"
    ]
    return AgendaSection("Documents to look over", tuple(lines[:MOST_LINES]), count=len(lines))


def _declared(period: ReviewPeriod) -> QuerySet[Incident]:
    return Incident.objects.filter(
        drill=False, declared_at__gte=period.begins_at, declared_at__lt=period.ends_at
    )


def _how_it_went(row: Incident) -> str:
    if row.resolved_at is None:
        return str(IncidentStatus(row.status).label).lower()
    return f"resolved after {duration_text((row.resolved_at - row.declared_at).total_seconds())}"


def _late(due_at: dt.datetime | None, period: ReviewPeriod) -> str:
    if due_at is None:
        return "no due time"
    late = (period.opened_at - due_at).total_seconds()
    return f"overdue for {duration_text(late)}" if late >= 0 else f"due in {duration_text(-late)}"


def _some(names: Sequence[str], most: int = 12) -> str:
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


def _url(row: Incident) -> str:
    return reverse("incidents:incident", args=[row.ref])
