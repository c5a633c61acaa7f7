"""The door of the page for a role."""

from __future__ import annotations

import datetime as dt
from typing import Any

from comms.forms import PageForRoleForm
from comms.selectors.roles import in_short, people_for_role
from comms.services.paging import page_for_role
from core.clock import utcnow
from incidents.views.incidents import RoleCommand


class PageForRole(RoleCommand):
    """Call the people who may hold a role that nobody holds."""

    form_class = PageForRoleForm
    title = "Page for the role"
    submit_label = "Page them"

    def run(self, data: dict[str, Any], now: dt.datetime) -> str:
        names = page_for_role(incident_id=self.incident.pk, role=self.role, actor=self.actor, now=now, **data)
        return f"Paged for {self.role.label}: {in_short(names)}."

    def extra_context(self) -> dict[str, Any]:
        names = [person.name for person in people_for_role(self.role, self.incident, now=utcnow())]
        who = in_short(names) if names else "nobody: no contact with an address may hold this role"
        return {
            **super().extra_context(),
            "intro": f"{self.role.label} of {self.incident.ref} is held by nobody.",
            "consequences": [
                f"Paged at once, each in the way that reaches them first: {who}.",
                "The first who takes the role has it; nobody is paged again within five minutes.",
            ],
        }
