"""Commands on contacts: one by one, and many from a sheet."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db import transaction

from comms.models import Contact
from comms.rules import contact_sheets as sheets
from comms.rules.contact_sheets import Wrong
from core import live
from core.access import require
from core.actors import Actor
from core.errors import Conflict, Invalid, NotFound
from core.models import User
from core.texts import tidy, what_is_wrong

EDITABLE = sheets.COLUMNS
TOPIC = "contacts"
_FLAGS = {"": True, "true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


class DuplicateContact(Conflict):
    """Another contact has this e-mail address, or belongs to this account."""

    code = "duplicate"


@transaction.atomic
def create_contact(*, values: Mapping[str, Any], actor: Actor, now: dt.datetime) -> Contact:
    """Somebody to call; `user` is an account's name. Raises Invalid by field, or DuplicateContact."""
    require(actor, "configure")
    return _save(Contact(), values)


@transaction.atomic
def edit_contact(*, contact_id: int, changes: Mapping[str, Any], actor: Actor, now: dt.datetime) -> Contact:
    """Change any of EDITABLE; raises Invalid naming each field, or DuplicateContact."""
    contact = Contact.objects.select_for_update(of=("self",)).filter(pk=contact_id).first()
    if contact is None:
        raise NotFound(f"There is no contact {contact_id}.")
    require(actor, "configure")
    return _save(contact, changes)


@transaction.atomic
def remove_contact(*, contact_id: int, actor: Actor, now: dt.datetime) -> None:
    """No longer somebody to call; what they were told stays, and so does the history."""
    require(actor, "configure")
    deleted, _rows = Contact.objects.filter(pk=contact_id).delete()
    if not deleted:
        raise NotFound(f"There is no contact {contact_id}.")
    live.poke(TOPIC)


@dataclass(frozen=True)
class Imported:
    """What a sheet came to. With anything in `wrong`, or without `apply`, nothing was stored."""

    created: int
    changed: int
    unchanged: int
    wrong: tuple[Wrong, ...]
    applied: bool


def import_contacts(*, data: bytes, apply: bool, actor: Actor, now: dt.datetime) -> Imported:
    """Make and change contacts from CSV, all rows or none; without `apply` it is only looked at.

    A row is a contact that exists when its e-mail address is known, else when exactly its name is and it
    has no address of another. Columns that the sheet has not are left as they are.
    """
    require(actor, "configure")
    rows, wrong = sheets.read(data)
    with transaction.atomic():
        counts = {"created": 0, "changed": 0, "unchanged": 0}
        if not wrong:
            wrong = _take(rows, counts)
        stored = apply and not wrong
        if not stored:
            transaction.set_rollback(True)
        else:
            live.poke(TOPIC)
    return Imported(**counts, wrong=tuple(wrong[: sheets.MOST_ERRORS]), applied=stored)


def _take(rows: list[dict[str, str]], counts: dict[str, int]) -> list[Wrong]:
    """Store every row; returns what is wrong, when the caller takes all of it back."""
    known = list(Contact.objects.select_for_update(of=("self",)).order_by("pk"))
    by_email = {contact.email.lower(): contact for contact in known if contact.email}
    by_name: dict[str, list[Contact]] = {}
    for contact in known:
        by_name.setdefault(contact.name, []).append(contact)
    accounts = dict(User.objects.values_list("username", "pk"))
    taken = {contact.user_id: contact.pk for contact in known if contact.user_id}
    seen: dict[str, int] = {}
    wrong: list[Wrong] = []
    new: list[Contact] = []
    for number, row in enumerate(rows, start=2):
        if not row:
            continue
        key = row.get("email", "").lower() or row.get("name", "")
        if key in seen:
            wrong.append(
                Wrong(number, "email" if row.get("email") else "name", f"Row {seen[key]} has it too.")
            )
            continue
        seen[key] = number
        found = by_email.get(row.get("email", "").lower())
        if found is None:
            same = by_name.get(row.get("name", ""), [])
            found = same[0] if len(same) == 1 and not (row.get("email") and same[0].email) else None
        contact = found or Contact()
        before = _state(contact)
        errors = _fill(contact, _from_cells(row), accounts)
        if contact.user_id and taken.setdefault(contact.user_id, contact.pk or -number) not in (
            contact.pk,
            -number,
        ):
            errors["user"] = "Another contact belongs to this account."
        if errors:
            wrong += [Wrong(number, name, text) for name, text in errors.items()]
        elif found is None:
            new.append(contact)
        elif _state(contact) == before:
            counts["unchanged"] += 1
        else:
            counts["changed"] += 1
            contact.save()
    if not wrong:
        Contact.objects.bulk_create(new, batch_size=1_000)
        counts["created"] = len(new)
    return wrong


def _from_cells(row: Mapping[str, str]) -> dict[str, Any]:
    """What the cells mean; what they cannot mean is left for the checks to name."""
    values: dict[str, Any] = dict(row)
    for name in sheets.LISTS:
        if name in values:
            values[name] = values[name].replace(",", " ").replace(";", " ").split()
    for name in ("quiet_from", "quiet_until", "user"):
        if name in values:
            values[name] = values[name] or None
    if "active" in values:
        values["active"] = _FLAGS.get(values["active"].lower(), values["active"])
    for name in ("kind", "time_zone"):
        if values.get(name) == "":
            del values[name]
    return values


def _save(contact: Contact, values: Mapping[str, Any]) -> Contact:
    accounts = {}
    if values.get("user"):
        accounts = dict(User.objects.filter(username=values["user"]).values_list("username", "pk"))
    if errors := _fill(contact, values, accounts):
        raise Invalid(errors)
    others = Contact.objects.exclude(pk=contact.pk)
    if contact.email and others.filter(email__iexact=contact.email).exists():
        raise DuplicateContact("Another contact has this e-mail address.")
    if contact.user_id and others.filter(user_id=contact.user_id).exists():
        raise DuplicateContact("Another contact belongs to this account.")
    contact.save()
    live.poke(TOPIC)
    return contact


def _fill(contact: Contact, values: Mapping[str, Any], accounts: Mapping[str, int]) -> dict[str, str]:
    """Put the values in; returns what is wrong with them, by field."""
    wrong: dict[str, str] = {}
    for name, value in values.items():
        if name == "user":
            contact.user_id = accounts.get(value) if value else None
            if value and contact.user_id is None:
                wrong[name] = f"There is no account {str(value)[:60]}."
        elif isinstance(value, str) and (said := what_is_wrong(tidy(value, one_line=True), one_line=True)):
            wrong[name] = said
        else:
            setattr(contact, name, tidy(value, one_line=True) if isinstance(value, str) else value)
    try:
        contact.clean_fields(exclude={"user", "id", *wrong})
        contact.clean()
    except ValidationError as error:
        for name, texts in error.message_dict.items():
            wrong.setdefault("quiet_from" if name == NON_FIELD_ERRORS else name, " ".join(texts))
    return wrong


def _state(contact: Contact) -> tuple[Any, ...]:
    return tuple(getattr(contact, "user_id" if name == "user" else name) for name in EDITABLE)
