"""Reading this app's part of the playbook for one decision."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any, cast
from zoneinfo import ZoneInfo

from core.playbook import get_playbook
from incidents.playbook import (
    AlertRules,
    Authority,
    Checklist,
    Criteria,
    FollowUp,
    Limits,
    Reports,
    ReviewKind,
    Reviews,
    RoleDuties,
    SecurityLevel,
    SeverityLevel,
    Thresholds,
    Training,
)
from incidents.rules.follow_up import Plan
from incidents.rules.response import response_seconds
from incidents.rules.reviews import Calendar
from incidents.states import Metric, Role, Severity


def severity_level(severity: str) -> SeverityLevel:
    return cast(SeverityLevel, get_playbook()["severities"].root[Severity(severity)])


def security_level(level: int | None) -> SecurityLevel | None:
    return None if level is None else cast(SecurityLevel, get_playbook()["security_levels"].root[level])


def role_duties(role: str) -> RoleDuties:
    return cast(RoleDuties, get_playbook()["roles"].root[Role(role)])


def thresholds() -> Thresholds:
    return cast(Thresholds, get_playbook()["thresholds"])


def criteria() -> Criteria:
    return cast(Criteria, get_playbook()["criteria"])


def checklists() -> Mapping[str, Checklist]:
    return cast(Mapping[str, Checklist], get_playbook()["checklists"].root)


def alerts() -> AlertRules:
    return cast(AlertRules, get_playbook()["alerts"])


def reports() -> Reports:
    return cast(Reports, get_playbook()["reports"])


def follow_up() -> FollowUp:
    return cast(FollowUp, get_playbook()["follow_up"])


def action_item_plan() -> Plan:
    """When people are reminded of action items."""
    asked = follow_up()
    at, every = dt.timedelta(seconds=asked.remind_at), dt.timedelta(days=asked.overdue_every_days)
    return Plan.by_days(asked.remind_days_before, at, every)


def report_plan() -> Plan:
    """When people are reminded of reports."""
    return _plan(reports().remind_before, reports().remind_every)


def review_plan() -> Plan:
    """When people are reminded of reviews and of documents."""
    return _plan(reviews().remind_before, reviews().remind_every)


def training_plan() -> Plan:
    """When people are reminded of training that lapses, or that they have never done."""
    return _plan(training().remind_before, reviews().remind_every)


def _plan(before: float, every: float) -> Plan:
    return Plan((dt.timedelta(seconds=before),), dt.timedelta(seconds=every))


def reviews() -> Reviews:
    return cast(Reviews, get_playbook()["reviews"])


def review_calendar(kind: ReviewKind) -> Calendar:
    return Calendar(kind.cadence, kind.day, kind.clock, ZoneInfo(reviews().time_zone), kind.month)


def training() -> Training:
    return cast(Training, get_playbook()["training"])


def response_target_seconds(severity: str, level: int | None) -> float:
    """Seconds until the first response is due, for a severity and a security level."""
    security = security_level(level)
    return response_seconds(
        severity_level(severity).response_time, security.response_time if security else None
    )


def rollback_authority(severity: str, level: int | None) -> Authority:
    """Who may decide a rollback: the roles that the security level names instead of the severity's, and
    with an approval where either of the two asks for one. Source: rulings, "where stricter".
    """
    own, security = severity_level(severity).rollback_authority, security_level(level)
    if security is None:
        return own
    named = security.rollback_authority
    return Authority(roles=named.roles, approval=named.approval or own.approval)


def limits_for(metric: str, policy: str, own: dict[str, Any] | None) -> Limits | None:
    """A monitor's thresholds: its own, else its policy's; None when nothing judges the metric."""
    if own:
        return Limits(**own)
    known = thresholds().policies.get(policy)
    return known.metrics.get(Metric(metric)) if known and metric in Metric.values else None
