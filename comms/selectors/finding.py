"""What a search finds of this app: whom to call."""

from __future__ import annotations

from urllib.parse import urlencode

from django.db.models import QuerySet
from django.urls import reverse

from comms.models import Contact
from comms.rules.reachability import dialled
from core.access import may
from core.actors import Actor
from core.search import Hit, has_words, words_of
from incidents.states import Role

COLUMNS = ("name", "title", "role", "email", "phone")  # as the index `contacts_search` holds them


def search_contacts(rows: QuerySet[Contact], text: str) -> QuerySet[Contact]:
    """Those in whose name, title, role, e-mail address or number each word begins one; none without words."""
    words = words_of(text)
    if not words:
        return rows.none()
    return rows.filter(has_words("comms_contact_words", *COLUMNS, words=words))


def find_contacts(actor: Actor, words: str, limit: int) -> tuple[Hit, ...]:
    """The active ones; without words none (one query)."""
    if not words or not may(actor, "read"):
        return ()
    rows = search_contacts(Contact.objects.filter(active=True), words)
    return tuple(_contact(row) for row in rows[:limit])


def _contact(row: Contact) -> Hit:
    role = str(Role(row.role).label) if row.role else row.title
    asked = urlencode({"q": row.name})
    return Hit(
        kind="contact",
        key=str(row.pk),
        label=row.name,
        detail=" · ".join(said for said in (role, row.phone or row.email) if said),
        url=f"{reverse('comms:contacts')}?{asked}",
        icon="user",
        also_url=f"tel:{dialled(row.phone)}" if row.phone else "",
        also_label=row.phone,
    )
