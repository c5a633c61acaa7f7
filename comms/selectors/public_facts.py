"""The one maker of PublicFacts: from public fields alone."""

from __future__ import annotations

from collections.abc import Collection

from django.conf import settings
from django.db.models import QuerySet

from comms.facts import PublicFacts
from comms.models import Component, PublicUpdate
from comms.states import ComponentState, PublicStatus
from incidents.models import Incident


def public_facts(update: PublicUpdate) -> PublicFacts:
    """What the external templates may print of a draft (one query)."""
    names = public_names(update.components)
    return PublicFacts(
        title=update.title,
        status_label=str(PublicStatus(update.status).label),
        impact=update.impact_text,
        update=update.update_text,
        root_cause=update.root_cause,
        expected_duration=update.expected_duration,
        components=tuple(names.values()),
        started_at=update.started_at,
        resolved_at=update.resolved_at,
        status_url=settings.STATUS_PAGE_URL,
    )


def public_names(ids: Collection[str]) -> dict[str, str]:
    """{public_id: public name} of these components, as the page orders them (one query)."""
    rows = shown_components().filter(public_id__in=list(ids))
    return dict(rows.values_list("public_id", "service__public_name"))


def component_states(update: PublicUpdate) -> list[tuple[str, str]]:
    """(public name, state) of each component as the draft would set it (one query)."""
    names = public_names(update.components)
    return [(names[key], str(ComponentState(update.components[key]).label)) for key in names]


def components_of(incident: Incident) -> dict[str, str]:
    """{public_id: public name} of what the incident's services are called outside (one query)."""
    rows = shown_components().filter(service__incidents=incident)
    return dict(rows.values_list("public_id", "service__public_name"))


def shown_components() -> QuerySet[Component]:
    """Components that the public knows: those of services with a public name."""
    return Component.objects.exclude(service__public_name="").order_by("group", "position", "pk")


def may_be_public(incident: Incident) -> bool:
    """Restricted incidents and drills never show outside."""
    return not incident.restricted and not incident.drill
