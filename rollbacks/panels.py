"""What this app shows on the pages of the apps to its left."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace
from typing import Any

from django.urls import reverse

from core.actors import Actor
from core.clock import utcnow
from core.health import Banner
from core.once import once
from incidents.models import Incident, Release, Service
from incidents.panels import Panel, ServiceNote
from incidents.selectors.actions import Action, why_not_allowed
from incidents.selectors.cards import incident_url
from incidents.states import ReleaseState, metric_name
from rollbacks.models import Rollback
from rollbacks.selectors.authority import case_of
from rollbacks.selectors.breaches import confirming_text
from rollbacks.selectors.choices import attention_of, rollback_actions
from rollbacks.selectors.confirmations import confirmation_of
from rollbacks.selectors.decision_lines import SHOWN, decision_lines
from rollbacks.selectors.decisions import decision_records
from rollbacks.selectors.plans import WayBack, request_url, ways_back
from rollbacks.selectors.readiness import last_rehearsals, rehearsal_text
from rollbacks.selectors.rollback_page import list_phases, rollback_facts, rollback_url, steps_with_tails
from rollbacks.selectors.trust import distrusted_monitors
from rollbacks.services.automation import current_switch
from rollbacks.states import DONE_STEPS, LIVE_STATES, RollbackState

SUSPECT_FOR = dt.timedelta(days=7)
SUSPECTS = 8
ROLLBACKS = 50
DECISIONS = 5
_WAITING = {
    RollbackState.AWAITING_APPROVAL: "Waits for approval",
    RollbackState.NEEDS_ATTENTION: "Waits for a person",
}


@dataclass(frozen=True)
class SuspectRelease:
    """A recent release of one of the incident's services; only the live one can be rolled back.

    `note` says of another one why it may be gone to, or why not.
    """

    version: str
    service: str
    state: str
    state_label: str
    deployed_at: dt.datetime
    suspect: bool
    request_url: str | None
    why_not: str
    target_version: str | None
    note: str


def incident_rollback(actor: Actor, incident: Incident) -> Panel:
    """The incident's live or else its last rollback, or the suggestion to ask for one."""
    rollbacks = _rollbacks_of(incident)
    shown = next((rollback for rollback in rollbacks if rollback.state in LIVE_STATES), None)
    shown = shown or (rollbacks[0] if rollbacks else None)
    why_not = _why_no_rollback(actor, incident)
    live = [rollback for rollback in rollbacks if rollback.state in LIVE_STATES]
    topics = [f"incident:{incident.ref}", *(f"rollback:{rollback.ref}" for rollback in live)]
    return Panel(
        key="incident_rollback",
        template="rollbacks/panel_incident.html",
        topics=" ".join(topics),
        url=incident_url(incident.ref),
        context={
            **(_decisions_on(actor, shown) if shown else {}),
            "others": tuple(_line(rollback) for rollback in live if rollback is not shown),
            "request_url": None if why_not else _and_back(request_url(incident)),
            "why_not": why_not,
            "suggestion": "",
        },
    )


def roll_back(actor: Actor, incident: Incident) -> Action | None:
    """For the action bar of an open incident."""
    if not incident.is_open:
        return None
    why_not = _why_no_rollback(actor, incident)
    return Action(
        key="roll_back",
        label="Roll back…",
        icon="arrow-uturn-left",
        url=_and_back(request_url(incident)),
        enabled=not why_not,
        why_not=why_not,
        hotkey="r",
        danger=True,
    )


def rollback_links(incident: Incident) -> dict[str, str]:
    """Where the references of the incident's rollbacks lead."""
    return {rollback.ref: rollback_url(rollback.ref) for rollback in _rollbacks_of(incident)}


@once
def _rollbacks_of(incident: Incident) -> list[Rollback]:
    """The newest rollbacks with their service (one query)."""
    rollbacks = list(Rollback.objects.filter(incident=incident).select_related("service")[:ROLLBACKS])
    for rollback in rollbacks:
        rollback.incident = incident
    return rollbacks


def _decisions_on(actor: Actor, rollback: Rollback) -> dict[str, Any]:
    """The rollback with its steps, and everything that a person may decide about it from here."""
    steps = steps_with_tails(rollback)
    case = case_of(rollback, utcnow())
    attention = attention_of(actor, rollback, steps)
    confirmation = confirmation_of(actor, rollback, steps)
    if attention is not None:
        choices = tuple(replace(choice, url=_and_back(choice.url)) for choice in attention.choices)
        attention = replace(attention, choices=choices)
    if confirmation is not None:
        confirmation = replace(confirmation, url=_and_back(confirmation.url))
    actions = rollback_actions(actor, rollback, steps, case)
    return {
        "rollback": rollback_facts(rollback),
        "phases": list_phases(rollback, steps),
        "done": sum(step.state in DONE_STEPS for step in steps),
        "total": len(steps),
        "waiting_text": _waiting_text(rollback),
        "actions": tuple(replace(action, url=_and_back(action.url)) for action in actions),
        "attention": attention,
        "confirmation": confirmation,
    }


