"""Who may read a restricted incident, and who could join it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import Exists, OuterRef, Prefetch, Q, QuerySet

from core.access import may
from core.actors import Actor, Level
from core.models import User
from incidents.models import Incident, Responder, RoleGrant
from incidents.states import Role

MOST_OFFERED = 500


@dataclass(frozen=True)
class Reader:
    """An account that sees a restricted incident, and why."""

    name: str
    why: str


def list_readers(incident: Incident) -> tuple[Reader, ...]:
    """Everybody who sees a restricted incident, those who work on it first (two queries).

    The same rule as `visible_to`, from the incident's side; a test compares the two.
    """
    on_it = Responder.objects.filter(incident=incident, until__isnull=True)
    mine = on_it.filter(user=OuterRef("pk"))
    rows = _accounts().filter(Q(Exists(mine)) | _sees_all())
    rows = rows.annotate(is_on_it=Exists(mine), is_granted=_is_granted()).distinct()
    readers = [user for user in rows if user.level >= Level.VIEWER]
    readers.sort(key=lambda user: (not user.is_on_it, not user.is_granted, user.username))
    return tuple(Reader(user.username, _why(user)) for user in readers)


def who_may_take_on_security() -> frozenset[int]:
    """Accounts that see every restricted incident and may acknowledge it, by their key (two queries)."""
    rows = _accounts().filter(_sees_all()).distinct()
    return frozenset(user.pk for user in rows if user.level >= Level.RESPONDER)


def list_who_may_join(incident: Incident) -> tuple[str, ...]:
    """The names of accounts that may respond and are not on the incident (two queries)."""
    on_it = Responder.objects.filter(incident=incident, until__isnull=True).values("user")
    rows = _accounts().exclude(pk__in=on_it).order_by("username")
    return tuple(_names(rows[:MOST_OFFERED]))


def may_restrict(actor: Actor, incident: Incident) -> bool:
    """A commander, who holds a role on the incident, or who may be security lead (a query each at most)."""
    if may(actor, "command"):
        return True
    if actor.user_id is None or not may(actor, "respond"):
        return False
    holds = incident.responders.filter(user=actor.user_id, until__isnull=True).exclude(role="")
    return holds.exists() or _may_be_security_lead(actor.user_id)


def may_open_up(actor: Actor) -> bool:
    """A person who may be security lead, or an administrator; whoever has a shell (one query at most)."""
    if actor.is_machine:
        return True
    if not actor.is_person or actor.user_id is None or not may(actor, "read"):
        return False
    return may(actor, "administer") or _may_be_security_lead(actor.user_id)


def _may_be_security_lead(user_id: int) -> bool:
    return RoleGrant.objects.filter(user=user_id, role=Role.SECURITY_LEAD).exists()


_ADMINISTRATOR = Level.ADMINISTRATOR.label


def _is_granted() -> Exists:
    return Exists(RoleGrant.objects.filter(user=OuterRef("pk"), role=Role.SECURITY_LEAD))


def _sees_all() -> Q:
    """Whose account sees restricted incidents without working on them."""
    return Q(_is_granted()) | Q(is_superuser=True) | Q(groups__name=_ADMINISTRATOR)


def _accounts() -> QuerySet[User]:
    return User.objects.filter(is_active=True).prefetch_related(Prefetch("groups"))


def _names(users: Iterable[User]) -> Iterable[str]:
    return (user.username for user in users if user.level >= Level.RESPONDER)


def _why(user: User) -> str:
    if getattr(user, "is_on_it", False):
        return "works on it"
    return "may be security lead" if getattr(user, "is_granted", False) else "administrator"
