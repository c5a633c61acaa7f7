"""Who has an incident's page open, and what they are about to change."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from incidents.models import Incident, Presence

GONE_AFTER = dt.timedelta(seconds=60)
MOST_SHOWN = 12
# What a form that is open means to others; the key is the last word of the form's address.
DOING = {
    "update": "is writing an update",
    "edit": "is editing the facts",
    "severity": "is changing the severity",
    "escalate": "is escalating",
    "resolve": "is resolving it",
    "reopen": "is reopening it",
    "close": "is closing it",
    "criteria": "is checking the criteria",
    "assign": "is assigning a role",
    "roll-back": "is preparing a rollback",
    "new": "is writing a message",
}


@dataclass(frozen=True)
class PersonHere:
    """A person on the page; `doing` in words, or empty."""

    name: str
    doing: str
    since: dt.datetime


@dataclass(frozen=True)
class WhoIsHere:
    """Who came first stands first; `more` is how many have no place in the list."""

    people: tuple[PersonHere, ...]
    more: int


def who_is_here(incident: Incident, *, now: dt.datetime) -> WhoIsHere:
    """Everybody who has the page open (one query). Whoever may see the incident may see this."""
    rows = Presence.objects.filter(incident=incident, seen_at__gte=now - GONE_AFTER)
    names = list(rows.order_by("-doing", "since", "pk").values_list("user__username", "doing", "since")[:100])
    people = tuple(PersonHere(name, DOING.get(doing, ""), since) for name, doing, since in names[:MOST_SHOWN])
    return WhoIsHere(people, len(names) - len(people))
