"""How a report came about: each section and row as it was written, and what was published."""

from __future__ import annotations

import datetime as dt
import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from django.urls import reverse

from core.errors import NotFound
from incidents.models import (
    Incident,
    PublishedReport,
    Report,
    ReportChange,
    ReportRowChange,
)
from incidents.selectors.reports import (
    event_of,
    line_of,
)
from incidents.states import (
    ReportSection,
)

SHOWN_CHANGES = 50  # of a section's history


@dataclass(frozen=True)
class Revision:
    """What was published once."""

    number: int
    url: str
    markdown_url: str
    pdf_url: str
    published_at: dt.datetime
    published_by: str
    sha256: str


@dataclass(frozen=True)
class DiffLine:
    """A line of a difference: `mark` is "+", "-" or empty."""

    mark: str
    text: str


@dataclass(frozen=True)
class ChangeView:
    """A section as somebody wrote it, and what that changed."""

    version: int
    revision: int
    changed_at: dt.datetime
    changed_by: str
    lines: tuple[DiffLine, ...]


def section_history(incident: Incident, section: ReportSection) -> tuple[ChangeView, ...]:
    """How a section came about, the newest first, each with what it changed (one query); of the last
    SHOWN_CHANGES.
    """
    rows = ReportChange.objects.filter(report__incident=incident, section=section).order_by("-version")
    return _changes([(row, row.text) for row in rows[: SHOWN_CHANGES + 1]])


def row_history(incident: Incident, seq: int) -> tuple[ChangeView, ...]:
    """How a row of the timeline came to say what it says, as `section_history` (two queries).

    The first one shows what it changed of how the event stood there by itself.
    """
    event = event_of(incident, seq)
    rows = ReportRowChange.objects.filter(report__incident=incident, event=event).order_by("-version")
    begun = line_of(event, None)

    first = _row_text(begun.included, begun.event, begun.action, begun.owner)
    said = [
        (row, _row_text(row.included, row.event_text, row.action_text, row.owner or event.actor))
        for row in rows[: SHOWN_CHANGES + 1]
    ]
    return _changes(said, first=first)


def _row_text(included: bool, event: str, action: str, owner: str) -> str:
    cells = (("Event", event), ("Action taken", action), ("Owner", owner))
    return "\n".join(f"{name}: {text}" for name, text in cells if text) if included else "Left out"


def _changes(
    newest_first: Sequence[tuple[ReportChange | ReportRowChange, str]], *, first: str = ""
) -> tuple[ChangeView, ...]:
    views = []
    for place, (row, text) in enumerate(newest_first[:SHOWN_CHANGES]):
        before = newest_first[place + 1][1] if place + 1 < len(newest_first) else first
        lines = difference(before, text)
        views.append(ChangeView(row.version, row.revision, row.changed_at, row.changed_by, lines))
    return tuple(views)


def difference(before: str, after: str) -> tuple[DiffLine, ...]:
    """The lines of two texts: taken away, put in, and two around each for orientation."""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=2)
    shown: list[DiffLine] = []
    for line in list(lines)[2:]:  # the first two name files
        if line.startswith("@@"):
            if shown:
                shown.append(DiffLine("", "…"))
            continue
        shown.append(DiffLine(line[0].strip(), line[1:]))
    return tuple(shown)


def get_revision(incident: Incident, number: int) -> PublishedReport:
    """What was published as that revision; raises NotFound."""
    row = PublishedReport.objects.filter(report__incident=incident, revision=number).first()
    if row is None:
        raise NotFound("No such revision was published.")
    return row


def revisions_of(incident: Incident, report: Report | None) -> tuple[Revision, ...]:
    if report is None:
        return ()
    rows = report.published.defer("markdown").order_by("-revision")
    return tuple(revision_of(incident, row) for row in rows)


def revision_of(incident: Incident, row: PublishedReport) -> Revision:
    """A published revision with where it is read and saved."""
    there = [incident.ref, row.revision]
    return Revision(
        number=row.revision,
        url=reverse("incidents:report_revision", args=there),
        markdown_url=reverse("incidents:report_revision_markdown", args=there),
        pdf_url=reverse("incidents:report_revision_pdf", args=there),
        published_at=row.published_at,
        published_by=row.published_by,
        sha256=row.sha256,
    )
