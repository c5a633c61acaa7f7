"""What a rollback would do, before anybody asks for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.urls import reverse

from core.actors import Actor
from core.errors import NotFound
from core.once import once
from core.playbook import get_playbook
from incidents.models import Incident, Service
from incidents.selectors.actions import why_not_allowed
from incidents.selectors.declaration import told_text
from incidents.values import duration_text
from rollbacks import policy
from rollbacks.models import Rollback
from rollbacks.playbook import Procedure
from rollbacks.rules.authority import Case, describe, judge_plan
from rollbacks.rules.targets import Judged, Targets
from rollbacks.selectors.authority import demands_on, person_on_incident
from rollbacks.selectors.targets import no_target_text, targets_of, targets_of_each
from rollbacks.states import Phase


@dataclass(frozen=True)
class PlannedStep:
    """A step of the procedure."""

    phase: str
    label: str
    mutating: bool


@dataclass(frozen=True)
class OtherProcedure:
    """Another procedure of the playbook, and where its plan is shown."""

    name: str
    description: str
    url: str


@dataclass(frozen=True)
class WayBack:
    """Where a rollback of a service may go, and why none can be requested now; empty when one can."""

    targets: Targets
    why_not: str


@dataclass(frozen=True)
class Plan:
    """A rollback that could be requested: to what, how, who decides and who is told."""

    service: str
    service_slug: str
    environment: str
    procedure_key: str
    procedure: str
    other_procedures: tuple[OtherProcedure, ...]
    from_version: str | None
    returns: str
    candidates: tuple[Judged, ...]
    others: tuple[Judged, ...]
    steps: tuple[PlannedStep, ...]
    expected_duration_seconds: int
    expected_duration_text: str
    expected_impact: str
    authority_text: str
    audience_text: str
    needs_approval: bool
    submit_label: str
    why_not: str


def make_plan(actor: Actor, incident: Incident, service: Service, procedure_key: str = "") -> Plan:
    """The plan of a rollback of one of the incident's services, by its own procedure unless another is named.

    Raises Invalid without a procedure.
    """
    key = procedure_key or service.procedure
    procedure = policy.procedure(key)
    targets = targets_of(service, kind=incident.kind, procedure=key)
    of_a_version = procedure.returns == "version"
    demands = demands_on(incident, procedure)
    verdict = judge_plan(Case(demands, person_on_incident(actor, incident)))
    return Plan(
        service=service.name,
        service_slug=service.slug,
        environment=service.environment,
        procedure_key=key,
        procedure=procedure.name,
        other_procedures=_others(incident, service, key),
        from_version=targets.live,
        returns=procedure.returns,
        candidates=targets.candidates if of_a_version else (),
        others=targets.others_than_live if of_a_version else (),
        steps=_steps(procedure),
        expected_duration_seconds=int(procedure.expected_duration),
        expected_duration_text=duration_text(procedure.expected_duration),
        expected_impact=procedure.expected_impact,
        authority_text=f"{describe(demands)}. {verdict.reason}",
        audience_text=told_text(incident.severity),
        needs_approval=verdict.needs_approval,
        submit_label="Request rollback" if verdict.needs_approval else "Roll back now",
        why_not=_why_no_target(incident, service, targets, of_a_version=of_a_version),
    )


def service_to_roll_back(incident: Incident, slug: str) -> Service:
    """The incident's service of that slug; without one the first that has a release to return to."""
    services = list(incident.services.all())
    if slug:
        services = [service for service in services if service.slug == slug]
    if not services:
        raise NotFound(f"{incident.ref} names no such service.")
    if len(services) == 1:
        return services[0]
    targets = targets_of_each(services, kind=incident.kind)
    return next((s for s in services if not _why_no_way(incident, s, targets[s.pk])), services[0])


def _others(incident: Incident, service: Service, key: str) -> tuple[OtherProcedure, ...]:
    address = request_url(incident, service)
    return tuple(
        OtherProcedure(other.name, other.description, f"{address}&procedure={name}")
        for name, other in sorted(get_playbook()["procedures"].items())
        if name != key
    )


def request_url(incident: Incident, service: Service | None = None) -> str:
    address = reverse("rollbacks:request", args=[incident.ref])
    return f"{address}?service={service.slug}" if service else address


def why_no_request(actor: Actor, incident: Incident, service: Service) -> str:
    """Why a rollback of the service cannot be requested now; empty when it can (two queries)."""
    return ways_back(actor, incident, (service,))[service.pk].why_not


@once
def ways_back(actor: Actor, incident: Incident, services: tuple[Service, ...]) -> Mapping[int, WayBack]:
    """Of each service by its id (two queries, however many they are)."""
    targets = targets_of_each(services, kind=incident.kind)
    why_not = _why_no_requests(actor, incident, services, targets)
    return {pk: WayBack(targets[pk], why_not[pk]) for pk in targets}


def _why_no_requests(
    actor: Actor, incident: Incident, services: Sequence[Service], targets: Mapping[int, Targets]
) -> dict[int, str]:
    """One query at most."""
    refusal = why_not_allowed(actor, "request_rollback")
    if not refusal and not incident.is_open:
        refusal = f"{incident.ref} is {incident.get_status_display().lower()}; reopen it first."
    if refusal:
        return {service.pk: refusal for service in services}
    live = Rollback.objects.live().filter(service__in=services, drill=incident.drill)
    running = {
        one.service_id: one.ref if one.incident_id == incident.pk else one.told_name
        for one in live.select_related("incident")
    }
    return {
        service.pk: f"{running[service.pk]} of {service.name} is under way: one at a time."
        if service.pk in running
        else _why_no_way(incident, service, targets[service.pk])
        for service in services
    }


def _why_no_way(incident: Incident, service: Service, targets: Targets) -> str:
    """Why nothing of the service could go back by its procedure."""
    if service.procedure not in get_playbook()["procedures"]:
        return f"{service.name} has no rollback procedure; set one in the admin."
    of_a_version = policy.procedure(service.procedure).returns == "version"
    return _why_no_target(incident, service, targets, of_a_version=of_a_version)


def _why_no_target(incident: Incident, service: Service, targets: Targets, *, of_a_version: bool) -> str:
    if targets.live is None:
        return f"No live release of {service.name} is recorded."
    if of_a_version and not targets.candidates:
        return f"{service.name} has {no_target_text(targets, incident.kind)}."
    return ""


def _steps(procedure: Procedure) -> tuple[PlannedStep, ...]:
    return tuple(
        PlannedStep(str(Phase(phase).label), step.name, step.mutating) for phase, step in procedure.steps()
    )
