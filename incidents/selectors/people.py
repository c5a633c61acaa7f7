"""Who is on an incident."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from django.db.models import Q, QuerySet
from django.db.models.functions import Lower

from core.access import may
from core.actors import Level, actor_for_user
from core.models import User
from core.once import once
from incidents.models import Incident, Responder
from incidents.states import Role

LONGEST_NAME = 150  # of an account


@once
def people_on(incident: Incident) -> Sequence[Responder]:
    """Who is on it now, once for each role, with their accounts' names (one query)."""
    rows = incident.responders.filter(until__isnull=True).select_related("user")
    return list(rows.only("incident", "role", "since", "user__username"))


def role_holders(incident: Incident) -> dict[Role, str]:
    """The account name of each role's holder; roles nobody holds are missing (one query)."""
    rows = (
        incident.responders.filter(until__isnull=True).exclude(role="").values_list("role", "user__username")
    )
    return {Role(role): username for role, username in rows}


def who_may_see(incident: Incident, users: Iterable[User]) -> list[User]:
    """Those of the accounts that are still there and may see the incident (a query each on a restricted one).

    A second factor is asked of sessions: being named on an incident or told of it is none.
    """
    return [user for user in users if user.is_active and _may_see(user, incident)]


def _may_see(user: User, incident: Incident) -> bool:
    account = replace(actor_for_user(user), second_factor=True)
    if not incident.restricted:
        return may(account, "read")
    return Incident.objects.visible_to(account).filter(pk=incident.pk).exists()


def get_holder(incident: Incident, role: Role) -> Responder | None:
    """Who holds the role now (one query)."""
    return incident.responders.select_related("user").filter(role=role, until__isnull=True).first()


def choose_people(words: str, limit: int) -> list[User]:
    """Accounts that may read whose names have these words, those that begin so first; without words by name
    (two queries at most).
    """
    rows = _readers().order_by("username")
    begun = words.strip()
    if not begun:
        return list(rows[:limit])
    found = list(rows.filter(username__istartswith=begun)[:limit])
    if len(found) < limit:
        others = rows.exclude(pk__in=[user.pk for user in found])
        for word in begun.split():
            others = others.filter(
                Q(username__icontains=word) | Q(first_name__icontains=word) | Q(last_name__icontains=word)
            )
        found += list(others[: limit - len(found)])
    return found


def known_people(names: Iterable[str]) -> Mapping[str, str]:
    """Of these names the accounts that are there, by their names in small letters (one query)."""
    asked = [name.lower() for name in names if name.isprintable() and len(name) <= LONGEST_NAME]
    if not asked:
        return {}
    rows = User.objects.filter(is_active=True).annotate(small=Lower("username")).filter(small__in=asked)
    return {name.lower(): name for name in rows.values_list("username", flat=True)}


def _readers() -> QuerySet[User]:
    levels = [level.label for level in Level if level >= Level.VIEWER]
    able = Q(is_superuser=True) | Q(pk__in=User.objects.filter(groups__name__in=levels).values("pk"))
    return User.objects.filter(able, is_active=True).prefetch_related("groups")
