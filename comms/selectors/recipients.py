"""Who belongs to an audience, as routing needs them."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

from django.db.models import Q, QuerySet

from comms.models import Contact
from comms.models.contacts import ContactKind
from comms.rules.quiet_hours import quiet_until
from comms.rules.reach import Person
from comms.rules.routing import EVERYONE
from comms.states import Means
from incidents.models import Incident, RoleGrant
from incidents.selectors.people import people_on

ROLE_HOLDERS = "role_holders"
ROLE, TITLE, ACCOUNT = "role:", "title:", "account:"  # before a role's, a title's or an account's name
PERSON = "person:"  # before an account's name: that person or nobody
MAY_HOLD = "may_hold:"  # before the name of a role


def people_of(
    audiences: Collection[str],
    incident: Incident | None,
    *,
    now: dt.datetime,
    only_participants: bool = False,
    without: int | None = None,
) -> dict[str, Sequence[Person]]:
    """The active contacts of each audience, in the order of their names (two queries).

    `role_holders` are those who hold a role on the incident; while nobody does, the primary contacts:
    an automatic incident has no commander yet (rulings, People and authority). `title:CTO` are the
    contacts of that title, `role:communications_lead` who holds the role, else its primary contacts,
    `may_hold:communications_lead` both the primary contacts and whose account has the grant (one query more);
    `account:lena` that person, and the role holders where no contact is theirs; `person:lena` nobody else.
    With `only_participants`, nobody who is not on the incident; `without` is an account that is left out.
    """
    rows = list(_active().filter(_of(audiences)).order_by("name", "pk"))
    roles: dict[int, set[str]] = {}
    if incident is not None and (only_participants or any(_asks_for_roles(one) for one in audiences)):
        roles = _roles_on(incident)
    grants = _grants(audiences)
    found: dict[str, Sequence[Person]] = {}
    for audience in audiences:
        chosen = _chosen(audience, rows, roles, grants)
        if only_participants:
            chosen = [row for row in chosen if row.user_id in roles]
        if without is not None:
            chosen = [row for row in chosen if row.user_id != without]
        found[audience] = [person_of(row, now=now) for row in chosen]
    return found


def _asks_for_roles(audience: str) -> bool:
    return audience == ROLE_HOLDERS or audience.startswith((ROLE, ACCOUNT))


def _roles_on(incident: Incident) -> dict[int, set[str]]:
    """The roles of everybody who is on the incident, by account; a responder without one has an empty one."""
    found: dict[int, set[str]] = defaultdict(set)
    for responder in people_on(incident):
        found[responder.user_id].add(responder.role)
    return dict(found)


def _grants(audiences: Collection[str]) -> set[tuple[int | None, str]]:
    """(account, role) of every grant that the audiences ask for; no query where none does."""
    asked = [one.removeprefix(MAY_HOLD) for one in audiences if one.startswith(MAY_HOLD)]
    if not asked:
        return set()
    rows = RoleGrant.objects.filter(role__in=asked, user__is_active=True)
    return set(rows.values_list("user_id", "role"))


def _chosen(
    audience: str,
    rows: list[Contact],
    roles: Mapping[int, set[str]],
    grants: Collection[tuple[int | None, str]],
) -> list[Contact]:
    def held_by(row: Contact) -> set[str]:
        return roles.get(row.user_id, set()) if row.user_id is not None else set()

    if audience.startswith((ACCOUNT, PERSON)):
        name = audience.partition(":")[2]
        own = [row for row in rows if row.user is not None and row.user.get_username() == name]
        return own if own or audience.startswith(PERSON) else _chosen(ROLE_HOLDERS, rows, roles, grants)
    if audience == ROLE_HOLDERS:
        holding = [row for row in rows if held_by(row) - {""}]
        return holding or [row for row in rows if row.kind == ContactKind.PRIMARY]
    if audience.startswith(ROLE):
        role = audience.removeprefix(ROLE)
        return [row for row in rows if role in held_by(row)] or [row for row in rows if row.role == role]
    if audience.startswith(MAY_HOLD):
        role = audience.removeprefix(MAY_HOLD)
        return [row for row in rows if row.role == role or (row.user_id, role) in grants]
    if audience.startswith(TITLE):
        title = audience.removeprefix(TITLE).casefold()
        return [row for row in rows if row.title.strip().casefold() == title]
    if audience == EVERYONE:
        return rows
    return [row for row in rows if audience in row.audiences]


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
    return Contact.objects.filter(active=True).exclude(kind=ContactKind.EXTERNAL).select_related("user")


def _of(audiences: Collection[str]) -> Q:
    if EVERYONE in audiences:
        return Q()
    wanted = Q(audiences__overlap=list(audiences))
    if ROLE_HOLDERS in audiences or any(one.startswith((ACCOUNT, PERSON)) for one in audiences):
        wanted |= Q(kind=ContactKind.PRIMARY) | Q(user__isnull=False)
    for audience in audiences:
        if audience.startswith(ROLE):
            wanted |= Q(role=audience.removeprefix(ROLE)) | Q(user__isnull=False)
        elif audience.startswith(MAY_HOLD):
            wanted |= Q(role=audience.removeprefix(MAY_HOLD)) | Q(user__isnull=False)
        elif audience.startswith(TITLE):
            wanted |= Q(title__iexact=audience.removeprefix(TITLE))
    return wanted
