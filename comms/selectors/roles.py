"""Who can be paged for a role of an incident, and when they were."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence

from comms.rules.reach import Person
from comms.selectors.recipients import MAY_HOLD, people_of
from comms.states import ROLE_PAGED
from core.models import Event
from incidents.models import Incident

PAUSE = dt.timedelta(minutes=5)  # between two pages for the same role
NAMED = 5


def people_for_role(role: str, incident: Incident, *, now: dt.datetime) -> list[Person]:
    """The contacts who may hold the role and have an address (three queries)."""
    audience = f"{MAY_HOLD}{role}"
    return [person for person in people_of([audience], incident, now=now)[audience] if person.addresses]


def last_pages(incident: Incident, *, now: dt.datetime) -> Mapping[str, dt.datetime]:
    """When each role was last paged for within PAUSE (one query)."""
    events = Event.objects.filter(
        stream=incident.stream_id, kind=ROLE_PAGED, occurred_at__gt=now - PAUSE, occurred_at__lte=now
    )
    return {data["role"]: at for data, at in events.order_by("seq").values_list("data", "occurred_at")}


def last_page(incident: Incident, role: str, *, now: dt.datetime) -> dt.datetime | None:
    """When the role was last paged for within PAUSE; None when it may be again (one query)."""
    return last_pages(incident, now=now).get(role)


def in_short(names: Sequence[str]) -> str:
    """`Ann, Bob and 3 more`."""
    more = len(names) - NAMED
    shown = ", ".join(names[:NAMED])
    return f"{shown} and {more} more" if more > 0 else shown
