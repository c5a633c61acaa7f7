"""Whether automation may start a rollback now. Every refusal has its code and its words."""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass

from incidents.states import Metric, metric_name
from rollbacks.rules.spans import span

LATELY_SECONDS = 600
"""The ten minutes in which only so many automatic rollbacks may start, of all services together."""
DAY_SECONDS = 86_400


@dataclass(frozen=True)
class Reason:
    """Why automation decided as it did: a stable code for programs, a sentence for people."""

    code: str
    text: str


@dataclass(frozen=True)
class Limits:
    """How far automation may go by itself. Source: the playbook's automation.yaml."""

    recent_release: float = 86_400.0
    cooldown: float = 1800.0
    per_day: int = 2
    share_of_services: float = 0.1
    starts_in_ten_minutes: int = 5
    false_positives: int = 1
    false_positives_within: float = 30 * 86_400.0

    def at_once(self, services: int) -> int:
        """How many automatic rollbacks may run at the same time; one always may."""
        return max(1, math.floor(self.share_of_services * services + 1e-9))


@dataclass(frozen=True)
class Situation:
    """What automation knows about a service when a threshold was exceeded.

    `by_itself`: no person would be asked. `returns` is what the procedure takes back. `last_rollback` ran
    and has ended; `started_today` counts the automatic ones of the service, `running` and `started_lately`
    those of all services, of which there are `services`. One whose breach was not confirmed changed
    nothing and counts as a start alone. `false_positives` are those of the monitor that asks.
    """

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
    by_itself: bool = True
    returns: str = "version"
    last_rollback: str | None = None
    last_ended_at: dt.datetime | None = None
    started_today: int = 0
    running: int = 0
    started_lately: int = 0
    services: int = 1
    false_positives: int = 0
    freeze: str | None = None
    maintenance: str | None = None


def refusals(situation: Situation, limits: Limits, *, now: dt.datetime) -> tuple[Reason, ...]:
    """Why automation must not start a rollback, nor ask for one; empty when it may.

    Limits on what it does by itself (cool-down, budgets, brake, a recent release) do not hold back the
    question to a person. Source: rulings, Thresholds and severities; States.
    """
    found = [*_switched_off(situation), *_in_doubt(situation), *_untrusted(situation, limits)]
    if situation.by_itself:
        found += _used_up(situation, limits, now)
    found += _not_the_cause(situation, limits, now)
    return tuple(found)


def _switched_off(situation: Situation) -> list[Reason]:
    found = []
    if not situation.armed:
        found.append(Reason("disarmed", "automation is disarmed"))
    if not situation.auto_rollback:
        found.append(Reason("auto_rollback_off", "automatic rollback is off for this service"))
    if situation.live_rollback:
        found.append(Reason("rollback_under_way", f"{situation.live_rollback} is under way"))
    if situation.maintenance:
        found.append(Reason("maintenance", situation.maintenance))
    return found


def _in_doubt(situation: Situation) -> list[Reason]:
    """No rollback of a rollback, one attempt per release, no going further back because the next target
    is quarantined, none to where the last one did not succeed."""
    live, target, found = situation.live_version, situation.target_version, []
    if live is None:
        found.append(Reason("no_live_release", "no live release is recorded"))
    elif situation.reached_by_rollback:
        text = f"{live} was itself reached by a rollback; a person decides"
        found.append(Reason("reached_by_rollback", text))
    elif situation.tried_before:
        found.append(Reason("tried_before", f"leaving {live} was tried before; a person decides"))
    if target is None:
        found.append(Reason("no_target", "no verified good release to return to"))
    elif situation.target_failed:
        text = f"{situation.target_failed} to {target} did not succeed; a person decides"
        found.append(Reason("target_failed", text))
    if situation.passed_over:
        text = f"{situation.passed_over} is quarantined; a person decides whether to go further back"
        found.append(Reason("target_quarantined", text))
    return found


def _untrusted(situation: Situation, limits: Limits) -> list[Reason]:
    """Measurements that nobody should act on."""
    found = []
    if situation.freeze:
        found.append(Reason("monitoring_outage", situation.freeze))
    if situation.false_positives > limits.false_positives:
        within = span(limits.false_positives_within)
        text = (
            f"{situation.false_positives} rollbacks that this monitor of {metric_name(situation.metric)}"
            f" started within {within} were judged false positives"
        )
        found.append(Reason("monitor_distrusted", text))
    return found


def _used_up(situation: Situation, limits: Limits, now: dt.datetime) -> list[Reason]:
    found = []
    if situation.last_ended_at is not None:
        ago = (now - situation.last_ended_at).total_seconds()
        if ago < limits.cooldown:
            text = (
                f"{situation.last_rollback} ended {span(ago)} ago, and automation waits"
                f" {span(limits.cooldown)} after a rollback"
            )
            found.append(Reason("cooling_down", text))
    if situation.started_today >= limits.per_day:
        text = f"{situation.started_today} automatic rollbacks of this service in 24 hours are the limit"
        found.append(Reason("daily_budget", text))
    return [*found, *_braked(situation, limits)]


def _braked(situation: Situation, limits: Limits) -> list[Reason]:
    """Many services at once are rarely the fault of their releases."""
    found = []
    if situation.running >= (allowed := limits.at_once(situation.services)):
        text = (
            f"{situation.running} automatic rollbacks run already, and {allowed} at once"
            f" {'is' if allowed == 1 else 'are'} the limit"
        )
        found.append(Reason("too_many_at_once", text))
    if situation.started_lately >= limits.starts_in_ten_minutes:
        text = f"{situation.started_lately} automatic rollbacks started in ten minutes, which is the limit"
        found.append(Reason("too_many_starts", text))
    return found


def _not_the_cause(situation: Situation, limits: Limits, now: dt.datetime) -> list[Reason]:
    """What was well for days is rarely the cause; memory or CPU alone want a symptom, too."""
    deployed = situation.live_deployed_at
    if situation.returns != "version" or situation.live_version is None:
        return []
    age = None if deployed is None else (now - deployed).total_seconds()
    if age is not None and age <= limits.recent_release:
        return []
    if situation.by_itself:
        text = "nobody knows since when the release is live" if age is None else _old(age)
        return [Reason("old_release", text)]
    if situation.metric in (Metric.MEMORY_USAGE, Metric.CPU_USAGE) and not situation.has_symptom:
        text = f"{metric_name(situation.metric)} alone, without errors, latency or a recent release"
        return [Reason("no_symptom", text)]
    return []


def _old(seconds: float) -> str:
    return f"the live release is {span(seconds)} old"
