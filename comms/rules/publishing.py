"""What may be said outside, by whom, and what the status page makes of it. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from comms.states import ComponentState, PublicImpact, PublicStatus, Template
from core.actors import ActorKind
from incidents.states import Severity

_S = ComponentState
BADNESS: Mapping[str, int] = {
    _S.OPERATIONAL: 0,
    _S.UNDER_MAINTENANCE: 1,
    _S.DEGRADED_PERFORMANCE: 2,
    _S.PARTIAL_OUTAGE: 3,
    _S.MAJOR_OUTAGE: 4,
}
# What the page says over everything, by the worst component. Source: Statuspage, its own words.
_OVERALL: Mapping[str, tuple[str, str]] = {
    _S.OPERATIONAL: ("none", "All Systems Operational"),
    _S.UNDER_MAINTENANCE: ("maintenance", "Service Under Maintenance"),
    _S.DEGRADED_PERFORMANCE: ("minor", "Partially Degraded Service"),
    _S.PARTIAL_OUTAGE: ("major", "Partial System Outage"),
    _S.MAJOR_OUTAGE: ("critical", "Major Service Outage"),
}
_BY_IMPACT: Mapping[str, tuple[str, str]] = {
    PublicImpact.MINOR: ("minor", "Minor Service Outage"),
    PublicImpact.MAJOR: ("major", "Partial System Outage"),
    PublicImpact.CRITICAL: ("critical", "Major Service Outage"),
}
_INDICATORS = ("none", "maintenance", "minor", "major", "critical")
COUNTED = {
    _S.DEGRADED_PERFORMANCE: "degraded_seconds",
    _S.PARTIAL_OUTAGE: "partial_seconds",
    _S.MAJOR_OUTAGE: "major_seconds",
}
ONE_DAY = dt.timedelta(days=1)


# --- the gate ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Approver:
    """Whoever wants to let a message out. `has_grant` is for incident commander, and stands now."""

    kind: ActorKind
    user_id: int | None
    has_grant: bool


@dataclass(frozen=True)
class Verdict:
    """Allowed or not, and why not in words."""

    allowed: bool
    reason: str = ""


def judge_approval(approver: Approver, *, commander: int | None, incident_open: bool) -> Verdict:
    """May this one let an external message of the incident out?

    The incident commander, in person. `commander` is the account that holds the role; where the
    incident ended without one, whoever may hold it decides.
    """
    if approver.kind is not ActorKind.USER or approver.user_id is None:
        return Verdict(False, "A person approves what is said outside, never a token or a program.")
    if approver.has_grant and approver.user_id == commander:
        return Verdict(True)
    if commander is None and not incident_open and approver.has_grant:
        return Verdict(True)
    if commander is None and incident_open:
        return Verdict(False, "The incident has no commander yet: take the role, then approve.")
    return Verdict(False, "The incident commander approves what is said outside.")


# --- what a draft begins with -----------------------------------------------------------------------


@dataclass(frozen=True)
class Proposal:
    """What a draft says until somebody writes something better: nothing of the incident's own words."""

    title: str
    status: PublicStatus
    impact: PublicImpact
    impact_text: str
    components: Mapping[str, str] = field(hash=False)


def propose(template: str, severity: str, components: Mapping[str, str]) -> Proposal:
    """The proposal for these public components, {public_id: name}."""
    names = in_words(list(components.values()))
    over = template == Template.ISSUE_RESOLVED
    state, impact = _BY_SEVERITY[Severity(severity)]
    return Proposal(
        title=f"Problems with {names}"[:200],
        status=PublicStatus.RESOLVED if over else PublicStatus.INVESTIGATING,
        impact=impact,
        impact_text=f"{names} may be slow or unavailable.",
        components=dict.fromkeys(components, _S.OPERATIONAL if over else state),
    )


_BY_SEVERITY: Mapping[Severity, tuple[ComponentState, PublicImpact]] = {
    Severity.P0: (_S.MAJOR_OUTAGE, PublicImpact.CRITICAL),
    Severity.P1: (_S.PARTIAL_OUTAGE, PublicImpact.MAJOR),
    Severity.P2: (_S.DEGRADED_PERFORMANCE, PublicImpact.MINOR),
    Severity.P3: (_S.DEGRADED_PERFORMANCE, PublicImpact.NONE),
}


def in_words(names: Sequence[str]) -> str:
    """`A, B and C`."""
    if len(names) < 2:
        return "".join(names) or "the service"
    return f"{', '.join(names[:-1])} and {names[-1]}"


def page_text(body: str, *, headline: str) -> str:
    """What the status page prints of a message: neither its headline, which stands above it there, nor
    the line that leads to the page itself.
    """
    lines = [line for line in body.strip().splitlines() if not line.startswith("Status Page: ")]
    if lines and lines[0].strip() == headline:
        del lines[0]
    return "\n".join(lines).strip() or body.strip()


# --- states -----------------------------------------------------------------------------------------


def shown_state(stored: str, *, in_maintenance: bool) -> str:
    """Planned maintenance shows on a component of which nobody has said anything worse."""
    return _S.UNDER_MAINTENANCE if in_maintenance and stored == _S.OPERATIONAL else stored


def worst(states: Iterable[str]) -> str:
    """The worst of these states; operational where there is none."""
    return max(states, key=BADNESS.__getitem__, default=_S.OPERATIONAL)


def overall(states: Iterable[str], impacts: Iterable[str]) -> tuple[str, str]:
    """(indicator, description) of the whole page: the worst component or open incident decides."""
    candidates = [_OVERALL[worst(states)]]
    candidates += [_BY_IMPACT[impact] for impact in impacts if impact in _BY_IMPACT]
    return max(candidates, key=lambda one: _INDICATORS.index(one[0]))


# --- history ----------------------------------------------------------------------------------------


def by_day(state: str, since: dt.datetime, until: dt.datetime) -> Iterator[tuple[dt.date, str, int]]:
    """(UTC day, column of ComponentDay, seconds) of the time in a state; nothing while all is well."""
    column = COUNTED.get(ComponentState(state))
    if column is None:
        return
    begin = since.astimezone(dt.UTC)
    until = until.astimezone(dt.UTC)
    while begin < until:
        midnight = dt.datetime.combine(begin.date() + ONE_DAY, dt.time(), tzinfo=dt.UTC)
        end = min(midnight, until)
        seconds = round((end - begin).total_seconds())
        if seconds:
            yield begin.date(), column, seconds
        begin = end
