"""A report as the page where it is written shows it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from django.urls import reverse
from django.utils.safestring import SafeString, mark_safe

from core.actors import Actor
from core.errors import NotFound
from core.models import Event
from incidents import policy
from incidents.documents.html import as_html
from incidents.models import (
    Incident,
    Report,
    ReportRow,
    ReportText,
    Review,
)
from incidents.rules.markdown import block, listed
from incidents.rules.report import RollbackPart
from incidents.rules.reports import CHOSEN_KINDS, LISTS, PROMPTS, PROPOSALS, Gap, entries, gaps
from incidents.selectors.action_items import FollowUp, follow_up_of
from incidents.selectors.actions import Action, why_not_allowed
from incidents.selectors.cards import incident_url
from incidents.selectors.report_history import Revision, revisions_of
from incidents.selectors.reports import (
    ReportLine,
    event_of,
    gaps_of,
    line_of,
    read_url,
    report_lines,
    report_of_incident,
    report_url,
    required_of,
    rollback_parts,
    why_no_report,
    why_not_publish,
    written_everywhere,
)
from incidents.selectors.retrospective import retrospective_of
from incidents.states import (
    TEMPLATE_SECTIONS,
    FollowUpPart,
    ReportSection,
    ReportState,
)

SHOWN_ROWS = 100  # of the timeline on the report's own page
SHOWN_EVENTS = 100  # of a page of events to choose from


@dataclass(frozen=True)
class SectionView:
    """One section: what it says as clean HTML, what belongs there, and who wrote it."""

    key: str
    label: str
    prompt: str
    html: SafeString
    filled: bool
    required: bool
    by_machine: bool
    proposed: bool
    changed_by: str
    changed_at: dt.datetime | None
    edit_url: str | None
    history_url: str | None


@dataclass(frozen=True)
class Missing:
    """A section that is still to be written, and where that is done, or read why it cannot be."""

    label: str
    url: str
    editable: bool


@dataclass(frozen=True)
class Chapter:
    """Sections under the heading that the policy's template gives them."""

    title: str
    sections: tuple[SectionView, ...]


@dataclass(frozen=True)
class ReportView:
    """The page of one report being written. `begun` is false while there is none; `why_none` says why where
    the incident is over.

    `no_prevention` is the section that says why there is no prevention measure; None where there is one.
    """

    ref: str
    title: str
    incident_url: str
    url: str
    read_url: str
    severity: str
    severity_name: str
    restricted: bool
    drill: bool
    begun: bool
    why_none: str
    state: str
    state_label: str
    revision: int
    owner: str | None
    due_at: dt.datetime | None
    drafted_at: dt.datetime | None
    overdue: bool
    submitted_at: dt.datetime | None
    submitted_by: str
    published_at: dt.datetime | None
    published_by: str
    filled: int
    total: int
    missing: tuple[Missing, ...]
    why_not: str
    actions: tuple[Action, ...]
    retrospective_url: str | None
    chapters: tuple[Chapter, ...]
    rows: tuple[RowView, ...]
    more_rows: int
    rows_url: str | None
    rollbacks: tuple[RollbackPart, ...]
    follow_up: FollowUp
    lacks_action_items: bool
    lacks_prevention: bool
    no_prevention: SectionView | None
    revisions: tuple[Revision, ...]


@dataclass(frozen=True)
class RowView:
    """A row of the timeline with where it is edited."""

    line: ReportLine
    edit_url: str | None
    history_url: str | None


@dataclass(frozen=True)
class SectionText:
    """What a section says now, at which version, and who wrote it."""

    section: ReportSection
    text: str
    version: int
    changed_by: str


@dataclass(frozen=True)
class EventChoice:
    """An event that stands in the report's timeline, or may."""

    seq: int
    at: dt.datetime
    kind: str
    summary: str
    actor: str
    included: bool
    edit_url: str | None


_CHAPTERS: tuple[tuple[str, tuple[ReportSection, ...]], ...] = (
    ("Incident Summary", (ReportSection.IMPACT,)),
    ("Root Cause Analysis", (ReportSection.PRIMARY_CAUSE, ReportSection.CONTRIBUTING_FACTORS)),
    ("Resolution", (ReportSection.ACTIONS_TAKEN,)),
    (
        "User Impact",
        (ReportSection.USERS_AFFECTED, ReportSection.IMPACT_DURATION, ReportSection.FUNCTIONALITY_AFFECTED),
    ),
    (
        "Business Impact",
        (ReportSection.REVENUE_IMPACT, ReportSection.SLA_BREACH, ReportSection.CUSTOMER_COMPLAINTS),
    ),
    ("Lessons Learned", (ReportSection.WENT_WELL, ReportSection.COULD_BE_IMPROVED)),
)


