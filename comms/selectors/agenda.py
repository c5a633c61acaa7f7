"""What this app gives to the agenda of a review: contacts and channels that nobody has looked at for long."""

from __future__ import annotations

import datetime as dt

from django.apps import apps
from django.db.models import Max
from django.urls import reverse

from comms.models import Contact
from core.models import Event
from core.models.events import StreamKind
from core.playbook import get_playbook
from incidents.facts import AgendaLine, AgendaSection, ReviewPeriod

MOST_LINES = 200
LOOKED_AT_WITHIN = dt.timedelta(days=180)
TESTED_WITHIN = dt.timedelta(days=92)


def contacts_of(period: ReviewPeriod) -> AgendaSection:
    """Contacts whose row nobody has changed for long, and those nobody can reach; names, never numbers (two
    queries).
    """
    history = apps.get_model("comms", "ContactChange")._default_manager
    changed = dict(
        history.values("pgh_obj_id").annotate(at=Max("pgh_created_at")).values_list("pgh_obj_id", "at")
    )
    lines = []
    for row in Contact.objects.filter(active=True).order_by("name", "pk"):
        at = changed.get(row.pk)
        if not (row.email or row.phone or row.chat or row.support_url):
            lines.append((dt.datetime.min.replace(tzinfo=dt.UTC), row, "no way to reach them"))
        elif at is None or at <= period.opened_at - LOOKED_AT_WITHIN:
            since = at or dt.datetime.min.replace(tzinfo=dt.UTC)
            said = f"not changed since {at:%Y-%m-%d}" if at else "never changed"
            lines.append((since, row, said))
    lines.sort(key=lambda one: (one[0], one[1].name))
    shown = [
        AgendaLine(text=row.name, detail=said, url=reverse("comms:contacts"), tone="warning")
        for _at, row, said in lines[:MOST_LINES]
    ]
    return AgendaSection("Contacts not looked at for long", tuple(shown), count=len(lines))


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
