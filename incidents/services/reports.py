"""Commands on the report of an incident: drafted by the resolution, written, reviewed, published, revised."""

from __future__ import annotations

import datetime as dt
import hashlib
from typing import Any

from django.db import transaction
from django.db.models import F

from core import events, live
from core.access import require
from core.actors import SYSTEM, Actor, ActorKind, actor_for_user
from core.errors import Conflict, Invalid, NotAllowed, NotFound
from core.models import Event, User
from incidents import policy
from incidents.models import (
    Incident,
    PublishedReport,
    Report,
    ReportChange,
    ReportRow,
    ReportRowChange,
    ReportText,
    Responder,
)
from incidents.rules.follow_up import OVERDUE
from incidents.rules.markdown import report_markdown
from incidents.selectors.addressees import addressed_to, who_may_publish
from incidents.selectors.reports import (
    drafted_texts,
    due_of,
    gaps_of,
    report_facts,
    report_url,
    texts_of,
    why_no_report,
    why_not_publish,
)
from incidents.services.incidents import lock_incident
from incidents.services.reminders import note_as_said, remind
from incidents.states import OPEN_STATUSES, IncidentStatus, ReportSection, ReportState, Role, Severity
from incidents.timeline import record_on_incident

TEXT_LENGTH = 20_000  # of a section: a report is read
ROW_LENGTH = 500  # of a cell of the timeline


class ReportChanged(Conflict):
    """Somebody wrote the same section since; `theirs` is what it says now."""

    code = "report_changed"

    def __init__(self, message: str, *, section: str, theirs: str, version: int) -> None:
        super().__init__(message)
        self.theirs, self.version = theirs, version
        self.more = {"section": section, "theirs": theirs, "version": version}


class RowChanged(Conflict):
    """Somebody changed the same row of the timeline since."""

    code = "report_row_changed"

    def __init__(self, message: str, *, version: int) -> None:
        super().__init__(message)
        self.more = {"version": version}


class NotReady(Conflict):
    """The report may not be published now; the message says why."""

    code = "report_not_ready"


@transaction.atomic
def draft_report(*, event: Event, now: dt.datetime) -> Report | None:
    """The incident was resolved: its report is begun, or brought up to date where nobody touched it.

    It is no event of its own, but open pages show it.
    """
    incident = Incident.objects.select_for_update(no_key=True).filter(stream_id=event.stream_id).first()
    if incident is None or incident.resolved_at is None or incident.drill:  # a drill has its scorecard
        return None
    report, made = _begin(incident, now)
    if made:
        _record_drafted(incident, report, now)
    else:
        _end_anew(incident, report, now)
    if _write_drafts(report, incident, now) and not made:
        _save(report)
    live.poke(f"incident:{incident.ref}", "now")
    return report


def draft_missing_reports(*, now: dt.datetime) -> int:
    """Begin the reports of incidents that were resolved before there were reports; returns how many."""
    lacking = Incident.objects.filter(status=IncidentStatus.RESOLVED, drill=False, report__isnull=True)
    begun = 0
    for pk in lacking.order_by("pk").values_list("pk", flat=True)[:100]:
        begun += _draft_missing(pk, now)
    return begun


@transaction.atomic
def _draft_missing(incident_id: int, now: dt.datetime) -> bool:
    incident = Incident.objects.select_for_update(no_key=True).get(pk=incident_id)
    if incident.status != IncidentStatus.RESOLVED:
        return False
    report, made = _begin(incident, now)
    if made:
        _record_drafted(incident, report, now)
        _write_drafts(report, incident, now)
    return made


@transaction.atomic
def edit_report(
    *,
    incident_id: int,
    texts: dict[str, str],
    actor: Actor,
    now: dt.datetime,
    seen: dict[str, int] | None = None,
) -> Report:
    """Write sections. `seen` are the versions that the writer had before them, 0 for an empty section.

    Raises ReportChanged when one was written since, NotReady on a report that is published. A text that is
    the same is no change.
    """
    incident, report = _lock(incident_id, actor)
    _must_be_open(report)
    for section, text in texts.items():
        _write(incident, report, ReportSection(section), text, (seen or {}).get(section), actor, now)
    return report