def view_report(actor: Actor, incident: Incident, *, now: dt.datetime) -> ReportView:
    """The page of a report (a constant number of queries)."""
    report = report_of_incident(incident)
    texts = {row.section: row for row in report.texts.all()} if report is not None else {}
    written = written_everywhere([report])[report.pk] if report is not None else set()
    required = required_of(incident)
    missing = gaps(written, required)
    why_not = _why_not_edit(actor, report)
    retrospective = retrospective_of(incident)
    lines = [line for line in report_lines(incident, report) if line.included] if report is not None else []

    def section(key: ReportSection) -> SectionView:
        return _section(incident, key, texts.get(key), key in required, not why_not)

    prevented = FollowUpPart.PREVENTION in written and ReportSection.NO_PREVENTION not in written
    return ReportView(
        ref=incident.ref,
        title=incident.title,
        incident_url=incident_url(incident.ref),
        url=report_url(incident.ref),
        read_url=read_url(incident.ref),
        severity=incident.severity,
        severity_name=policy.severity_level(incident.severity).name,
        restricted=incident.restricted,
        drill=incident.drill,
        begun=report is not None,
        why_none=why_no_report(incident) if report is None and not incident.is_open else "",
        state=report.state if report else "",
        state_label=str(ReportState(report.state).label) if report else "Not begun",
        revision=report.revision if report else 1,
        owner=report.owner.get_username() if report and report.owner else None,
        due_at=report.due_at if report else None,
        drafted_at=report.drafted_at if report else None,
        overdue=report is not None and report.is_overdue(now),
        submitted_at=report.submitted_at if report else None,
        submitted_by=report.submitted_by if report else "",
        published_at=report.published_at if report else None,
        published_by=report.published_by if report else "",
        filled=len(written.intersection(TEMPLATE_SECTIONS)),
        total=len(TEMPLATE_SECTIONS),
        missing=_missing(incident, missing, editable=not why_not),
        why_not=why_not,
        actions=_actions(actor, incident, report, missing=missing, retrospective=retrospective),
        retrospective_url=reverse("incidents:review", args=[retrospective.pk]) if retrospective else None,
        chapters=tuple(Chapter(title, tuple(map(section, sections))) for title, sections in _CHAPTERS),
        rows=tuple(_row(incident, line, not why_not) for line in lines[:SHOWN_ROWS]),
        more_rows=max(len(lines) - SHOWN_ROWS, 0),
        rows_url=reverse("incidents:report_timeline", args=[incident.ref]) if report is not None else None,
        rollbacks=rollback_parts(incident) if report is not None else (),
        follow_up=follow_up_of(actor, incident, now=now, back="report"),
        lacks_action_items=any(gap.section == FollowUpPart.ACTION_ITEMS for gap in missing),
        lacks_prevention=any(gap.section == FollowUpPart.PREVENTION for gap in missing),
        no_prevention=None if prevented else section(ReportSection.NO_PREVENTION),
        revisions=revisions_of(incident, report),
    )


def missing_of(actor: Actor, incident: Incident) -> tuple[Missing, ...]:
    """What must be written before the report is handed in or published (three queries)."""
    report = report_of_incident(incident)
    if report is None:
        return ()
    return _missing(incident, gaps_of(incident, report), editable=not _why_not_edit(actor, report))


def _missing(incident: Incident, missing: Sequence[Gap], *, editable: bool) -> tuple[Missing, ...]:
    def way(part: ReportSection | FollowUpPart) -> str:
        there = report_url(incident.ref)
        if isinstance(part, FollowUpPart):
            add = reverse("incidents:action_item_of", args=[incident.ref])
            return f"{add}?back=report" if editable else f"{there}#panel-follow_up"
        write = reverse("incidents:report_section", args=[incident.ref, part.value])
        return write if editable else f"{there}#section-{part.value}"

    return tuple(Missing(str(gap.section.label), way(gap.section), editable) for gap in missing)


def _why_not_edit(actor: Actor, report: Report | None) -> str:
    if why := why_not_allowed(actor, "respond"):
        return why
    if report is None:
        return "There is no report yet."
    return "It is published: revise it first." if report.state == ReportState.PUBLISHED else ""


def _section(
    incident: Incident, section: ReportSection, row: ReportText | None, required: bool, editable: bool
) -> SectionView:
    text = row.text if row is not None else ""
    where = {"ref": incident.ref, "section": section.value}
    return SectionView(
        key=section.value,
        label=str(section.label),
        prompt=PROMPTS[section],
        html=section_html(section, text),
        filled=bool(text.strip()),
        required=required,
        by_machine=row is not None and row.by_machine,
        proposed=row is not None and row.by_machine and section in PROPOSALS,
        changed_by=row.changed_by if row is not None else "",
        changed_at=row.changed_at if row is not None else None,
        edit_url=reverse("incidents:report_section", kwargs=where) if editable else None,
        history_url=reverse("incidents:report_history", kwargs=where) if row and row.pk else None,
    )


