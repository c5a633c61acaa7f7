"""What of a timeline stands in a report, what is still missing in it, and who may publish it. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from incidents.states import ActionItemKind, FollowUpPart, ReportSection

EVENT, ACTION = "event", "action"
# By kind: what happened, or what somebody did about it. What is not here is left out until a person wants it.
_COLUMN: Mapping[str, str] = {
    "incident.declared": EVENT,
    "incident.breached": EVENT,
    "incident.metric_recovered": EVENT,
    "incident.response_breached": EVENT,
    "incident.severity_changed": EVENT,
    "incident.security_level_changed": EVENT,
    "incident.reopened": EVENT,
    "incident.acknowledged": ACTION,
    "incident.escalated": ACTION,
    "incident.updated": ACTION,
    "incident.resolved": ACTION,
    "decision.made": ACTION,
    "action.taken": ACTION,
    "decision.criteria_checked": ACTION,
    "rollback.requested": ACTION,
    "rollback.approved": ACTION,
    "rollback.rejected": ACTION,
    "rollback.break_glass": ACTION,
    "rollback.started": ACTION,
    "rollback.succeeded": EVENT,
    "rollback.failed": EVENT,
    "rollback.cancelled": EVENT,
    "rollback.needs_attention": EVENT,
    "rollback.handed_over": ACTION,
    "rollback.resolved_by_hand": ACTION,
    "rollback.refused": EVENT,
}
CHOSEN_KINDS = tuple(_COLUMN)


def column(kind: str) -> str:
    """Where an event stands by itself: under `event` or `action`, or empty."""
    return _COLUMN.get(kind, "")


@dataclass(frozen=True)
class Gap:
    """A part that must say something and does not, and what belongs there."""

    section: ReportSection | FollowUpPart
    prompt: str


PROMPTS: Mapping[ReportSection | FollowUpPart, str] = {
    ReportSection.IMPACT: "What users and systems felt of it, in one line",
    ReportSection.PRIMARY_CAUSE: "Detailed explanation of the root cause",
    ReportSection.CONTRIBUTING_FACTORS: "What made it possible or worse, one a line",
    ReportSection.ACTIONS_TAKEN: "What was done about it, one a line",
    ReportSection.USERS_AFFECTED: "Number or percentage",
    ReportSection.IMPACT_DURATION: "How long users felt it",
    ReportSection.FUNCTIONALITY_AFFECTED: "What did not work, or not well",
    ReportSection.REVENUE_IMPACT: "If applicable",
    ReportSection.SLA_BREACH: "Yes or no, and which",
    ReportSection.CUSTOMER_COMPLAINTS: "Number",
    ReportSection.WENT_WELL: "What should be done the same way again, one a line",
    ReportSection.COULD_BE_IMPROVED: "What should go better next time, one a line",
    ReportSection.NO_PREVENTION: "Why nothing is to be done so that it does not happen again",
    FollowUpPart.ACTION_ITEMS: "What is to be done, by whom, until which day",
    FollowUpPart.PREVENTION: "What is done at once, and in the long run, so that it does not happen again",
}
# What Firebreak says there is a guess, marked as one: somebody has to look at it before it counts.
PROPOSALS = frozenset({ReportSection.FUNCTIONALITY_AFFECTED, ReportSection.SLA_BREACH})
PROPOSED = "Proposed"  # a text of the machine begins with it there
# These are lists: one entry a line.
LISTS = frozenset(
    {
        ReportSection.CONTRIBUTING_FACTORS,
        ReportSection.ACTIONS_TAKEN,
        ReportSection.WENT_WELL,
        ReportSection.COULD_BE_IMPROVED,
    }
)


def entries(text: str) -> tuple[str, ...]:
    """The lines of a list; a mark of a list before one is no part of it."""
    lines = (line.strip() for line in text.splitlines())
    bare = (line[2:].strip() if line[:2] in ("- ", "* ", "+ ") else line for line in lines)
    return tuple(line for line in bare if line)


def parts_said(sections: Iterable[str], items: Collection[str]) -> set[str]:
    """Which parts of a report say something: `sections` that do, and by the kinds of its action items what
    is made of those. A reason why there is no prevention measure stands for both.
    """
    said = {str(section) for section in sections}
    excused = ReportSection.NO_PREVENTION in said
    if items or excused:
        said.add(str(FollowUpPart.ACTION_ITEMS))
    if excused or {ActionItemKind.IMMEDIATE, ActionItemKind.LONG_TERM} & set(items):
        said.add(str(FollowUpPart.PREVENTION))
    return said


def gaps(said: Collection[str], required: Collection[ReportSection | FollowUpPart]) -> tuple[Gap, ...]:
    """The required parts that say nothing, in the template's order."""
    order: tuple[ReportSection | FollowUpPart, ...] = (*ReportSection, *FollowUpPart)
    return tuple(Gap(part, PROMPTS[part]) for part in order if part in required and part not in said)


def why_not_published(
    *,
    state: str,
    missing: Collection[Gap],
    second_person: bool,
    not_these: Collection[int],
    publisher: int | None,
    is_person: bool,
) -> str:
    """Why somebody may not publish a report, or empty. A program never does: it vouches for nothing.

    `not_these` are the accounts that are no `second_person`.
    """
    if not is_person:
        return "A person publishes a report."
    if state == "published":
        return "It is published."
    if missing:
        return f"Still to be written: {', '.join(str(gap.section.label) for gap in missing)}."
    if second_person and state != "in_review":
        return "Ask for its review first: at this severity a second person publishes it."
    if second_person and publisher in not_these:
        return "Another person than who wrote all of it or handed it in publishes it at this severity."
    return ""


def no_second_person(*, writers: Collection[int], submitted_by: int | None) -> frozenset[int]:
    """The accounts that are not the second person of a revision: who handed it in, and who alone wrote it.

    One of several who wrote is: they read the others' words, and who handed it in read theirs. Else a team
    in which everybody wrote a section could publish nothing.
    """
    alone = writers if len(writers) == 1 else ()
    return frozenset(alone) | (frozenset() if submitted_by is None else {submitted_by})
