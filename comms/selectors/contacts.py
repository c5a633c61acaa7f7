"""Whom to call, whether they can be reached, and what keeps messages from them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from django.db import connection
from django.db.models import Case, QuerySet, When

from comms.models import Contact
from comms.models.contacts import ContactKind
from comms.rules import contact_sheets
from comms.rules.quiet_hours import quiet_until, zone_of
from comms.rules.reachability import dialled, why_unreachable
from comms.selectors.connections import list_ways
from comms.selectors.finding import search_contacts
from comms.states import Means
from core.actors import Actor
from core.errors import NotFound
from core.http import is_web_address
from core.operation.facts import Trouble
from incidents.models import Incident, Responder
from incidents.selectors.readers import who_may_take_on_security
from incidents.states import AUDIENCES, Role, audience_label

# Who is called first comes first. Source: seed, Emergency Contacts.
ORDER = (ContactKind.PRIMARY, ContactKind.ESCALATION, ContactKind.EXTERNAL, ContactKind.TEAM)
_LABELS = {
    ContactKind.PRIMARY: "Primary contacts",
    ContactKind.ESCALATION: "Escalation",
    ContactKind.EXTERNAL: "External",
    ContactKind.TEAM: "Team",
}
LAST = 3  # deliveries, all given up
MOST_SHOWN = 200  # contacts on one page

_LAST_FAILED = """
SELECT c.id FROM comms_contact c CROSS JOIN LATERAL (
       SELECT count(*) AS number, bool_and(last.state = 'dead') AS failed FROM (
              SELECT d.state FROM comms_delivery d
               WHERE d.contact_id = c.id AND d.state IN ('sent', 'dead')
               ORDER BY d.id DESC LIMIT %s) last) few
 WHERE c.active AND c.id = ANY(%s) AND few.failed AND few.number = %s
