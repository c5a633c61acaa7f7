"""What a monitor that cannot be measured does about a rollback. Source: seed, "Monitoring system failure";
rulings, Thresholds and severities.

That it cannot be measured opens an incident and pages in every case. A rollback for want of an answer is
another matter: it is as likely that the monitoring broke as the service.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field

from incidents.playbook import Blindness
from incidents.states import FailureKind, OnMonitoringFailure

# These say that Firebreak itself, or what it may reach, is at fault.
OWN_SIDE = (FailureKind.BLOCKED, FailureKind.UNRESOLVED, FailureKind.INTERNAL)


@dataclass(frozen=True)
class Blind:
    """What is known about a monitor without an answer."""

    mode: OnMonitoringFailure
    lasts: dt.timedelta
    interval: dt.timedelta
    failure: FailureKind | None
    outage: bool  # many services are blind at once
    others_answer: bool | None  # of other services at the same source; None where there are none
    evidence: tuple[str, ...] = field(default=())  # what else says that the service fails
    live_for: dt.timedelta | None = None  # how long the live release has been live


@dataclass(frozen=True)
class Answer:
    """What follows: `rollback` as an effect of the playbook has it, `reason` in words, `final` or not yet."""

    rollback: str
    reason: str
    final: bool = True


def answer_to(blind: Blind, rules: Blindness) -> Answer:
    """Whether a rollback is called for, and why or why not; one that is not final is asked again later."""
    if blind.mode is OnMonitoringFailure.PAGE:
        return Answer("none", "this monitor only pages when it cannot be measured")
    if blind.outage:
        return Answer("none", "many services cannot be measured at once: the monitoring itself fails", False)
    if blind.failure in OWN_SIDE:
        return Answer("none", "the fault is on Firebreak's own side", False)
    if blind.mode is OnMonitoringFailure.IMMEDIATE:
        return Answer("automatic", "this monitor rolls back at once when it cannot be measured")
    if blind.mode is OnMonitoringFailure.AFTER_N:
        return _after_n(blind, rules)
    return _corroborated(blind, rules)


def _after_n(blind: Blind, rules: Blindness) -> Answer:
    needed = max(dt.timedelta(seconds=rules.after), blind.interval * rules.after_cycles)
    if blind.lasts < needed:
        return Answer("none", f"it has to last {_minutes(needed)}", False)
    return Answer("automatic", f"no answer for {_minutes(needed)}")


def _corroborated(blind: Blind, rules: Blindness) -> Answer:
    if blind.others_answer is False:
        return Answer("none", "its source answers for no other service either", False)
    if not blind.evidence:
        return Answer("none", "nothing else says that the service fails", False)
    said = " and ".join(blind.evidence)
    needed = dt.timedelta(seconds=rules.corroborated_after)
    if blind.lasts < needed:
        return Answer("none", f"{said}, but it has to last {_minutes(needed)}", False)
    if blind.live_for is None or blind.live_for > dt.timedelta(seconds=rules.recent_release):
        return Answer("with_approval", f"{said}, and no recent release: a person decides")
    return Answer("automatic", said)


def is_outage(*, blind: int, watched: int, rules: Blindness) -> bool:
    """Whether so many of the watched services are blind that the monitoring is what failed."""
    return blind >= max(rules.outage_services, rules.outage_share * watched)


def is_outage_over(*, blind: int, watched: int, rules: Blindness) -> bool:
    """Only when half as many are blind: it does not come and go with a single service."""
    return blind < max(rules.outage_services, rules.outage_share * watched) / 2


def _minutes(span: dt.timedelta) -> str:
    seconds = round(span.total_seconds())
    return f"{seconds} s" if seconds < 120 else f"{seconds // 60} min"