def _write(
    incident: Incident,
    report: Report,
    section: ReportSection,
    text: str,
    seen: int | None,
    actor: Actor,
    now: dt.datetime,
) -> None:
    if len(text) > TEXT_LENGTH:
        raise Invalid({section: f"At most {TEXT_LENGTH} characters."})
    text = text.strip()
    row = report.texts.filter(section=section).first()
    version = row.version if row else 0
    if text == (row.text if row else ""):
        return
    if seen is not None and seen != version:
        by = row.changed_by if row else "somebody"
        raise ReportChanged(
            f"{section.label} was written by {by} meanwhile.",
            section=section,
            theirs=row.text if row else "",
            version=version,
        )
    if row is None:
        row = ReportText(report=report, section=section, version=0)
    _store(row, report, text, actor, now)
    said = f"Report: {section.label} written{_back_to_draft(report)}"
    _record(incident, report, "report.edited", said, actor, now, section=section)


def _back_to_draft(report: Report) -> str:
    """Count the change. What was handed in is not what stands there any more: nobody publishes it unread."""
    handed_in = report.state == ReportState.IN_REVIEW
    _save(report, **({"state": ReportState.DRAFT} if handed_in else {}))
    return ", it is a draft again" if handed_in else ""


def _store(row: ReportText, report: Report, text: str, actor: Actor, now: dt.datetime) -> None:
    row.text, row.version = text, row.version + 1
    row.changed_at, row.changed_by, row.by_machine = now, actor.label[:200], actor.is_machine
    row.save()
    ReportChange.objects.create(
        report=report,
        section=row.section,
        version=row.version,
        revision=report.revision,
        text=text,
        changed_at=now,
        changed_by=row.changed_by,
        changed_by_account=actor.user_id,
    )


@transaction.atomic
def edit_row(
    *,
    incident_id: int,
    seq: int,
    included: bool,
    actor: Actor,
    now: dt.datetime,
    event_text: str = "",
    action_text: str = "",
    owner: str = "",
    seen: int | None = None,
) -> ReportRow:
    """Leave an event out of the report's timeline, take it in, or say it in other words.

    `seen` is the version of the row that the writer had before them, 0 where nobody had touched it. Raises
    RowChanged where somebody has since, NotFound for an event of another timeline.
    """
    incident, report = _lock(incident_id, actor)
    _must_be_open(report)
    event = Event.objects.filter(stream_id=incident.stream_id, seq=seq).first()
    if event is None:
        raise NotFound("No such event on the timeline.")
    if included and not (event_text.strip() or action_text.strip()):
        raise Invalid({"event_text": "Say what happened, or what was done."})
    row = ReportRow.objects.filter(report=report, event=event).first()
    row = row or ReportRow(report=report, event=event, version=0)
    if seen is not None and seen != row.version:
        raise RowChanged("Somebody changed this row meanwhile.", version=row.version)
    cells = {
        "included": included,
        "event_text": event_text.strip()[:ROW_LENGTH],
        "action_text": action_text.strip()[:ROW_LENGTH],
        "owner": owner.strip()[:200],
    }
    if row.version and all(getattr(row, name) == value for name, value in cells.items()):
        return row
    _store_row(row, cells, actor, now)
    said = f"Report: event {seq} {'stands in' if included else 'is left out of'} the timeline"
    said += _back_to_draft(report)
    _record(incident, report, "report.row_edited", said, actor, now, seq=seq, included=included)
    return row


def _store_row(row: ReportRow, cells: dict[str, Any], actor: Actor, now: dt.datetime) -> None:
    for name, value in cells.items():
        setattr(row, name, value)
    row.version += 1
    row.save()
    ReportRowChange.objects.create(
        report=row.report,
        event=row.event,
        version=row.version,
        revision=row.report.revision,
        changed_at=now,
        changed_by=actor.label[:200],
        changed_by_account=actor.user_id,
        **cells,
    )


@transaction.atomic
def give_report(*, incident_id: int, owner: str | None, actor: Actor, now: dt.datetime) -> Report:
    """Say who sees to it that the report is written; they are reminded.

    Raises Invalid for an unknown account, and for one that may not see the incident.
    """
    incident, report = _lock(incident_id, actor)
    user = User.objects.filter(username__iexact=owner, is_active=True).first() if owner else None
    if owner and user is None:
        raise Invalid({"owner": "No such account."})
    if user and not Incident.objects.visible_to(actor_for_user(user)).filter(pk=incident.pk).exists():
        raise Invalid({"owner": f"{user} may not see this incident: bring them onto it first."})
    if user == report.owner:
        return report
    _save(report, owner=user, reminded_at=None, overdue_at=None)
    said = f"Report is {user}'s to write" if user else "Report is nobody's to write"
    name, to = (user.get_username(), addressed_to([user], incident)) if user else (None, [])
    _record(incident, report, "report.given", said, actor, now, owner=name, to=to)
    return report