def section_html(section: ReportSection, text: str) -> SafeString:
    """What a section says as the report prints it: Markdown made clean HTML; empty for an empty one."""
    if not text.strip():
        return SafeString("")
    markdown = listed(entries(text)) if section in LISTS else block(text)
    return mark_safe(as_html(markdown))  # noqa: S308 - cleaned by documents.html


def _row_url(incident: Incident, seq: int, editable: bool) -> str | None:
    return reverse("incidents:report_row", args=[incident.ref, seq]) if editable else None


def _row(incident: Incident, line: ReportLine, editable: bool) -> RowView:
    there = [incident.ref, line.seq]
    history = reverse("incidents:report_row_history", args=there) if line.version else None
    return RowView(line, _row_url(incident, line.seq, editable), history)


def _actions(
    actor: Actor,
    incident: Incident,
    report: Report | None,
    *,
    missing: Sequence[Gap],
    retrospective: Review | None,
) -> tuple[Action, ...]:
    """The buttons that its state has; one that cannot be used says why."""
    if report is None:
        return ()
    level = why_not_allowed(actor, "respond")
    names = ", ".join(str(gap.section.label) for gap in missing)
    lacks = f"Still to be written: {names}." if missing else ""

    def action(key: str, label: str, icon: str, why_not: str = "", *, primary: bool = False) -> Action:
        url = reverse(f"incidents:report_{key}", args=[incident.ref])
        why = level or why_not
        return Action(f"report-{key}", label, icon, url, enabled=not why, why_not=why, primary=primary)

    found: list[Action] = []
    why_not = level or why_not_publish(incident, report, actor, missing=missing)
    publish = action("publish", "Publish…", "check-badge", why_not, primary=True)
    if report.state == ReportState.DRAFT:
        found.append(action("submit", "Hand in…", "paper-airplane", lacks, primary=not publish.enabled))
        found.append(publish)
    elif report.state == ReportState.IN_REVIEW:
        found.append(publish)
        found.append(action("return", "Return…", "arrow-uturn-left"))
    else:
        found.append(action("revise", "Revise…", "pencil-square"))
    found.append(action("give", "Give to…", "user-plus"))
    if retrospective is None and not incident.is_open and not incident.drill:
        url = reverse("incidents:retrospective", args=[incident.ref])
        found.append(
            Action("retrospective", "Retrospective…", "users", url, enabled=not level, why_not=level)
        )
    return tuple(found)


def get_section(incident: Incident, key: str) -> SectionText:
    """Raises NotFound for a name that is no section's."""
    if key not in ReportSection.values:
        raise NotFound("A report has no such section.")
    row = ReportText.objects.filter(report__incident=incident, section=key).first()
    if row is None:
        return SectionText(ReportSection(key), "", 0, "")
    return SectionText(ReportSection(key), row.text, row.version, row.changed_by)


def get_row(incident: Incident, seq: int) -> ReportLine:
    """How an event stands in the report's timeline; raises NotFound."""
    event = event_of(incident, seq)
    wish = ReportRow.objects.filter(report__incident=incident, event=event).first()
    return line_of(event, wish)


def list_choices(actor: Actor, incident: Incident, *, after: str = "") -> tuple[tuple[EventChoice, ...], str]:
    """A page of the incident's events, the oldest first, with which of them stand in the report (two queries
    more than its report), and after which one the next page begins.
    """
    report = report_of_incident(incident)
    editable = not _why_not_edit(actor, report)
    events = Event.objects.filter(stream_id=incident.stream_id).defer("canonical", "data").order_by("seq")
    if after.isdecimal() and len(after) < 16:
        events = events.filter(seq__gt=int(after))
    found = list(events[: SHOWN_EVENTS + 1])
    shown = found[:SHOWN_EVENTS]
    wished = dict(
        ReportRow.objects.filter(report__incident=incident, event__in=[event.pk for event in shown])
        .order_by()
        .values_list("event_id", "included")
    )
    choices = tuple(
        EventChoice(
            seq=event.seq,
            at=event.occurred_at,
            kind=event.kind,
            summary=event.summary,
            actor=event.actor,
            included=wished.get(event.pk, event.kind in CHOSEN_KINDS),
            edit_url=_row_url(incident, event.seq, editable),
        )
        for event in shown
    )
    return choices, str(shown[-1].seq) if len(found) > SHOWN_EVENTS else ""
