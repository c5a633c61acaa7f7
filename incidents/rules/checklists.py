"""When a checklist opens, what ticks its items, and whether a window that ended still matters. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from incidents.playbook import Checklist, TickedBy
from incidents.states import OPEN_STATUSES, IncidentStatus

# A rollback that failed has changed nothing, and one that was handed over goes on as its child: in neither
# is there anything to analyse yet.
ROLLBACK_ENDS = ("rollback.succeeded", "rollback.resolved_by_hand")
LEVEL_CHANGED = "incident.security_level_changed"
_OPENED_BY = {
    "declaration": ("incident.declared", "incident.severity_changed", LEVEL_CHANGED),
    "rollback_end": (*ROLLBACK_ENDS, "incident.resolved"),
}
OPENING_KINDS = tuple(kind for kinds in _OPENED_BY.values() for kind in kinds)
# What tells how an incident came to its resolution; see `relapsed`.
HISTORY_KINDS = (*ROLLBACK_ENDS, "incident.resolved", "incident.reopened", "incident.status_changed")
_CALM = (IncidentStatus.MONITORING, IncidentStatus.RESOLVED)


def is_opened_by(
    checklist: Checklist, *, kind: str, severity: str, incident_kind: str, drill: bool = False
) -> bool:
    """Whether an event of `kind` gives an incident of `severity` and `incident_kind` this checklist.

    A drill rehearses the emergency; what comes after it is its scorecard, no analysis.
    """
    if drill and checklist.opens == "rollback_end":
        return False
    meant = severity in checklist.severities and incident_kind in checklist.kinds
    return meant and kind in _OPENED_BY[checklist.opens]


def restarts_windows(checklist: Checklist, kind: str, *, relapsed: bool = False) -> bool:
    """Whether the windows of a checklist that is there already count from this event on.

    A relapse may need a second rollback: the analysis counts from the end of the last one. A relapse that
    ends without one is over with its resolution, and the analysis counts from there.
    """
    if checklist.opens != "rollback_end":
        return False
    return kind in ROLLBACK_ENDS or (kind == "incident.resolved" and relapsed)


def relapsed(history: Iterable[tuple[str, str]]) -> bool:
    """Whether a resolution after this ends something that no rollback has ended.

    `history` has the events of HISTORY_KINDS before it in their order: the kind, and the status that a
    change of it led to. A rollback that people completed by hand leaves the incident under investigation:
    resolved from there, it was over only then.
    """
    again, status = False, ""
    for kind, to in history:
        if kind in ROLLBACK_ENDS:
            again = False
            status = (
                IncidentStatus.MONITORING if kind == "rollback.succeeded" else IncidentStatus.INVESTIGATING
            )
        elif kind == "incident.resolved":
            again, status = False, IncidentStatus.RESOLVED
        elif kind == "incident.reopened":
            again, status = True, IncidentStatus.INVESTIGATING
        else:
            again = again or (status in _CALM and to not in _CALM)
            status = to
    return again or status == IncidentStatus.INVESTIGATING


def moves_windows(checklist: Checklist, kind: str) -> bool:
    """Whether an event gives the windows of a checklist that is there already to another level."""
    return kind == LEVEL_CHANGED and any(phase.by_security_level for phase in checklist.phases)


def is_ticked_by(trigger: TickedBy | None, *, kind: str, data: Mapping[str, Any]) -> bool:
    """Whether an event shows that the item is done."""
    if trigger is None or trigger.event != kind:
        return False
    return all(data.get(name) == value for name, value in trigger.when.items())


def is_still_asked_for(checklist: Checklist | None, status: str) -> bool:
    """Whether its items matter now: the emergency's until the resolution, the analysis' while all is calm.

    Who fights a relapse is not reminded of a root cause. A checklist that the playbook does not have any
    more asks for nothing.
    """
    if checklist is None:
        return False
    return status in (OPEN_STATUSES if checklist.opens == "declaration" else _CALM)


def waits(checklist: Checklist | None, status: str) -> bool:
    """Whether its items will matter again: the analysis while the incident is investigated once more."""
    if checklist is None or checklist.opens == "declaration":
        return False
    return status in OPEN_STATUSES and status not in _CALM
