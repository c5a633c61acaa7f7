"""Who is on an incident."""

from __future__ import annotations

from collections.abc import Sequence

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


def get_holder(incident: Incident, role: Role) -> Responder | None:
    """Who holds the role now (one query)."""
    return incident.responders.select_related("user").filter(role=role, until__isnull=True).first()
