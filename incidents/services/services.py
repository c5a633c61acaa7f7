"""Commands on services and their release ledger."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.db.models import F

from core import events
from core.access import require
from core.actors import Actor
from core.assurance import require_assurance
from core.errors import Conflict, Invalid, NotAllowed, NotFound
from core.models.events import StreamKind
from core.playbook import get_playbook
from incidents import policy
from incidents.models import Release, Service
from incidents.models.services import slug_validator
from incidents.selectors.records import get_release
from incidents.services.cleanliness import note_cleanliness
from incidents.services.incidents import EARLIEST
from incidents.states import ReleaseState
from incidents.timeline import record_on_service

EDITABLE = ("name", "environment", "tier", "procedure", "auto_rollback", "public_name")


class DuplicateName(Conflict):
    """Something of that name exists."""

    code = "duplicate"


@transaction.atomic
def create_service(
    *,
    actor: Actor,
    now: dt.datetime,
    slug: str,
    name: str,
    environment: str = "production",
    tier: int | None = None,
    procedure: str = "",
    auto_rollback: bool = False,
    public_name: str = "",
) -> Service:
    """Start watching over a service. Raises Invalid (unknown procedure) or DuplicateName."""
    if not actor.is_machine:
        require(actor, "configure")
    slug_validator(slug)
    _check_procedure(procedure)
    if Service.objects.filter(slug=slug).exists():
        raise DuplicateName(f"There is a service {slug} already.")
    service = Service.objects.create(
        slug=slug,
        name=name,
        environment=environment,
        tier=tier,
        procedure=procedure,
        auto_rollback=auto_rollback,
        public_name=public_name,
        created_at=now,
        stream=events.open_stream(StreamKind.SERVICE, slug),
    )
    record_on_service(service, "service.created", f"{name} is watched over", actor=actor, now=now)
    return service


@transaction.atomic
def edit_service(*, service_id: int, changes: Mapping[str, Any], actor: Actor, now: dt.datetime) -> Service:
    """Change what a service is: any of EDITABLE; the slug stays. Raises Invalid (unknown procedure).

    What changes nothing is no event and no new version.
    """
    require(actor, "configure")
    service = _lock_service(service_id)
    _check_procedure(changes.get("procedure", ""))
    different = {name: changes[name] for name in EDITABLE if name in changes}
    different = {name: value for name, value in different.items() if value != getattr(service, name)}
    if not different:
        return service
    Service.objects.filter(pk=service.pk).update(version=F("version") + 1, **different)
    service.refresh_from_db()
    record_on_service(
        service,
        "service.edited",
        f"Changed {', '.join(name.replace('_', ' ') for name in different)}",
        actor=actor,
        now=now,
        data={"fields": list(different), "auto_rollback": service.auto_rollback},
    )
    return service


@transaction.atomic
def record_release(
    *,
    service_id: int,
    version: str,
    actor: Actor,
    now: dt.datetime,
    commit: str = "",
    artifact: str = "",
    schema_version: str = "",
    security_baseline: bool = False,
    deployed_at: dt.datetime | None = None,
) -> Release:
    """A version was deployed: it is live now, the one before it becomes good or superseded.

    The one before is `good`, a target to return to, when no monitor had complained for the
    playbook's `release_is_good_after`. A version that is deployed anew has to become good anew, and
    a quarantine of it stays. Raises Conflict when this version is live already.
    """
    if not actor.is_machine:
        require(actor, "record_release")
    service = _lock_service(service_id)
    if deployed_at is not None and not EARLIEST <= deployed_at <= now + dt.timedelta(minutes=5):
        raise Invalid({"deployed_at": "Must lie between the year 2000 and now."})
    if Release.objects.filter(service=service, version=version, state=ReleaseState.LIVE).exists():
        raise Conflict(f"{version} of {service.slug} is live already.", state=ReleaseState.LIVE)
    _retire_live(service, now)
    deployed = deployed_at or now
    release, _created = Release.objects.update_or_create(
        service=service,
        version=version,
        defaults={
            "commit": commit,
            "artifact": artifact,
            "schema_version": schema_version,
            "security_baseline": security_baseline,
            "state": ReleaseState.LIVE,
            "deployed_at": deployed,
            "recorded_at": now,
            "clean_since": deployed,
            "good_at": None,
            "ended_at": None,
        },
    )
    note_cleanliness(service, now)
    record_on_service(
        service,
        "release.recorded",
        f"{version} is live",
        actor=actor,
        now=now,
        data={"version": version},
    )
    return release


@transaction.atomic
def switch_back(
    *,
    service_id: int,
    from_version: str,
    to_version: str,
    rollback_ref: str,
    actor: Actor,
    now: dt.datetime,
) -> None:
    """A rollback has put an older version live: the ledger follows."""
    service = _lock_service(service_id)
    Release.objects.filter(service=service, state=ReleaseState.LIVE).exclude(version=to_version).update(
        state=ReleaseState.ROLLED_BACK, ended_at=now, clean_since=None
    )
    Release.objects.filter(service=service, version=to_version).update(
        state=ReleaseState.LIVE, ended_at=None, clean_since=now
    )
    note_cleanliness(service, now)
    record_on_service(
        service,
        "release.rolled_back",
        f"{from_version} → {to_version} by {rollback_ref}",
        actor=actor,
        now=now,
        data={"from": from_version, "to": to_version, "rollback": rollback_ref},
    )


@transaction.atomic
def quarantine_release(
    *, service_id: int, version: str, reason: str, actor: Actor, now: dt.datetime
) -> Release:
    """This version must not be returned to, until a person lifts the quarantine.

    The live version may be quarantined too: it stays live, and is quarantined when it is replaced.
    Raises NotFound, Invalid, or Conflict when it is quarantined already.
    """
    if not actor.is_machine:
        require(actor, "decide_rollback")
    if not reason.strip():
        raise Invalid({"reason": "Say why it must not be returned to."})
    service = _lock_service(service_id)
    release = get_release(service, version)
    if release.quarantined_at is not None:
        raise Conflict(f"{version} of {service.slug} is quarantined already.", state=release.state)
    release.quarantined_at, release.quarantine_reason = now, reason.strip()[:500]
    if release.state in (ReleaseState.GOOD, ReleaseState.SUPERSEDED):
        release.state = ReleaseState.QUARANTINED
    release.save(update_fields=["quarantined_at", "quarantine_reason", "state"])
    record_on_service(
        service,
        "release.quarantined",
        f"{version} is quarantined: {reason}",
        actor=actor,
        now=now,
        data={"version": version, "reason": reason[:500]},
    )
    return release


@transaction.atomic
def lift_quarantine(*, service_id: int, version: str, reason: str, actor: Actor, now: dt.datetime) -> Release:
    """A person answers for it: the version is what it was before its quarantine.

    Raises NotAllowed for anybody but a person, NotFound, Invalid, or Conflict when it is not quarantined.
    """
    require(actor, "configure")
    if not actor.is_person:
        raise NotAllowed("Only a person lifts a quarantine, never a token.")
    if not reason.strip():
        raise Invalid({"reason": "Say why it may be returned to again."})
    service = _lock_service(service_id)
    release = get_release(service, version)
    if release.quarantined_at is None and release.state != ReleaseState.QUARANTINED:
        raise Conflict(f"{version} of {service.slug} is not quarantined.", state=release.state)
    require_assurance(actor, now)
    release.quarantined_at, release.quarantine_reason = None, ""
    if release.state == ReleaseState.QUARANTINED:
        release.state = ReleaseState.GOOD if release.good_at else ReleaseState.SUPERSEDED
    release.save(update_fields=["quarantined_at", "quarantine_reason", "state"])
    record_on_service(
        service,
        "release.quarantine_lifted",
        f"The quarantine of {version} is lifted: {reason}",
        actor=actor,
        now=now,
        data={"version": version, "reason": reason[:500]},
    )
    return release


def _check_procedure(procedure: str) -> None:
    if procedure and procedure not in get_playbook()["procedures"]:
        raise Invalid({"procedure": f"The playbook has no procedure {procedure}."})


def _retire_live(service: Service, now: dt.datetime) -> None:
    live = Release.objects.filter(service=service, state=ReleaseState.LIVE).first()
    if live is None:
        return
    needed = dt.timedelta(seconds=policy.thresholds().release_is_good_after)
    if live.good_at is None and live.clean_since is not None and now - live.clean_since >= needed:
        live.good_at = live.clean_since + needed
    live.state = ReleaseState.GOOD if live.good_at else ReleaseState.SUPERSEDED
    if live.quarantined_at is not None:
        live.state = ReleaseState.QUARANTINED
    live.ended_at = now
    live.save(update_fields=["state", "good_at", "ended_at"])


def _lock_service(service_id: int) -> Service:
    service = Service.objects.select_for_update(no_key=True).filter(pk=service_id).first()
    if service is None:
        raise NotFound("No such service.")
    return service
