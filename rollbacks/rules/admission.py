"""Whether automation may start a rollback now. Every refusal has its reason."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from incidents.states import Metric


@dataclass(frozen=True)
class Situation:
    """What automation knows about a service when a threshold was exceeded."""

    armed: bool
    auto_rollback: bool
    live_rollback: str | None
    live_version: str | None
    live_deployed_at: dt.datetime | None
    target_version: str | None
    reached_by_rollback: bool
    tried_before: bool
    metric: str
    has_symptom: bool
    passed_over: str | None = None  # the target, were it not quarantined
    target_failed: str | None = None  # the last rollback to the target, which did not succeed


def refusals(situation: Situation, *, now: dt.datetime, recent_seconds: float) -> tuple[str, ...]:
    """Why automation must not start a rollback; empty when it may.

    No rollback of a rollback, one attempt per release, no going further back because the next target is
    quarantined, none to where the last one did not succeed, and memory or CPU alone only with a symptom
    or a recent release. Source: rulings, Thresholds and severities; States.
    """
    found = []
    if not situation.armed:
        found.append("automation is disarmed")
    if not situation.auto_rollback:
        found.append("automatic rollback is off for this service")
    if situation.live_rollback:
        found.append(f"{situation.live_rollback} is under way")
    if situation.live_version is None:
        found.append("no live release is recorded")
    elif situation.reached_by_rollback:
        found.append(f"{situation.live_version} was itself reached by a rollback; a person decides")
    elif situation.tried_before:
        found.append(f"leaving {situation.live_version} was tried before; a person decides")
    if situation.target_version is None:
        found.append("no verified good release to return to")
    elif situation.target_failed:
        found.append(
            f"{situation.target_failed} to {situation.target_version} did not succeed; a person decides"
        )
    if situation.passed_over:
        found.append(f"{situation.passed_over} is quarantined; a person decides whether to go further back")
    if situation.metric in (Metric.MEMORY_USAGE, Metric.CPU_USAGE) and not situation.has_symptom:
        deployed = situation.live_deployed_at
        if deployed is None or (now - deployed).total_seconds() > recent_seconds:
            found.append(f"{situation.metric} alone, without errors, latency or a recent release")
    return tuple(found)