"""


@dataclass(frozen=True)
class ContactLine:
    """One person or outside party. `asleep_until` is set in their quiet hours; `warnings` say why
    nothing reaches them."""

    name: str
    role_label: str
    phone: str
    dial: str
    email: str
    chat_url: str
    chat: str
    support_url: str
    note: str
    local_time: dt.datetime
    zone: str
    asleep_until: dt.datetime | None
    on: tuple[str, ...]  # references of the incidents that they hold a role on
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class ContactGroup:
    label: str
    contacts: tuple[ContactLine, ...]


@dataclass(frozen=True)
class ContactsPage:
    """What the page shows. `unreachable` counts the contacts with warnings, `more` says that others fit."""

    groups: tuple[ContactGroup, ...]
    unreachable: int
    more: bool


def contacts_page(actor: Actor, *, by: str, now: dt.datetime, words: str = "") -> ContactsPage:
    """The active contacts that the words find, by `kind`, `role` or `incident`, MOST_SHOWN of them.

    Four queries, however many there are.
    """
    on, titles = _on_incidents(actor)
    place = Case(*(When(kind=kind, then=number) for number, kind in enumerate(ORDER)))
    rows = Contact.objects.filter(active=True).select_related("user").order_by(place, "name", "pk")
    if by == "role":
        rows = rows.exclude(role="")
    elif by == "incident":
        rows = rows.filter(user__in=list(on))
    found = list((search_contacts(rows, words) if words else rows)[: MOST_SHOWN + 1])
    contacts = found[:MOST_SHOWN]
    why = _why_unreachable(contacts)
    lines = {
        contact.pk: _line(contact, on.get(contact.user_id or 0, ()), why[contact.pk], now)
        for contact in contacts
    }
    groups = [
        ContactGroup(label, tuple(lines[contact.pk] for contact in contacts if contact.pk in chosen))
        for label, chosen in _groups(contacts, on, titles, by)
    ]
    unreachable = sum(bool(line.warnings) for line in lines.values())
    shown = tuple(group for group in groups if group.contacts)
    return ContactsPage(shown, unreachable, len(found) > MOST_SHOWN)


def _groups(
    contacts: list[Contact], on: Mapping[int, tuple[str, ...]], titles: Mapping[str, str], by: str
) -> Iterable[tuple[str, set[int]]]:
    if by == "role":
        for role in Role:
            yield str(role.label), {contact.pk for contact in contacts if contact.role == role}
    elif by == "incident":
        for ref in sorted({ref for refs in on.values() for ref in refs}, reverse=True):
            yield (
                f"{ref} {titles[ref]}",
                {contact.pk for contact in contacts if ref in on.get(contact.user_id or 0, ())},
            )
    else:
        for kind in ORDER:
            yield _LABELS[kind], {contact.pk for contact in contacts if contact.kind == kind}


def _on_incidents(actor: Actor) -> tuple[dict[int, tuple[str, ...]], dict[str, str]]:
    """On which open incidents each account holds a role, of those that the actor may see, and their titles.

    One query.
    """
    open_now = Incident.objects.visible_to(actor).open()
    rows = Responder.objects.filter(incident__in=open_now, until__isnull=True).exclude(role="")
    found: dict[int, tuple[str, ...]] = {}
    titles: dict[str, str] = {}
    asked = rows.order_by("-incident_id").values_list("user_id", "incident__ref", "incident__title")
    for user_id, ref, title in asked:
        titles[ref] = title
        if ref not in found.get(user_id, ()):
            found[user_id] = (*found.get(user_id, ()), ref)
    return found, titles


def _why_unreachable(contacts: Sequence[Contact]) -> dict[int, tuple[str, ...]]:
    """What keeps messages from each (two queries); outside parties are called by people, never told."""
    ready = {way.means for way in list_ways() if way.ready}
    with connection.cursor() as cursor:
        cursor.execute(_LAST_FAILED, [LAST, [contact.pk for contact in contacts], LAST])
        failed = {pk for (pk,) in cursor.fetchall()}
    return {
        contact.pk: ()
        if contact.kind == ContactKind.EXTERNAL
        else why_unreachable(
            addresses_of(contact),
            ready=ready,
            account_disabled=contact.user is not None and not contact.user.is_active,
            last_failed=contact.pk in failed,
        )
        for contact in contacts
    }


def addresses_of(contact: Contact) -> dict[Means, str]:
    """Which addresses there are, by the way that takes them."""
    known = {
        Means.EMAIL: contact.email,
        Means.SMS: contact.phone,
        Means.VOICE: contact.phone,
        Means.CHAT: contact.chat,
    }
    return {means: address for means, address in known.items() if address}


def _line(contact: Contact, on: tuple[str, ...], warnings: tuple[str, ...], now: dt.datetime) -> ContactLine:
    role = str(Role(contact.role).label) if contact.role else ""
    told = ", ".join(audience.replace("_", " ") for audience in contact.audiences)
    notes = [
        contact.title if role and contact.title != role else "",
        f"told with {told}" if told else "",
    ]
    return ContactLine(
        name=contact.name,
        role_label=role or contact.title or "Contact",
        phone=contact.phone,
        dial=dialled(contact.phone),
        email=contact.email,
        chat=contact.chat,
        chat_url=f"slack://user?id={quote(contact.chat, safe='')}" if contact.chat else "",
        support_url=contact.support_url if is_web_address(contact.support_url) else "",
        note=" · ".join(note for note in notes if note),
        local_time=now.astimezone(zone_of(contact.time_zone)),
        zone=contact.time_zone,
        asleep_until=quiet_until(
            now, zone=contact.time_zone, begin=contact.quiet_from, end=contact.quiet_until
        ),
        on=on,
        warnings=warnings,
    )


# --- the API and the sheet -----------------------------------------------------------------------------


def get_contact(contact_id: int) -> Contact:
    """Raises NotFound."""
    found = Contact.objects.select_related("user").filter(pk=contact_id).first()
    if found is None:
        raise NotFound(f"There is no contact {contact_id}.")
    return found


def sheet(rows: QuerySet[Contact]) -> str:
    """Contacts as CSV, as `import_contacts` reads it."""
    return contact_sheets.write(_cells(contact) for contact in rows.select_related("user"))


def _cells(contact: Contact) -> dict[str, str]:
    cells: dict[str, Any] = {
        name: getattr(contact, name) for name in contact_sheets.COLUMNS if name != "user"
    }
    for name in contact_sheets.LISTS:
        cells[name] = " ".join(cells[name])
    for name in ("quiet_from", "quiet_until"):
        cells[name] = cells[name].strftime("%H:%M") if cells[name] else ""
    cells["user"] = contact.user.username if contact.user else ""
    cells["active"] = "true" if contact.active else "false"
    return {name: str(value) for name, value in cells.items()}


# --- operation -----------------------------------------------------------------------------------------


def nobody_reachable() -> tuple[Trouble, ...]:
    """Whom no message reaches, once a channel is set up: a role, an audience, everybody who may see security
    incidents (six queries at most).
    """
    contacts = list(Contact.objects.filter(active=True).select_related("user"))
    if not contacts or not any(way.ready for way in list_ways()):
        return ()
    why = _why_unreachable(contacts)
    inside = [contact for contact in contacts if contact.kind != ContactKind.EXTERNAL]
    reached = [contact for contact in inside if not why[contact.pk]]
    told = {audience for contact in reached for audience in contact.audiences}
    held = {contact.role for contact in reached}
    empty = [
        audience_label(audience) for audience in AUDIENCES if audience != "everyone" and audience not in told
    ]
    empty += [
        str(Role(role).label) for role in sorted({contact.role for contact in inside if contact.role} - held)
    ]
    troubles = []
    if empty:
        detail = (
            "Nobody among their contacts can be reached by a channel that is set up."
            " The page Contacts says why."
        )
        text = f"Messages to {', '.join(empty)} reach nobody"
        troubles.append(Trouble("contacts.unreachable", "warning", text, detail))
    if not {contact.user_id for contact in reached} & who_may_take_on_security():
        text = "Nobody who may see security incidents can be reached"
        detail = (
            "A page about one leaves without its name, and nobody whom it reaches may acknowledge it."
            " Grant security lead to the account of a contact who is reached."
        )
        troubles.append(Trouble("contacts.no_security", "warning", text, detail))
    return tuple(troubles)
