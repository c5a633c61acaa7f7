"""Who is on an incident."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from core.access import may
from core.actors import actor_for_user
from core.models import User
from core.once import once
from incidents.models import Incident, Responder
from incidents.states import Role


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
