"""Whom to call, as a page shows it."""

from __future__ import annotations

from dataclasses import dataclass

from comms.models import Contact
from comms.models.contacts import ContactKind
from incidents.states import Role

# Who is called first comes first. Source: seed, Emergency Contacts.
ORDER = (ContactKind.PRIMARY, ContactKind.ESCALATION, ContactKind.EXTERNAL, ContactKind.TEAM)
_LABELS = {
    ContactKind.PRIMARY: "Primary contacts",
    ContactKind.ESCALATION: "Escalation",
    ContactKind.EXTERNAL: "External",
    ContactKind.TEAM: "Team",
}


@dataclass(frozen=True)
class ContactLine:
    """One person or outside party."""

    name: str
    role_label: str
    phone: str
    email: str
    note: str


@dataclass(frozen=True)
class ContactGroup:
    label: str
    contacts: tuple[ContactLine, ...]


def list_contact_groups() -> tuple[ContactGroup, ...]:
    """The active contacts by kind; groups without any are left out (one query)."""
    contacts = list(Contact.objects.filter(active=True))
    groups = (
        ContactGroup(_LABELS[kind], tuple(_line(contact) for contact in contacts if contact.kind == kind))
        for kind in ORDER
    )
    return tuple(group for group in groups if group.contacts)


def _line(contact: Contact) -> ContactLine:
    role = str(Role(contact.role).label) if contact.role else ""
    told = ", ".join(audience.replace("_", " ") for audience in contact.audiences)
    notes = [
        contact.title if role and contact.title != role else "",
        f"told with {told}" if told else "",
        contact.support_url,
    ]
    return ContactLine(
        name=contact.name,
        role_label=role or contact.title or "Contact",
        phone=contact.phone,
        email=contact.email,
        note=" · ".join(note for note in notes if note),
    )
