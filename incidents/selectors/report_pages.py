"""Reports as their pages show them: all of them, one being written, and how a section came about."""

from __future__ import annotations

import datetime as dt
import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.db.models import Q
from django.urls import reverse
from django.utils.safestring import SafeString, mark_safe

from core.actors import Actor
from core.errors import NotFound
from core.models import Event
from incidents import policy
from incidents.documents.html import as_html
from incidents.models import (
    Incident,
    PublishedReport,
    Report,
    ReportChange,
    ReportRow,
    ReportRowChange,
    ReportText,
    Review,
)
from incidents.models.reports import ReportQuerySet
from incidents.rules.markdown import block, listed
from incidents.rules.report import RollbackPart
from incidents.rules.reports import CHOSEN_KINDS, LISTS, PROMPTS, PROPOSALS, Gap, entries, gaps
from incidents.selectors.action_items import FollowUp, follow_up_of
from incidents.selectors.actions import Action, why_not_allowed
from incidents.selectors.cards import incident_url
from incidents.selectors.reports import (
    ReportLine,
    gaps_of,
    line_of,
    report_lines,
    report_url,
    required_of,
    rollback_parts,
    why_no_report,
    why_not_publish,
    written_everywhere,
)
from incidents.selectors.retrospective import retrospective_of
from incidents.states import (
    OPEN_STATUSES,
    TEMPLATE_SECTIONS,
    FollowUpPart,
    ReportSection,
    ReportState,
    Severity,
)

LENGTH = 50  # of a page of reports
SHOWN_ROWS = 100  # of the timeline on the report's own page
SHOWN_EVENTS = 100  # of a page of events to choose from
SHOWN_CHANGES = 50  # of a section's history
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


def read_url(ref: str) -> str:
    """Where its readers read it."""
    return reverse("incidents:report_read", args=[ref])


def report_of_incident(incident: Incident) -> Report | None:
    """Its report, which begins with the resolution."""
    return Report.objects.filter(incident=incident).select_related("owner").first()


def get_report(incident: Incident) -> Report:
    """Raises NotFound with the reason why there is none."""
    report = report_of_incident(incident)
    if report is None:
        raise NotFound(why_no_report(incident))
    return report


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
        revisions=_revisions(incident, report),
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


def _revisions(incident: Incident, report: Report | None) -> tuple[Revision, ...]:
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
    event = _event(incident, seq)
    wish = ReportRow.objects.filter(report__incident=incident, event=event).first()
    return line_of(event, wish)


def _event(incident: Incident, seq: int) -> Event:
    event = Event.objects.filter(stream_id=incident.stream_id, seq=seq).first()
    if event is None:
        raise NotFound("No such event on the timeline.")
    return event


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
    event = _event(incident, seq)
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


def report_line(incident: Incident, *, now: dt.datetime) -> ReportCard | None:
    """Its report in one line, for the incident's own page (three queries); None while there is none."""
    if incident.status in OPEN_STATUSES or incident.drill:
        return None
    report = report_of_incident(incident)
    if report is None:
        return None
    report.incident = incident
    return _card(None, report, written_everywhere([report])[report.pk], now)
