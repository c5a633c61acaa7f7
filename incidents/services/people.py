"""Commands about people on an incident: roles taken, assigned and released, responders added."""

from __future__ import annotations

import datetime as dt

from django.db import transaction

from core.access import require
from core.actors import Actor, ActorKind
from core.errors import Conflict, Invalid, NotAllowed
from core.models import User
from incidents.models import Incident, Responder, RoleGrant
from incidents.selectors.people import get_holder
from incidents.services import incidents as incident_commands
from incidents.states import INCIDENT_ROLES, Role
from incidents.timeline import record_on_incident


class GrantMissing(NotAllowed):
    """The account may not hold this role."""

    code = "grant_missing"


class RoleHeld(Conflict):
    """Somebody else holds the role than the one whom the command was to replace."""

    code = "role_held"


@transaction.atomic
def assign_role(
    *, incident_id: int, role: str, username: str, actor: Actor, now: dt.datetime, replaces: str | None = None
) -> Responder:
    """Give a role to an account that has the grant; the holder before is kept in the history.

    Taking a role oneself needs the level responder; giving it to somebody else, commander. `replaces` is
    who holds it as far as is known, empty for nobody: where another does, raises RoleHeld. None asks nobody.
    """
    user = _account(username)
    require(actor, "respond" if user.pk == actor.user_id else "command")
    incident = incident_commands.lock_incident(incident_id, actor)
    if not incident.is_open:
        raise Conflict(
            f"{incident.ref} is {incident.status}; roles change on open incidents.",
            state=incident.status,
        )
    wanted = _incident_role(role)
    _check_holder(incident, wanted, get_holder(incident, wanted), replaces)
    return _hand_over(incident, wanted, user, actor=actor, now=now)


@transaction.atomic
def release_role(
    *, incident_id: int, role: str, actor: Actor, now: dt.datetime, replaces: str | None = None
) -> None:
    """Leave a role empty; raises Conflict when nobody holds it, RoleHeld as `assign_role` does."""
    incident = incident_commands.lock_incident(incident_id, actor)
    holding = get_holder(incident, _incident_role(role))
    if holding is None:
        raise Conflict(f"Nobody is {Role(role).label} of {incident.ref}.", state=incident.status)
    _check_holder(incident, Role(role), holding, replaces)
    require(actor, "respond" if holding.user_id == actor.user_id else "command")
    _end(holding, now)
    incident_commands.save_incident(incident)
    record_on_incident(
        incident,
        "role.released",
        f"{holding.user} is no longer {Role(role).label}",
        actor=actor,
        now=now,
        data={"role": role, "user": holding.user.get_username()},
    )


@transaction.atomic
def add_responder(*, incident_id: int, username: str, actor: Actor, now: dt.datetime) -> Responder:
    """Bring somebody onto the incident without a role; a restricted one they see from now on."""
    require(actor, "respond")
    incident = incident_commands.lock_incident(incident_id, actor)
    user = _account(username)
    if incident.responders.filter(user=user, until__isnull=True).exists():
        raise Conflict(f"{user} is on {incident.ref} already.", state=incident.status)
    row = incident.responders.create(user=user, since=now, added_by=actor.label)
    record_on_incident(
        incident,
        "responder.added",
        f"{user} joined" + (", and sees this restricted incident from now on" if incident.restricted else ""),
        actor=actor,
        now=now,
        data={"user": user.get_username(), "restricted": incident.restricted},
    )
    return row


def welcome_responder(incident: Incident, *, actor: Actor, now: dt.datetime) -> None:
    """Who acknowledges is a responder, and commander if nobody is and the account has the grant."""
    in_person = actor.is_person or actor.kind is ActorKind.CONTACT
    if not in_person or actor.user_id is None:
        return
    user = User.objects.get(pk=actor.user_id)
    if not incident.responders.filter(user=user, until__isnull=True).exists():
        incident.responders.create(user=user, since=now, added_by=actor.label)
    role = Role.INCIDENT_COMMANDER
    if get_holder(incident, role) is None and has_grant(user.pk, role):
        _hand_over(incident, role, user, actor=actor, now=now)


def join_quietly(incident: Incident, *, actor: Actor, now: dt.datetime) -> None:
    """Whoever declares or restricts what only few may see is on it; the command's own event says who."""
    if actor.is_machine or actor.user_id is None:
        return
    if not incident.responders.filter(user=actor.user_id, until__isnull=True).exists():
        incident.responders.create(user_id=actor.user_id, since=now, added_by=actor.label)


def has_grant(user_id: int, role: str) -> bool:
    """Whether the account may hold the role."""
    return RoleGrant.objects.filter(user_id=user_id, role=role, user__is_active=True).exists()


def _hand_over(incident: Incident, role: Role, user: User, *, actor: Actor, now: dt.datetime) -> Responder:
    if not has_grant(user.pk, role):
        raise GrantMissing(f"{user} has no grant to be {role.label}; an administrator gives it in the admin.")
    before = get_holder(incident, role)
    if before is not None:
        if before.user_id == user.pk:
            raise Conflict(f"{user} is {role.label} already.", state=incident.status)
        _end(before, now)
    row = incident.responders.create(user=user, role=role, since=now, added_by=actor.label)
    incident_commands.save_incident(incident)
    record_on_incident(
        incident,
        "role.assigned",
        f"{user} is {role.label}" + (f", after {before.user}" if before else ""),
        actor=actor,
        now=now,
        data={"role": role, "user": user.get_username()},
    )
    return row


def _check_holder(incident: Incident, role: Role, holder: Responder | None, replaces: str | None) -> None:
    name = holder.user.get_username() if holder else ""
    if replaces is None or replaces.lower() == name.lower():
        return
    said = f"{name} is {role.label} of {incident.ref} by now"
    if holder is None:
        said = f"Nobody is {role.label} of {incident.ref} any more"
    raise RoleHeld(f"{said}. Ask again if you still mean it.", state=incident.status)


def _end(holding: Responder, now: dt.datetime) -> None:
    holding.until = now
    holding.save(update_fields=["until"])


def _incident_role(role: str) -> Role:
    if role not in INCIDENT_ROLES:
        raise Invalid({"role": f"Must be one of {', '.join(INCIDENT_ROLES)}."})
    return Role(role)


def _account(username: str) -> User:
    user = User.objects.filter(username__iexact=username, is_active=True).first()
    if user is None:
        raise Invalid({"user": "No such account."})
    return user
