"""The one switch of all automation."""

from __future__ import annotations

import datetime as dt

from django.db import transaction

from core import events
from core.access import require
from core.actors import Actor
from core.assurance import require_assurance
from core.errors import Conflict, Invalid, NotAllowed
from rollbacks.models import AutomationSwitch


@transaction.atomic
def disarm_automation(*, reason: str, actor: Actor, now: dt.datetime) -> AutomationSwitch:
    """Stop all automatic rollbacks from now on; what runs already goes on."""
    require(actor, "disarm")
    if not reason.strip():
        raise Invalid({"reason": "Say why automation is disarmed."})
    return _set(False, reason, actor, now)


@transaction.atomic
def arm_automation(*, actor: Actor, now: dt.datetime, reason: str = "") -> AutomationSwitch:
    """Allow automatic rollbacks again; only a person may."""
    require(actor, "arm")
    if not actor.is_person:
        raise NotAllowed("Only a person arms automation, never a token.")
    require_assurance(actor, now)
    return _set(True, reason, actor, now)


def current_switch() -> AutomationSwitch:
    """The switch as it stands; armed when nobody ever touched it."""
    return AutomationSwitch.objects.filter(pk=1).first() or AutomationSwitch()


def hold_switch() -> AutomationSwitch:
    """The switch, locked: no other automatic rollback starts, and nobody disarms, until the commit."""
    AutomationSwitch.objects.get_or_create(pk=1)
    return AutomationSwitch.objects.select_for_update(no_key=True).get(pk=1)


def _set(armed: bool, reason: str, actor: Actor, now: dt.datetime) -> AutomationSwitch:
    switch = hold_switch()
    if switch.armed == armed:
        raise Conflict(f"Automation is {switch} already.", state=str(switch))
    switch.armed, switch.reason, switch.changed_at, switch.changed_by = (
        armed,
        reason,
        now,
        actor.label,
    )
    switch.save()
    events.record(
        events.system_stream().pk,
        kind="automation.armed" if armed else "automation.disarmed",
        actor=actor,
        summary=f"Automation {switch}" + (f": {reason}" if reason else ""),
        now=now,
        topics=("banners",),
    )
    return switch
