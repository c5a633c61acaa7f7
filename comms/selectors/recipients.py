"""Who belongs to an audience, as routing needs them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence

from django.db.models import Q, QuerySet

from comms.models import Contact
from comms.models.contacts import ContactKind
from comms.rules.quiet_hours import quiet_until
from comms.rules.reach import Person
from comms.rules.routing import EVERYONE
from comms.states import Means
from incidents.models import Incident, Responder

ROLE_HOLDERS = "role_holders"


def people_of(
    audiences: Collection[str], incident: Incident | None, *, now: dt.datetime
) -> dict[str, Sequence[Person]]:
    """The active contacts of each audience, in the order of their names (two queries).

    `role_holders` are those who hold a role on the incident; while nobody does, the primary contacts:
    an automatic incident has no commander yet (rulings, People and authority).
    """
    rows = list(_active().filter(_of(audiences)).order_by("name", "pk"))
    holders: set[int | None] = set()
    if ROLE_HOLDERS in audiences and incident is not None:
        open_rows = Responder.objects.filter(incident=incident, until__isnull=True).exclude(role="")
        holders = set(open_rows.values_list("user_id", flat=True))
    holding = [row for row in rows if row.user_id in holders]
    found: dict[str, Sequence[Person]] = {}
    for audience in audiences:
        if audience == ROLE_HOLDERS:
            chosen = holding or [row for row in rows if row.kind == ContactKind.PRIMARY]
        elif audience == EVERYONE:
            chosen = rows
        else:
            chosen = [row for row in rows if audience in row.audiences]
        found[audience] = [person_of(row, now=now) for row in chosen]
    return found


def person_of(contact: Contact, *, now: dt.datetime) -> Person:
    """A contact as routing sees it."""
    addresses = {
        Means.EMAIL: contact.email.lower(),
        Means.SMS: contact.phone,
        Means.VOICE: contact.phone,
        Means.CHAT: contact.chat,
    }
    return Person(
        contact=contact.pk,
        name=contact.name,
        addresses={means: address for means, address in addresses.items() if address},
        order=tuple(Means(means) for means in contact.reach),
        quiet_until=quiet_until(
            now, zone=contact.time_zone, begin=contact.quiet_from, end=contact.quiet_until
        ),
    )


def _active() -> QuerySet[Contact]:
    return Contact.objects.filter(active=True).exclude(kind=ContactKind.EXTERNAL)


def _of(audiences: Collection[str]) -> Q:
    if EVERYONE in audiences:
        return Q()
    wanted = Q(audiences__overlap=[a for a in audiences if a != ROLE_HOLDERS])
    if ROLE_HOLDERS in audiences:
        wanted |= Q(kind=ContactKind.PRIMARY) | Q(user__isnull=False)
    return wanted
