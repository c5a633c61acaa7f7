"""What this app gives to the agenda of a review: contacts and channels that nobody has looked at for long."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence

from django.apps import apps
from django.db.models import Max
from django.urls import reverse

from comms.models import Contact
from comms.models.contacts import ContactKind
from comms.selectors.recipients import TITLE
from core.models import Event
from core.models.events import StreamKind
from core.playbook import get_playbook
from incidents.facts import AgendaLine, AgendaSection, ReviewPeriod
from incidents.selectors.documents import last_reviewed
from incidents.states import Role

MOST_LINES = 200
LOOKED_AT_WITHIN = dt.timedelta(days=180)
TESTED_WITHIN = dt.timedelta(days=92)
PRIMARY_ROLES = (Role.INCIDENT_COMMANDER, Role.TECHNICAL_LEAD, Role.SECURITY_LEAD, Role.COMMUNICATIONS_LEAD)
_NEVER = dt.datetime.min.replace(tzinfo=dt.UTC)


def contacts_of(period: ReviewPeriod) -> AgendaSection:
    """Roles, titles and outside parties without a contact; then contacts without a way to reach them, and
    those that nobody has changed or looked over for long. Names, never numbers (three queries).

    A review of the document that is the page of contacts looked over all of them, changed or not.
    """
    history = apps.get_model("comms", "ContactChange")._default_manager
    changed = dict(
        history.values("pgh_obj_id").annotate(at=Max("pgh_created_at")).values_list("pgh_obj_id", "at")
    )
    page = reverse("comms:contacts")
    looked_over = last_reviewed(page)
    contacts = list(Contact.objects.filter(active=True).order_by("name", "pk"))
    lines = []
    for row in contacts:
        at = max(filter(None, (changed.get(row.pk), looked_over)), default=None)
        if not (row.email or row.phone or row.chat or row.support_url):
            lines.append((_NEVER, row, "no way to reach them"))
        elif at is None or at <= period.opened_at - LOOKED_AT_WITHIN:
            said = f"not looked at since {at:%Y-%m-%d}" if at else "never looked at"
            lines.append((at or _NEVER, row, said))
    lines.sort(key=lambda one: (one[0], one[1].name))
    missing = [
        AgendaLine(text=f"No contact for {one}", url=page, tone="critical") for one in _without(contacts)
    ]
    stale = [AgendaLine(text=row.name, detail=said, url=page, tone="warning") for _at, row, said in lines]
    found = (*missing, *stale)
    return AgendaSection("Contacts not looked at for long", found[:MOST_LINES], count=len(found))


def _without(contacts: Sequence[Contact]) -> Iterator[str]:
    """Of the policy's emergency contacts, who is missing: the four roles, the titles that the ladders call,
    and anybody outside. Source: seed, Emergency Contacts.
    """
    own = [row for row in contacts if row.kind != ContactKind.EXTERNAL]
    roles = {row.role for row in own}
    yield from (str(role.label) for role in PRIMARY_ROLES if role not in roles)
    titles = {row.title.strip().casefold() for row in own}
    yield from (title for title in _called_titles() if title.casefold() not in titles)
    if len(own) == len(contacts):
        yield "any outside party"


def _called_titles() -> Iterable[str]:
    """The titles that the playbook's ladders call, each once, in their order."""
    ladders = get_playbook()["escalation"].severities.values()
    called = [one for ladder in ladders for rung in ladder.rungs for one in rung if one.startswith(TITLE)]
    return dict.fromkeys(one.removeprefix(TITLE) for one in called)


def channels_of(period: ReviewPeriod) -> AgendaSection:
    """Channels that no test has left by for long (one query)."""
    own = Event.objects.filter(stream__kind=StreamKind.SYSTEM, occurred_at__lte=period.opened_at)
    tests = own.filter(kind="channel.tested", data__sent=True)
    last = dict(
        tests.order_by()
        .values("data__channel")
        .annotate(at=Max("occurred_at"))
        .values_list("data__channel", "at")
    )
    lines = []
    for key in get_playbook()["channels"].root:
        at = last.get(key)
        if at is None or at <= period.opened_at - TESTED_WITHIN:
            said = f"tested last {at:%Y-%m-%d}" if at else "never tested"
            lines.append(AgendaLine(text=key, detail=said, url=reverse("comms:channels"), tone="warning"))
    return AgendaSection("Channels not tested for long", tuple(lines[:MOST_LINES]), count=len(lines))