@transaction.atomic
def submit_report(*, incident_id: int, actor: Actor, now: dt.datetime) -> Report:
    """Hand it in for review; what the severity asks for must be written."""
    incident, report = _lock(incident_id, actor)
    if report.state != ReportState.DRAFT:
        raise NotReady(f"The report is {_state(report)}.", state=report.state)
    if missing := gaps_of(incident, report):
        names = ", ".join(str(gap.section.label) for gap in missing)
        raise NotReady(f"Still to be written: {names}.", state=report.state)
    _save(
        report,
        state=ReportState.IN_REVIEW,
        submitted_at=now,
        submitted_by=actor.label[:200],
        submitted_by_user_id=actor.user_id,
    )
    said, to = "Report handed in for review", who_may_publish(incident, report)
    _record(incident, report, "report.submitted", said, actor, now, to=to)
    return report


@transaction.atomic
def return_report(*, incident_id: int, reason: str, actor: Actor, now: dt.datetime) -> Report:
    """It needs another round: back to its writers, with what is to be changed."""
    incident, report = _lock(incident_id, actor)
    if report.state != ReportState.IN_REVIEW:
        raise NotReady(f"The report is {_state(report)}.", state=report.state)
    if not reason.strip():
        raise Invalid({"reason": "Say what is to be changed."})
    _save(report, state=ReportState.DRAFT)
    to = addressed_to({report.owner, report.submitted_by_user} - {None}, incident)
    said = f"Report returned: {reason}"
    _record(incident, report, "report.returned", said, actor, now, reason=reason, to=to)
    return report


@transaction.atomic
def publish_report(*, incident_id: int, actor: Actor, now: dt.datetime) -> Report:
    """It says what there is to say: kept as it is, for ever. Raises NotReady with the reason."""
    incident, report = _lock(incident_id, actor)
    if incident.status in OPEN_STATUSES:
        raise NotReady(f"{incident.ref} is open: its report ends with its resolution.", state=report.state)
    if why := why_not_publish(incident, report, actor):
        raise NotReady(why, state=report.state)
    _save(report, state=ReportState.PUBLISHED, published_at=now, published_by=actor.label[:200])
    text = report_markdown(report_facts(incident))
    digest = hashlib.sha256(text.encode()).hexdigest()
    PublishedReport.objects.create(
        report=report,
        revision=report.revision,
        markdown=text,
        sha256=digest,
        published_at=now,
        published_by=report.published_by,
        title=incident.title,
        severity=incident.severity,
        severity_name=policy.severity_level(incident.severity).name[:200],
    )
    said = f"Report published, revision {report.revision}"
    more = {"revision": report.revision, "sha256": digest, "lessons": _tells_lessons(report)}
    _record(incident, report, "report.published", said, actor, now, **more)
    return report


@transaction.atomic
def revise_report(*, incident_id: int, reason: str, actor: Actor, now: dt.datetime) -> Report:
    """Open a published report again: the next revision begins, the published one stays as it is."""
    incident, report = _lock(incident_id, actor)
    if report.state != ReportState.PUBLISHED:
        raise NotReady(
            f"The report is {_state(report)}: only a published one is revised.", state=report.state
        )
    if not reason.strip():
        raise Invalid({"reason": "Say why it is opened again."})
    due_at = now + dt.timedelta(seconds=policy.reports().due[Severity(incident.severity)])
    _revise(incident, report, reason, due_at, actor, now)
    return report


def _revise(
    incident: Incident, report: Report, reason: str, due_at: dt.datetime, actor: Actor, now: dt.datetime
) -> None:
    again = {"state": ReportState.DRAFT, "revision": report.revision + 1}
    _save(report, **again, due_at=due_at, reminded_at=None, overdue_at=None)
    _record(incident, report, "report.revised", f"Report opened again: {reason}", actor, now, reason=reason)


def _end_anew(incident: Incident, report: Report, now: dt.datetime) -> None:
    """The incident was opened again and is over again: what was published or handed in does not tell that."""
    assert incident.resolved_at is not None
    due_at = due_of(incident)
    reason = f"{incident.ref} was resolved anew"
    if report.state == ReportState.PUBLISHED:
        if report.published_at is None or report.published_at < incident.resolved_at:
            _revise(incident, report, reason, due_at, SYSTEM, now)
    elif due_at != report.due_at:
        handed_in = report.state == ReportState.IN_REVIEW
        _save(report, state=ReportState.DRAFT, due_at=due_at, reminded_at=None, overdue_at=None)
        if handed_in:
            said, to = f"Report returned: {reason}", addressed_to([report.owner], incident)
            _record(incident, report, "report.returned", said, SYSTEM, now, reason=reason, to=to)


