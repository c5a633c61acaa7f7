"""Components of the status page as people inside see them."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from django.urls import reverse

from comms.models import Component
from comms.selectors.public_facts import shown_components
from comms.states import ComponentState
from core.errors import NotFound


@dataclass(frozen=True)
class ComponentRow:
    """One component with the service behind it."""

    name: str
    group: str
    state: str
    state_label: str
    changed_at: dt.datetime
    service_name: str
    service_url: str
    set_url: str


def list_components() -> tuple[ComponentRow, ...]:
    """Every component that the public sees (one query)."""
    return tuple(
        ComponentRow(
            name=row.service.public_name,
            group=row.group,
            state=row.state,
            state_label=str(ComponentState(row.state).label),
            changed_at=row.changed_at,
            service_name=row.service.name,
            service_url=reverse("incidents:service", args=[row.service.slug]),
            set_url=reverse("comms:set_component", args=[row.public_id]),
        )
        for row in shown_components().select_related("service")
    )


def get_component(public_id: str) -> Component:
    """One component; raises NotFound."""
    found = shown_components().select_related("service").filter(public_id=public_id).first()
    if found is None:
        raise NotFound("There is no such component.")
    return found
