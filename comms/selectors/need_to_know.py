"""Restricted incidents in what leaves: who may be told more than a code name. Source: rulings, People."""

from __future__ import annotations

from dataclasses import replace

from comms.models import Delivery
from core.actors import actor_for_user
from core.models import User
from incidents.models import Incident


def may_see(user: User | None, incident: Incident) -> bool:
    """Whether the account may see the incident; nobody without an account may see a restricted one.

    A second factor is asked of sessions: a message or its link is none.
    """
    if not incident.restricted:
        return True
    if user is None or not user.is_active:
        return False
    account = replace(actor_for_user(user), second_factor=True)
    return Incident.objects.visible_to(account).filter(pk=incident.pk).exists()


def is_veiled(delivery: Delivery) -> bool:
    """Whether a delivery carries the code name alone: in a room anybody may read, and a contact without
    an account has shown nothing that would let them see the incident.
    """
    incident = delivery.message.incident
    if incident is None or not incident.restricted:
        return False
    return delivery.contact is None or not may_see(delivery.contact.user, incident)
