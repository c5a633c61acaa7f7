"""A report as its page, its files and its commands read it: what people wrote, and what the timeline says."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.urls import reverse

from core.actors import Actor, ActorKind
from core.errors import NotFound
from core.events import rfc3339
from core.models import Event
from incidents import policy
from incidents.models import (
    ActionItem,
    Incident,
    Report,
    ReportChange,
    ReportRow,
    ReportRowChange,
    ReportText,
)
from incidents.rules.report import ReportFacts, RollbackPart, TimelineRow
from incidents.rules.reports import (
    CHOSEN_KINDS,
    EVENT,
    PROPOSALS,
    PROPOSED,
    Gap,
    column,
    entries,
    gaps,
    no_second_person,
    parts_said,
    why_not_published,
)
from incidents.selectors.action_items import report_items
from incidents.states import (
    OPEN_STATUSES,
    ActionItemState,
    FollowUpPart,
    ReportSection,
    ReportState,
    Severity,
)
from incidents.values import duration_text

MOST_ROWS = 2_000  # of a report's timeline: a storm of events is read in the export
MOST_ACTIONS = 200  # that are drafted as actions taken
_ROLLBACK_KINDS = (
    "rollback.requested", "rollback.started", "rollback.succeeded", "rollback.failed", "rollback.cancelled",
    "rollback.rejected", "rollback.expired", "rollback.handed_over", "rollback.resolved_by_hand",
    "rollback.preempted",
)  # fmt: skip


@dataclass(frozen=True)
class ReportLine:
    """A row of the report's timeline as an editor shows it; `seq` names its event."""

    seq: int
    at: dt.datetime
    kind: str
    event: str
    action: str
    owner: str
    included: bool
    reworded: bool
    version: int


def report_url(ref: str) -> str:
    return reverse("incidents:report", args=[ref])


def due_of(incident: Incident) -> dt.datetime:
    """When the report of an incident that is over must be published, by its severity."""
    began = incident.resolved_at or incident.declared_at
    return began + dt.timedelta(seconds=policy.reports().due[Severity(incident.severity)])


def why_no_report(incident: Incident) -> str:
    """Why an incident has no report."""
    if incident.drill:
        return f"{incident.ref} is a drill: it has a scorecard instead of a report."
    if incident.status in OPEN_STATUSES:
        return f"{incident.ref} is open: its report begins with its resolution."
    return f"The report of {incident.ref} is drafted within a minute."


def required_of(incident: Incident) -> tuple[ReportSection | FollowUpPart, ...]:
    """The parts that must say something before its report is handed in or published."""
    return policy.reports().required[Severity(incident.severity)]


def gaps_of(incident: Incident, report: Report) -> tuple[Gap, ...]:
    """What is still missing before that (two queries)."""
    return gaps(written_everywhere([report])[report.pk], required_of(incident))


def why_not_publish(
    incident: Incident, report: Report, actor: Actor, *, missing: Sequence[Gap] | None = None
) -> str:
    """Why the actor may not publish it now, or empty (four queries; two where `missing` is at hand)."""
    asked = policy.reports()
    return why_not_published(
        state=report.state,
        missing=gaps_of(incident, report) if missing is None else missing,
        second_person=incident.severity in asked.second_person,
        not_these=no_second_person_of(report),
        publisher=actor.user_id,
        is_person=actor.kind is ActorKind.USER,
    )


def no_second_person_of(report: Report) -> frozenset[int]:
    """The accounts that wrote this revision alone, a section or a row, or handed it in (two queries)."""
    written: set[int | None] = set()
    for changes in (ReportChange.objects, ReportRowChange.objects):
        rows = changes.filter(report=report, revision=report.revision).order_by()
        written.update(rows.values_list("changed_by_account", flat=True).distinct())
    writers = {account for account in written if account is not None}
    return no_second_person(writers=writers, submitted_by=report.submitted_by_user_id)


def texts_of(report: Report | None) -> dict[str, str]:
    """What the sections say; a section that nobody wrote is missing (one query)."""
    return dict(report.texts.values_list("section", "text")) if report is not None else {}


def texts_and_versions(report: Report) -> tuple[dict[str, str], dict[str, int]]:
    """What the sections say, and at which version each is (one query)."""
    rows = list(report.texts.values_list("section", "text", "version"))
    return {key: text for key, text, _ in rows}, {key: version for key, _, version in rows}


