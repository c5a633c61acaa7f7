"""Which messages an event sends, to whom, and whether a message is still true. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from comms.playbook import Route
from comms.rules.reach import Person, Recipient, Way, ways_of
from comms.states import Means, Template

PLACEHOLDERS = ("severity", "addressed")
EVERYONE = "everyone"


@dataclass(frozen=True)
class Group:
    """Whom one route tells: audiences (nothing stands for anything else any more), and how."""

    audiences: tuple[str, ...]
    channels: tuple[str, ...]
    page: bool


@dataclass(frozen=True)
class Planned:
    """One message of an event: its template, and the groups of all routes that send it."""

    template: Template
    groups: tuple[Group, ...]

    @property
    def audiences(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(a for group in self.groups for a in group.audiences))

    @property
    def channels(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(c for group in self.groups for c in group.channels))


def plan(
    routes: Iterable[Route],
    *,
    kind: str,
    facts: Mapping[str, Any],
    severity_audiences: Sequence[str],
    addressed: str | Sequence[str] | None = None,
) -> list[Planned]:
    """The messages of an event of `kind`; `facts` are its data and what is known of its incident."""
    groups: dict[Template, list[Group]] = {}
    for route in routes:
        if route.event == kind and all(_fits(facts.get(name), value) for name, value in route.when.items()):
            audiences = audiences_of(route, severity_audiences, addressed)
            groups.setdefault(route.template, []).append(Group(audiences, route.channels, route.page))
    return [Planned(template, tuple(found)) for template, found in groups.items()]


def _fits(fact: Any, wanted: Any) -> bool:
    return fact in wanted if isinstance(wanted, tuple) else fact == wanted


def audiences_of(
    route: Route, severity_audiences: Sequence[str], addressed: str | Sequence[str] | None = None
) -> tuple[str, ...]:
    """The route's audiences without repetition.

    `severity` is replaced by the severity's own, `addressed` by those that the event names.
    """
    named_by_event = (addressed,) if isinstance(addressed, str) else tuple(addressed or ())
    stands_for = {"severity": tuple(severity_audiences), "addressed": named_by_event}
    named = [a for audience in route.audiences for a in stands_for.get(audience, (audience,))]
    return tuple(dict.fromkeys(named))


def recipients(
    groups: Iterable[Group],
    *,
    places: Iterable[str],
    people: Mapping[str, Sequence[Person]],
    ways: Sequence[Way],
    usual: Sequence[Means],
) -> dict[Recipient, bool]:
    """Who gets a delivery, each once, and whether it is a page (which goes first).

    `places` are the channels that are told once, `people` who belongs to each audience. A page that
    finds nobody reachable in one way still takes every other.
    """
    known = set(places)
    found: dict[tuple[str, str], tuple[Recipient, bool]] = {}

    def add(recipient: Recipient, *, urgent: bool) -> None:
        key = (recipient.channel, recipient.address)
        was = found.get(key)
        found[key] = (was[0] if was else recipient, urgent or bool(was and was[1]))

    for group in groups:
        for channel in group.channels:
            if channel in known:
                add(Recipient(channel, channel), urgent=group.page)
        for person in dict.fromkeys(p for audience in group.audiences for p in people.get(audience, ())):
            ordered = ways_of(person, ways, usual)
            if group.page and ordered:
                add(ordered[0], urgent=True)
            for way in ordered:
                if way.channel in group.channels:
                    add(way, urgent=False)
    return dict(found.values())


def is_stale(
    template: str,
    *,
    incident_open: bool,
    acknowledged: bool,
    rollback_state: str,
    overdue: bool = False,
    answered: bool = False,
) -> bool:
    """Whether a message that has not left yet would say something that is no longer true.

    `overdue` is of what a message says that it is overdue; `answered`: the silence it is about has ended.
    """
    if template == Template.APPROVAL_REQUESTED:
        return rollback_state != "awaiting_approval"
    if template == Template.ATTENTION_PAGE:
        return rollback_state not in ("needs_attention", "failed", "cancelled")  # cancelled: not confirmed
    if template == Template.RUNNER_MISSING:
        return rollback_state not in ("approved", "validating", "executing", "verifying")
    if template in (Template.CHECKLIST_OVERDUE, Template.TASK_OVERDUE):
        return not overdue
    if template == Template.UPDATE_OVERDUE:
        return not (overdue and incident_open)
    if template == Template.ESCALATION and answered:
        return True
    if template == Template.RESPONSE_OVERDUE:
        return acknowledged or not incident_open
    while_open = (
        Template.INCIDENT_ALERT, Template.ROLLBACK_NOTICE, Template.ESCALATION, Template.MAINTENANCE,
    )  # fmt: skip
    return template in while_open and not incident_open
