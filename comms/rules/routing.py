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


def audiences_of(route: Route, severity_audiences: Sequence[str]) -> tuple[str, ...]:
    """The route's audiences, `severity` replaced by the severity's own, without repetition."""
    named = [
        a
        for audience in route.audiences
        for a in (severity_audiences if audience == "severity" else [audience])
    ]
    return tuple(dict.fromkeys(named))


def is_stale(template: str, *, incident_open: bool, acknowledged: bool, rollback_state: str) -> bool:
    """Whether a message that has not left yet would say something that is no longer true."""
    if template == Template.APPROVAL_REQUESTED:
        return rollback_state != "awaiting_approval"
    if template == Template.ATTENTION_PAGE:
        return rollback_state not in ("needs_attention", "failed")
    if template == Template.RESPONSE_OVERDUE:
        return acknowledged or not incident_open
    return template in (Template.INCIDENT_ALERT, Template.ROLLBACK_NOTICE) and not incident_open