def report_facts(incident: Incident) -> ReportFacts:
    """Everything that the report prints (six queries, whatever the incident went through)."""
    report = Report.objects.filter(incident=incident).first()
    texts = texts_of(report) if report is not None else drafted_texts(incident)
    actions, immediate, long_term = report_items(incident)

    def said(section: ReportSection) -> str:
        return texts.get(section, "")

    return ReportFacts(
        ref=incident.ref,
        title=incident.title,
        severity=incident.severity,
        severity_name=policy.severity_level(incident.severity).name,
        drill=incident.drill,
        restricted=incident.restricted,
        state=report.state if report else ReportState.DRAFT,
        started_at=incident.started_at,
        ended_at=incident.resolved_at,
        impact=said(ReportSection.IMPACT),
        timeline=tuple(
            TimelineRow(line.at, line.event, line.action, line.owner)
            for line in report_lines(incident, report)
            if line.included
        ),
        primary_cause=said(ReportSection.PRIMARY_CAUSE),
        contributing_factors=entries(said(ReportSection.CONTRIBUTING_FACTORS)),
        actions_taken=entries(said(ReportSection.ACTIONS_TAKEN)),
        rollbacks=rollback_parts(incident),
        users_affected=said(ReportSection.USERS_AFFECTED),
        impact_duration=said(ReportSection.IMPACT_DURATION),
        functionality_affected=said(ReportSection.FUNCTIONALITY_AFFECTED),
        revenue_impact=said(ReportSection.REVENUE_IMPACT),
        sla_breach=said(ReportSection.SLA_BREACH),
        customer_complaints=said(ReportSection.CUSTOMER_COMPLAINTS),
        went_well=entries(said(ReportSection.WENT_WELL)),
        could_be_improved=entries(said(ReportSection.COULD_BE_IMPROVED)),
        action_items=actions,
        immediate_actions=immediate,
        long_term_improvements=long_term,
        no_prevention=said(ReportSection.NO_PREVENTION),
    )


def report_lines(incident: Incident, report: Report | None) -> list[ReportLine]:
    """Events that stand in the report by their kind or by somebody's wish, in the order in which they
    happened; left out ones too, so that they can be taken in again. At most MOST_ROWS (two queries).
    """
    wished = {row.event_id: row for row in report.rows.all()} if report is not None else {}
    events = Event.objects.filter(stream_id=incident.stream_id)
    chosen = events.filter(kind__in=CHOSEN_KINDS) | events.filter(pk__in=list(wished))
    rows = chosen.defer("canonical", "data").order_by("occurred_at", "seq")[:MOST_ROWS]
    return [line_of(event, wished.get(event.pk)) for event in rows]


def line_of(event: Event, wish: ReportRow | None) -> ReportLine:
    """How an event stands in the report, by its kind or by somebody's wish."""
    is_event = column(event.kind) == EVENT
    shown = {
        "event": event.summary if is_event else "",
        "action": "" if is_event else event.summary,
        "owner": event.actor,
    }
    if wish is not None and wish.included:
        shown = {"event": wish.event_text, "action": wish.action_text, "owner": wish.owner or event.actor}
    return ReportLine(
        seq=event.seq,
        at=event.occurred_at,
        kind=event.kind,
        included=wish.included if wish is not None else bool(column(event.kind)),
        reworded=wish is not None,
        version=wish.version if wish is not None else 0,
        **shown,
    )


def rollback_parts(incident: Incident) -> tuple[RollbackPart, ...]:
    """What the timeline says of each rollback, in the order in which they were asked for (one query)."""
    events = Event.objects.filter(stream_id=incident.stream_id, kind__in=_ROLLBACK_KINDS)
    found: dict[str, dict[str, Any]] = {}
    for event in events.defer("canonical").order_by("seq"):
        part = found.setdefault(str(event.data.get("rollback", "")), {})
        _add(part, event)
    return tuple(
        RollbackPart(ref=ref, **part) for ref, part in found.items() if ref and "initiated_at" in part
    )


def _add(part: dict[str, Any], event: Event) -> None:
    data = event.data
    if event.kind == "rollback.requested":
        part.update(
            service=str(data.get("service", "")),
            initiated_at=event.occurred_at,
            completed_at=None,
            from_version=str(data.get("from", "")),
            target_version=str(data.get("target", "")),
            method=str(data.get("trigger", "")),
            outcome="",
        )
    elif event.kind == "rollback.started":
        part["target_version"] = str(data.get("target", part.get("target_version", "")))
    else:
        part["completed_at"] = event.occurred_at
        part["outcome"] = event.kind.removeprefix("rollback.").replace("_", " ")


