"""What a person may do about an incident now, and why not."""

from __future__ import annotations

from dataclasses import dataclass

from django.urls import reverse

from core.access import REQUIRED, may
from core.actors import Actor
from incidents.models import Incident
from incidents.selectors.readers import may_open_up, may_restrict
from incidents.states import IncidentStatus


@dataclass(frozen=True)
class Action:
    """One button. A disabled one says why; `direct` posts at once, the others open a form."""

    key: str
    label: str
    icon: str
    url: str
    enabled: bool = True
    why_not: str = ""
    primary: bool = False
    hotkey: str = ""
    direct: bool = False
    danger: bool = False


def incident_actions(actor: Actor, incident: Incident, *, hold_reason: str = "") -> tuple[Action, ...]:
    """The incident's own actions in the order of the bar; `hold_reason` says what keeps it open."""
    if incident.status == IncidentStatus.CLOSED:
        return ()
    if incident.status == IncidentStatus.RESOLVED:
        return (
            _action(actor, incident, "close", "Close", "archive-box", primary=True),
            _action(actor, incident, "reopen", "Reopen", "arrow-path"),
        )
    actions = [
        _action(actor, incident, "update", "Update", "chat-bubble-left-right", hotkey="u"),
        _action(actor, incident, "severity", "Change severity", "adjustments-horizontal", hotkey="s"),
        _action(actor, incident, "escalate", "Escalate", "chevron-double-up", hotkey="e"),
        _action(actor, incident, "resolve", "Resolve", "check-circle", why_not=_held(incident, hold_reason)),
    ]
    if incident.acknowledged_at is None:
        acknowledge = _action(
            actor,
            incident,
            "acknowledge",
            "Acknowledge",
            "hand-raised",
            primary=True,
            hotkey="a",
            direct=True,
        )
        actions.insert(0, acknowledge)
    return tuple(actions)


def security_actions(actor: Actor, incident: Incident) -> tuple[Action, ...]:
    """What makes it more or less of a secret: its security level, restricting it, opening it up."""
    actions = []
    if incident.is_open:
        actions.append(_action(actor, incident, "security_level", "Security level…", "shield-exclamation"))
    if incident.restricted:
        why_not = "" if may_open_up(actor) else "For who may be security lead, and administrators."
        actions.append(_action(actor, incident, "unrestrict", "Open up…", "lock-open", why_not=why_not))
    else:
        why_not = "" if may_restrict(actor, incident) else "For commanders, and who holds a role on it."
        actions.append(_action(actor, incident, "restrict", "Restrict…", "lock-closed", why_not=why_not))
    return tuple(actions)


def why_not_allowed(actor: Actor, action: str) -> str:
    """Why the actor's level does not allow `action`; empty when it does."""
    if may(actor, action):
        return ""
    return f"Needs the account level {REQUIRED[action].label}; you have {actor.level.label}."


def _held(incident: Incident, hold_reason: str) -> str:
    if hold_reason:
        return f"{hold_reason}."
    return "A rollback is under way." if incident.status == IncidentStatus.ROLLBACK_INITIATED else ""


def _action(
    actor: Actor,
    incident: Incident,
    key: str,
    label: str,
    icon: str,
    *,
    why_not: str = "",
    primary: bool = False,
    hotkey: str = "",
    direct: bool = False,
) -> Action:
    reason = why_not_allowed(actor, "respond") or why_not
    return Action(
        key=key,
        label=label,
        icon=icon,
        url=reverse(f"incidents:{key}", args=[incident.ref]),
        enabled=not reason,
        why_not=reason,
        primary=primary,
        hotkey=hotkey,
        direct=direct,
    )
