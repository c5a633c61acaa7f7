"""Commands on components of the status page. A monitor alone never changes one."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.db import connection, transaction

from comms.models import Component
from comms.rules.publishing import by_day
from comms.services.snapshot import want_snapshot
from comms.states import ComponentState
from comms.timeline import record_component_changed
from core.access import require
from core.actors import Actor
from core.errors import Conflict, Invalid, NotAllowed, NotFound

_MISSING = """
INSERT INTO comms_component (service_id, public_id, "group", position, description, state,
                             created_at, changed_at, counted_until)
SELECT s.id, substr(md5(gen_random_uuid()::text), 1, 12), '', 100, '', %(state)s, %(now)s, %(now)s, %(now)s
  FROM incidents_service s
 WHERE s.public_name <> '' AND NOT EXISTS (SELECT 1 FROM comms_component c WHERE c.service_id = s.id)
ON CONFLICT DO NOTHING
"""
_ADD_TIME = """
INSERT INTO comms_componentday AS d (component_id, day, degraded_seconds, partial_seconds, major_seconds)
VALUES (%(component)s, %(day)s, %(degraded_seconds)s, %(partial_seconds)s, %(major_seconds)s)
ON CONFLICT (component_id, day) DO UPDATE
   SET degraded_seconds = d.degraded_seconds + excluded.degraded_seconds,
       partial_seconds = d.partial_seconds + excluded.partial_seconds,
       major_seconds = d.major_seconds + excluded.major_seconds
"""


def ensure_components(*, now: dt.datetime) -> None:
    """A component for every service that has a public name (one statement)."""
    with connection.cursor() as cursor:
        cursor.execute(_MISSING, {"state": ComponentState.OPERATIONAL, "now": now})


@transaction.atomic
def set_component_state(
    *, component_id: int, state: str, reason: str, actor: Actor, now: dt.datetime
) -> Component:
    """By hand: a commander says how the component is. Raises Conflict when it is so already."""
    require(actor, "command")
    if not actor.is_person:
        raise NotAllowed("A person says how a component is, never a token or a program.")
    if state not in ComponentState.values:
        raise Invalid({"state": f"Must be one of {', '.join(ComponentState.values)}."})
    if not reason.strip():
        raise Invalid({"reason": "Say why the state changes."})
    component = Component.objects.select_for_update(no_key=True).filter(pk=component_id).first()
    if component is None:
        raise NotFound(f"There is no component {component_id}.")
    if component.state == state:
        label = ComponentState(state).label.lower()
        raise Conflict(f"The component is {label} already.", state=state)
    change_state(component, state, reason=reason, actor=actor, now=now)
    want_snapshot(now=now)
    return component


def change_state(component: Component, state: str, *, reason: str, actor: Actor, now: dt.datetime) -> None:
    """Move a locked component, and put the time in the state before into its days."""
    before = component.state
    count_time(component, now)
    component.state, component.changed_at = state, now
    component.save(update_fields=["state", "changed_at", "counted_until"])
    record_component_changed(component, before=before, reason=reason, actor=actor, now=now)


def count_time(component: Component, now: dt.datetime) -> None:
    """Add the time since `counted_until` to the rows of its days; moves it, unsaved."""
    rows: list[dict[str, Any]] = [
        {
            "component": component.pk,
            "day": day,
            "degraded_seconds": 0,
            "partial_seconds": 0,
            "major_seconds": 0,
            column: seconds,
        }
        for day, column, seconds in by_day(component.state, component.counted_until, now)
    ]
    if rows:
        with connection.cursor() as cursor:
            for row in rows:  # not executemany: what notes who changed it would spoil its parameters
                cursor.execute(_ADD_TIME, row)
    component.counted_until = max(now, component.counted_until)