def remind_of_reports(*, now: dt.datetime) -> int:
    """Tell owners of reports that come due, and of those that are overdue; returns how many."""
    return remind(
        Report.objects.awaited(), plan=policy.report_plan(), now=now, say=lambda pk: _remind(pk, now)
    )


@transaction.atomic
def _remind(report_id: int, now: dt.datetime) -> bool:
    incident_id = Report.objects.values_list("incident_id", flat=True).get(pk=report_id)
    incident = Incident.objects.select_for_update(no_key=True).get(pk=incident_id)
    report = Report.objects.awaited().select_related("owner").filter(pk=report_id).first()
    if report is None:
        return False
    kind = note_as_said(report, plan=policy.report_plan(), now=now)
    if not kind:
        return False
    said = f"Report of {incident.ref} {'was' if kind == OVERDUE else 'is'} due {_when(report.due_at)}"
    due, to = events.rfc3339(report.due_at), addressed_to([report.owner], incident)
    _record(incident, report, f"report.{kind}", said, SYSTEM, now, to=to, due_at=due)
    return True


def _tells_lessons(report: Report) -> bool:
    """Whether it says what could be improved: else no machine says that lessons were learned."""
    return bool(texts_of(report).get(ReportSection.COULD_BE_IMPROVED, "").strip())


def _record_drafted(incident: Incident, report: Report, now: dt.datetime) -> None:
    """Its owner hears of it at once, not a day before it is due."""
    said = f"Report drafted, to be published until {_when(report.due_at)}"
    due = events.rfc3339(report.due_at)
    to = addressed_to([report.owner], incident)
    _record(incident, report, "report.drafted", said, SYSTEM, now, due_at=due, to=to)


def _begin(incident: Incident, now: dt.datetime) -> tuple[Report, bool]:
    commander = Responder.objects.filter(
        incident=incident, role=Role.INCIDENT_COMMANDER, until__isnull=True
    ).first()
    return Report.objects.get_or_create(
        incident=incident,
        defaults={
            "drafted_at": now,
            "due_at": due_of(incident),
            "owner_id": commander.user_id if commander else None,
        },
    )


def _write_drafts(report: Report, incident: Incident, now: dt.datetime) -> int:
    """What the timeline says, in sections that no person has touched; returns how many it wrote."""
    if report.state == ReportState.PUBLISHED:
        return 0
    written = 0
    there = {row.section: row for row in report.texts.all()}
    for section, text in drafted_texts(incident).items():
        row = there.get(section)
        if not text or (row is not None and (not row.by_machine or row.text == text)):
            continue
        _store(row or ReportText(report=report, section=section, version=0), report, text, SYSTEM, now)
        written += 1
    return written


def _lock(incident_id: int, actor: Actor) -> tuple[Incident, Report]:
    """Both; what changes a report holds its incident's lock. Raises NotReady where there is none yet."""
    require(actor, "respond")
    if not actor.is_machine and actor.kind is ActorKind.CONTACT:
        raise NotAllowed("A link acknowledges, and nothing else.")
    incident = lock_incident(incident_id, actor)
    report = Report.objects.select_related("owner").filter(incident=incident).first()
    if report is None:
        raise NotReady(why_no_report(incident), state=incident.status)
    return incident, report


def _must_be_open(report: Report) -> None:
    if report.state == ReportState.PUBLISHED:
        raise NotReady("The report is published: revise it first.", state=report.state)


def _when(at: dt.datetime) -> str:
    return f"{at.astimezone(dt.UTC):%Y-%m-%d %H:%M} UTC"


def _state(report: Report) -> str:
    return str(ReportState(report.state).label).lower()


def _save(report: Report, **columns: Any) -> None:
    for name, value in columns.items():
        setattr(report, name, value)
    report.version = F("version") + 1
    report.save(update_fields=[*columns, "version"])
    report.refresh_from_db(fields=["version"])


def _record(
    incident: Incident, report: Report, kind: str, summary: str, actor: Actor, now: dt.datetime, **data: Any
) -> Event:
    more = {"path": report_url(incident.ref), "state": str(report.state), **data}
    return record_on_incident(incident, kind, summary, actor=actor, now=now, data=more)
