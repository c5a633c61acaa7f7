"""What a post-incident report says, as frozen facts. Source: seed, Post-Incident Report Template.

Texts of people are Markdown without headings; a list is one entry a line. What nobody has said yet is empty.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass


@dataclass(frozen=True)
class TimelineRow:
    """A row of the report's timeline: what happened, or what somebody did about it."""

    at: dt.datetime
    event: str
    action: str
    owner: str


@dataclass(frozen=True)
class RollbackPart:
    """One rollback of the incident. `method` is automated or manual; `outcome` how it ended."""

    ref: str
    service: str
    initiated_at: dt.datetime
    completed_at: dt.datetime | None
    from_version: str
    target_version: str
    method: str
    outcome: str


@dataclass(frozen=True)
class ActionRow:
    """A row of the report's action items; the day is one of the viewer's calendar, not a moment."""

    action: str
    owner: str
    due_on: dt.date | None
    status: str


@dataclass(frozen=True)
class ReportFacts:
    """Everything a report prints, in the order of the seed's template. `ended_at` is the last resolution."""

    ref: str
    title: str
    severity: str
    severity_name: str
    drill: bool
    restricted: bool
    state: str
    started_at: dt.datetime
    ended_at: dt.datetime | None
    impact: str
    timeline: tuple[TimelineRow, ...]
    primary_cause: str
    contributing_factors: tuple[str, ...]
    actions_taken: tuple[str, ...]
    rollbacks: tuple[RollbackPart, ...]
    users_affected: str
    impact_duration: str
    functionality_affected: str
    revenue_impact: str
    sla_breach: str
    customer_complaints: str
    went_well: tuple[str, ...]
    could_be_improved: tuple[str, ...]
    action_items: tuple[ActionRow, ...]
    immediate_actions: tuple[str, ...]
    long_term_improvements: tuple[str, ...]
    no_prevention: str  # why there is no prevention measure
