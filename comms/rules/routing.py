"""Which messages an event sends, and whether a message is still true. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from comms.playbook import Route
from comms.states import Template


def matching_routes(routes: Iterable[Route], *, kind: str, data: Mapping[str, Any]) -> list[Route]:
    """The routes for an event of `kind` with `data`."""
    return [
        route
        for route in routes
        if route.event == kind and all(data.get(name) == value for name, value in route.when.items())
    ]


def audiences_of(
    route: Route, severity_audiences: Sequence[str], addressed: str | None = None
) -> tuple[str, ...]:
    """The route's audiences without repetition.

    `severity` is replaced by the severity's own, `addressed` by the one that the event names.
    """
    stands_for = {"severity": tuple(severity_audiences), "addressed": (addressed,) if addressed else ()}
    named = [a for audience in route.audiences for a in stands_for.get(audience, (audience,))]
    return tuple(dict.fromkeys(named))


def is_stale(
    template: str, *, incident_open: bool, acknowledged: bool, rollback_state: str, overdue: bool = False
) -> bool:
    """Whether a message that has not left yet would say something that is no longer true."""
    if template == Template.APPROVAL_REQUESTED:
        return rollback_state != "awaiting_approval"
    if template == Template.ATTENTION_PAGE:
        return rollback_state not in ("needs_attention", "failed", "cancelled")  # cancelled: not confirmed
    if template == Template.RUNNER_MISSING:
        return rollback_state not in ("approved", "validating", "executing", "verifying")
    if template == Template.CHECKLIST_OVERDUE:
        return not overdue
    if template == Template.RESPONSE_OVERDUE:
        return acknowledged or not incident_open
    while_open = (Template.INCIDENT_ALERT, Template.ROLLBACK_NOTICE, Template.ESCALATION)
    return template in while_open and not incident_open
