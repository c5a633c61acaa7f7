"""A day of an incident in accelerated time: due times are gone to one after the other, nobody waits."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

from comms.models import Contact, Delivery, EscalationClock, Message
from comms.services.escalation import climb_ladders
from core.clock import utcnow
from core.models import Event, User
from core.outbox import deliver_pending
from incidents.models import Incident
from incidents.services.clocks import mark_breached_responses

# name: kind, title, role, audiences
CAST: dict[str, tuple[str, str, str, list[str]]] = {
    "ida": ("primary", "Incident Commander", "incident_commander", []),
    "cleo": ("primary", "Communications Lead", "communications_lead", []),
    "tech": ("team", "", "", ["technical_team"]),
    "boss": ("team", "", "", ["management"]),
    "dev": ("team", "", "", ["development_team"]),
    "sec": ("team", "", "", ["security_team"]),
    "emil": ("escalation", "Engineering Manager", "", []),
    "cora": ("escalation", "CTO", "", []),
    "cyrus": ("escalation", "ceo", "", []),
}
LEADS = {"ida", "cleo"}
EVERYONE = set(CAST)


def make_cast() -> None:
    """Contacts by mail; those whose account exists are linked to it."""
    for name, (kind, title, role, audiences) in CAST.items():
        Contact.objects.create(
            name=name,
            kind=kind,
            title=title,
            role=role,
            audiences=audiences,
            email=f"{name}@example.test",
            user=User.objects.filter(username=name).first(),
        )
    Contact.objects.create(name="cloud", kind="external", title="CTO", email="cloud@example.test")


class Day:
    """Time since `start`, in minutes; it begins in the past, because the database's clock is not moved."""

    def __init__(self, hours: int = 48) -> None:
        self.start = utcnow().replace(microsecond=0) - dt.timedelta(hours=hours)
        self.now = self.start

    def at(self, minutes: float) -> dt.datetime:
        return self.start + dt.timedelta(minutes=minutes)

    def run(self, until: float) -> None:
        """Let everything happen that is due, in order, up to that minute."""
        end = self.at(until)
        self._settle()
        while (due := self._next_due()) is not None and due <= end:
            self.now = max(self.now, due)
            self._settle()
        self.now = end
        self._settle()

    def _settle(self) -> None:
        mark_breached_responses(now=self.now)
        deliver_pending(now=self.now)
        while climb_ladders(now=self.now):
            deliver_pending(now=self.now)

    def _next_due(self) -> dt.datetime | None:
        clocks = EscalationClock.objects.filter(due_at__gt=self.now).values_list("due_at", flat=True)
        waiting = Incident.objects.open().filter(acknowledged_at=None, response_breached_at=None)
        responses = waiting.values_list("response_due_at", flat=True)
        return min((*clocks, *responses), default=None)

    def told(self, *templates: str) -> list[tuple[float, str, frozenset[str]]]:
        """Every message since the start as (minute, template, names of who gets it); or of these templates."""
        rows = Message.objects.order_by("pk").prefetch_related("deliveries__contact")
        if templates:
            rows = rows.filter(template__in=templates)
        return [(self._minute(row), row.template, frozenset(_names(row))) for row in rows]

    def events(self, incident: Incident) -> list[str]:
        """The kinds on the timeline."""
        kinds = Event.objects.filter(stream=incident.stream).order_by("seq")
        return list(kinds.values_list("kind", flat=True))

    def _minute(self, message: Message) -> float:
        return (message.created_at - self.start).total_seconds() / 60


def _names(message: Message) -> Iterator[str]:
    for delivery in message.deliveries.all():
        if delivery.contact is not None:
            yield delivery.contact.name


def due_again(minutes: int = 1) -> None:
    """Every delivery could leave by now."""
    Delivery.objects.filter(state__in=("pending", "retrying")).update(
        due_at=utcnow() - dt.timedelta(minutes=minutes)
    )
