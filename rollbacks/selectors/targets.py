"""The ledger as a rollback sees it: where it may go, and whether its target still holds."""

from __future__ import annotations

from collections.abc import Sequence

from django.db.models import Q

from core.playbook import get_playbook
from incidents.models import Release, Service
from incidents.selectors.ledgers import newest_releases
from incidents.states import IncidentKind, ReleaseState
from rollbacks import policy
from rollbacks.models import Rollback
from rollbacks.rules.targets import Listed, Targets, judge_targets, why_lacks, why_no_return

LEDGER = 50
"""So many of the newest releases are considered; an older one only when it is asked for by name."""


def list_ledger(service: Service, *also: str) -> list[Listed]:
    """The newest releases, the live one, and the versions `also` however old they are (one query)."""
    rows = Release.objects.filter(service=service)
    newest = rows.order_by("-deployed_at", "-pk").values("pk")[:LEDGER]
    wanted = Q(pk__in=newest) | Q(state=ReleaseState.LIVE) | Q(version__in=also)
    return [_listed(release) for release in rows.filter(wanted).order_by("-deployed_at", "-pk")]


def targets_of(
    service: Service, *, kind: str = IncidentKind.OPERATIONAL, procedure: str = "", also: str = ""
) -> Targets:
    """Where a rollback of the service may go for an incident of this kind (one query).

    Without `procedure`, the service's own says what must be known of a target.
    """
    return judge_targets(
        list_ledger(service, also),
        security=kind == IncidentKind.SECURITY,
        needs=needs_of(procedure or service.procedure),
    )


def targets_of_each(
    services: Sequence[Service], *, kind: str = IncidentKind.OPERATIONAL
) -> dict[int, Targets]:
    """Where a rollback of each service may go by its own procedure, by the service's id (one query)."""
    releases = newest_releases(services, each=LEDGER)
    security = kind == IncidentKind.SECURITY
    return {
        service.pk: judge_targets(
            [_listed(release) for release in releases[service.pk]],
            security=security,
            needs=needs_of(service.procedure),
        )
        for service in services
    }


def needs_of(procedure: str) -> frozenset[str]:
    """What the procedure must know of its target; nothing where the playbook has no such procedure."""
    return policy.needs_of_target(procedure) if procedure in get_playbook()["procedures"] else frozenset()


def no_target_text(targets: Targets, kind: str) -> str:
    """What a service lacks that has no candidate, with the newest release that is none."""
    wanted = "security baseline" if kind == IncidentKind.SECURITY else "verified good release"
    others = targets.others_than_live
    return f"no {wanted} to return to" + (f" ({others[0].version}: {others[0].why})" if others else "")


def why_live_lacks(service: Service, procedure: str) -> str:
    """What a procedure that leaves the version must know of it, and the ledger does not say (one query)."""
    live = Release.objects.filter(service=service, state=ReleaseState.LIVE).first()
    return why_lacks(_listed(live), needs_of(procedure)) if live else ""


def why_not_target(rollback: Rollback) -> str:
    """Why the rollback may not go to its target any more; empty when it may.

    Asked before anything changes, and again right before the switch.
    """
    ledger = list_ledger(rollback.service, rollback.target_version)
    live = next((listed for listed in ledger if listed.state is ReleaseState.LIVE), None)
    if live is None:
        return f"no live release of {rollback.service.name} is recorded"
    if live.version != rollback.from_version:
        return f"{rollback.from_version} is no longer live"
    security = rollback.incident.kind == IncidentKind.SECURITY
    needs = needs_of(rollback.procedure)
    if rollback.returns != "version":
        return why_lacks(live, needs)
    if returns_to_where_its_parent_began(rollback):
        target = next((listed for listed in ledger if listed.version == rollback.target_version), None)
        why_not = why_no_return(target, live, needs=needs) if target else "it is not recorded"
        return f"{rollback.target_version} may not be returned to: {why_not}" if why_not else ""
    why_not = judge_targets(ledger, security=security, needs=needs).why_not(rollback.target_version)
    kind = "security baseline" if security else "verified good release"
    return f"{rollback.target_version} is no longer a {kind}: {why_not}" if why_not else ""


def returns_to_where_its_parent_began(rollback: Rollback) -> bool:
    """Whether it undoes another one."""
    return rollback.parent is not None and rollback.target_version == rollback.parent.from_version


def _listed(release: Release) -> Listed:
    known = {"commit": release.commit, "artifact": release.artifact}
    return Listed(
        version=release.version,
        state=ReleaseState(release.state),
        deployed_at=release.deployed_at,
        good_at=release.good_at,
        security_baseline=release.security_baseline,
        schema_version=release.schema_version,
        quarantined_at=release.quarantined_at,
        quarantine_reason=release.quarantine_reason,
        has=frozenset(name for name, value in known.items() if policy.is_safe_word(value)),
    )