def _line(rollback: Rollback) -> tuple[str, str, str, str]:
    state = rollback.get_state_display()
    return rollback.ref, rollback_url(rollback.ref), state, rollback.service.name


def _and_back(address: str) -> str:
    """The address of a command, which leads back to the incident's page where it was begun."""
    return f"{address}{'&' if '?' in address else '?'}back=incident"


def suspect_releases(actor: Actor, incident: Incident) -> Panel:
    """What was deployed to the incident's services in the week before it, the newest first."""
    services = {service.pk: service for service in incident.services.all()}
    releases = list(
        Release.objects.filter(
            service__in=list(services), deployed_at__gte=incident.started_at - SUSPECT_FOR
        )[:SUSPECTS]
    )
    asked_already = _first_services(incident)
    others = {services[release.service_id] for release in releases}.difference(asked_already)
    ways = {**ways_back(actor, incident, asked_already)}
    if others:
        ways |= ways_back(actor, incident, tuple(others))
    return Panel(
        key="suspect_releases",
        template="rollbacks/panel_releases.html",
        topics=f"incident:{incident.ref} now",
        url=incident_url(incident.ref),
        context={
            "releases": tuple(
                _suspect(incident, release, services[release.service_id], ways[release.service_id])
                for release in releases
            )
        },
    )


def incident_decisions(actor: Actor, incident: Incident) -> Panel:
    """What automation decided about the incident's services, the newest first (one query)."""
    rows = decision_records(actor).filter(incident=incident).only(*SHOWN)[:DECISIONS]
    return Panel(
        key="incident_decisions",
        template="rollbacks/panel_decisions.html",
        topics=f"incident:{incident.ref}",
        url=incident_url(incident.ref),
        context={"decisions": decision_lines(rows), "names": "service"},
    )


def service_decisions(actor: Actor, service: Service) -> Panel:
    """What automation decided about the service, the newest first (one query)."""
    rows = decision_records(actor).filter(service=service).only(*SHOWN)[:DECISIONS]
    return Panel(
        key="service_decisions",
        template="rollbacks/panel_decisions.html",
        topics=f"service:{service.slug}",
        url=reverse("incidents:service", args=[service.slug]),
        context={"decisions": decision_lines(rows), "names": "incident"},
    )


def lost_trust(actor: Actor, service: Service, *, now: dt.datetime) -> ServiceNote | None:
    """Which monitors may start no rollbacks any more (one query; two when there is one)."""
    found = distrusted_monitors(service, now=now)
    if not found:
        return None
    names = ", ".join(f"{metric_name(monitor.metric)} ({count} judged false)" for monitor, count in found)
    return ServiceNote(icon="hand-raised", text=f"Starts no rollbacks: {names}", tone="warning")


def readiness(actor: Actor, service: Service, *, now: dt.datetime) -> ServiceNote | None:
    """When the service's own procedure was last rehearsed (two queries)."""
    if not service.procedure:
        return None
    last = last_rehearsals(actor, [service.pk]).get((service.pk, service.procedure))
    well = last is not None and last.succeeded
    return ServiceNote(
        icon="academic-cap",
        text=rehearsal_text(last, now=now),
        url=last.url if last else "",
        tone="neutral" if well else "warning",
    )


def automation_banner() -> tuple[Banner, ...]:
    """Every page says when automation is disarmed (one query)."""
    switch = current_switch()
    if switch.armed:
        return ()
    since = f" at {switch.changed_at:%Y-%m-%d %H:%M} UTC" if switch.changed_at else ""
    detail = f"By {switch.changed_by}{since}: {switch.reason}"
    return (
        Banner("warning", "pause-circle", "Automation is disarmed: no rollback starts by itself.", detail),
    )


def _waiting_text(rollback: Rollback) -> str:
    return _WAITING.get(RollbackState(rollback.state), "") or confirming_text(rollback)


def _why_no_rollback(actor: Actor, incident: Incident) -> str:
    services = _first_services(incident)
    if refusal := why_not_allowed(actor, "request_rollback"):
        return refusal
    if not services:
        return f"{incident.ref} names no service."
    refusals = [way.why_not for way in ways_back(actor, incident, services).values()]
    return "" if "" in refusals else refusals[0]


def _first_services(incident: Incident) -> tuple[Service, ...]:
    return tuple(incident.services.all())[:SUSPECTS]


def _suspect(incident: Incident, release: Release, service: Service, way: WayBack) -> SuspectRelease:
    state = ReleaseState(release.state)
    live = state is ReleaseState.LIVE
    why_not = way.why_not if live else ""
    may_be_left = live and not why_not
    return SuspectRelease(
        version=release.version,
        service=service.name,
        state=state.value,
        state_label=str(state.label),
        deployed_at=release.deployed_at,
        suspect=live,
        request_url=_and_back(request_url(incident, service)) if may_be_left else None,
        why_not=why_not,
        target_version=way.targets.default if may_be_left else None,
        note="" if live else way.targets.note(release.version),
    )