def drafted_texts(incident: Incident) -> Mapping[str, str]:
    """What can be said from what is known, for people to go on with; a guess begins with PROPOSED."""
    return {
        ReportSection.IMPACT: incident.impact,
        ReportSection.PRIMARY_CAUSE: incident.root_cause,
        ReportSection.ACTIONS_TAKEN: "\n".join(_actions(incident)),
        ReportSection.IMPACT_DURATION: _duration(incident),
        ReportSection.FUNCTIONALITY_AFFECTED: _functionality(incident),
        ReportSection.SLA_BREACH: _breach(incident),
    }


def _actions(incident: Incident) -> Iterator[str]:
    """Actions of people and the finished steps of rollbacks. Source: rulings, Templates."""
    events = Event.objects.filter(stream_id=incident.stream_id)
    ends = ("action.taken", "rollback.succeeded", "rollback.resolved_by_hand")
    chosen = events.filter(kind__in=ends) | events.filter(
        kind="rollback.step_succeeded", data__phase="execute"
    )
    found = list(chosen.order_by("occurred_at", "seq").values_list("summary", flat=True)[: MOST_ACTIONS + 1])
    yield from found[:MOST_ACTIONS]
    if len(found) > MOST_ACTIONS:
        yield "More stands on the timeline."
    if incident.resolution:
        yield " ".join(incident.resolution.split())


def _functionality(incident: Incident) -> str:
    names = list(incident.services.order_by("name").values_list("name", flat=True)[:50])
    return f"{PROPOSED}: {', '.join(names)}" if names else ""


def _breach(incident: Incident) -> str:
    """By the response clock, the one promise that Firebreak knows of."""
    if incident.response_breached_at is not None:
        return f"{PROPOSED}: yes, nobody had acknowledged when the response was due"
    return f"{PROPOSED}: no, acknowledged in time" if incident.acknowledged_at is not None else ""


def _duration(incident: Incident) -> str:
    if incident.resolved_at is None:
        return ""
    return duration_text((incident.resolved_at - incident.started_at).total_seconds())


def is_report_due(event: Event) -> bool:
    """Whether what the event reminds of is still to be done, and due when it said."""
    report = Report.objects.filter(incident__ref=event.data["incident"]).first()
    return (
        report is not None
        and report.state != ReportState.PUBLISHED
        and rfc3339(report.due_at) == event.data.get("due_at")
    )


def is_report_waiting(event: Event) -> bool:
    """Whether the report is still as the event told somebody that it is: handed in, returned, theirs."""
    report = Report.objects.filter(incident__ref=event.data["incident"]).select_related("owner").first()
    if report is None or report.state == ReportState.PUBLISHED:
        return False
    if event.kind == "report.given":
        return report.owner is not None and report.owner.get_username() == str(event.data["owner"])
    return report.state == str(event.data["state"])


def report_of(_actor: Actor, incident: Incident) -> dict[str, Any] | None:
    """What the export of the incident says of its report: docs/export.md."""
    report = Report.objects.filter(incident=incident).select_related("owner").first()
    if report is None:
        return None
    names = (
        "state", "revision", "drafted_at", "due_at", "submitted_at", "submitted_by", "published_at",
        "published_by",
    )  # fmt: skip
    texts = report.texts.order_by("section").values("section", "text", "version", "changed_at", "changed_by")
    published = report.published.values("revision", "markdown", "sha256", "published_at", "published_by")
    return {
        **{name: getattr(report, name) for name in names},
        "owner": report.owner.get_username() if report.owner else None,
        "texts": list(texts),
        "published": list(published),
    }


def written_everywhere(reports: Sequence[Report]) -> dict[int, set[str]]:
    """Which parts of each report say something (two queries). A guess that nobody has looked at does not."""
    sections: dict[int, set[str]] = {report.pk: set() for report in reports}
    rows = ReportText.objects.filter(report__in=list(sections)).exclude(text="")
    for pk, section in rows.exclude(section__in=PROPOSALS, by_machine=True).values_list("report", "section"):
        sections[pk].add(section)
    kinds: dict[int, set[str]] = {report.incident_id: set() for report in reports}
    items = ActionItem.objects.filter(incident__in=list(kinds)).exclude(state=ActionItemState.DROPPED)
    for incident, kind in items.order_by().values_list("incident", "kind").distinct():
        kinds[incident].add(kind)
    return {report.pk: parts_said(sections[report.pk], kinds[report.incident_id]) for report in reports}


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


def event_of(incident: Incident, seq: int) -> Event:
    event = Event.objects.filter(stream_id=incident.stream_id, seq=seq).first()
    if event is None:
        raise NotFound("No such event on the timeline.")
    return event
