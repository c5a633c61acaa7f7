"""Alerts as lists and lines, and what is wrong with taking them in."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from django.db import connection
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.urls import reverse

from core.access import may
from core.actors import Actor
from core.errors import NotFound
from core.http import is_web_address
from core.operation.facts import Trouble
from incidents.models import Alert, InboundDelivery, Incident, Service
from incidents.selectors.cards import incident_url
from incidents.states import AlertSource, AlertStatus, InboundKind

PAGE_SIZE = 50
PARKED_SHOWN = 20
_TONES = {AlertStatus.FIRING: "critical", AlertStatus.ACKNOWLEDGED: "warning", AlertStatus.RESOLVED: "ok"}


@dataclass(frozen=True)
class AlertLine:
    """One alert in a list; `why_nothing` says why it opened nothing, where it did not."""

    pk: int
    title: str
    status: str
    status_label: str
    tone: str
    severity: str
    source: str
    service: str
    service_url: str
    incident: str
    incident_url: str
    labels: tuple[tuple[str, str], ...]
    starts_at: dt.datetime
    ends_at: dt.datetime | None
    repeats: int
    url: str
    why_nothing: str
    notes: tuple[str, ...]


@dataclass(frozen=True)
class ParkedLine:
    """A delivery that could not be handled; `error` only for who may see everything."""

    pk: int
    kind: str
    sender: str
    attempts: int
    received_at: dt.datetime
    parked_at: dt.datetime
    error: str


@dataclass(frozen=True)
class AlertPage:
    """One page of the list; `before` is the cursor of the next page, empty on the last."""

    lines: tuple[AlertLine, ...]
    before: str


def alert_records(actor: Actor) -> QuerySet[Alert]:
    """Alerts with their service and incident, but those of an incident that the actor may not see."""
    seen = Incident.objects.visible_to(actor).filter(pk=OuterRef("incident_id"))
    rows = Alert.objects.filter(Q(incident__isnull=True) | Exists(seen))
    return rows.select_related("service", "incident")


def get_alert(alert_id: int, actor: Actor) -> Alert:
    """Raises NotFound."""
    found = alert_records(actor).filter(pk=alert_id).first()
    if found is None:
        raise NotFound(f"There is no alert {alert_id}.")
    return found


def get_sent_alert(alert_id: int, actor: Actor) -> Alert:
    """What a sender is answered: the alert that they sent, without an incident that they may not see."""
    alert = Alert.objects.select_related("service", "incident").get(pk=alert_id)
    incident = alert.incident
    if incident and not Incident.objects.visible_to(actor).filter(pk=incident.pk).exists():
        alert.incident = None
    return alert


def get_delivery(delivery_id: int) -> InboundDelivery:
    """Without what it said; raises NotFound."""
    found = InboundDelivery.objects.defer("body").filter(pk=delivery_id).first()
    if found is None:
        raise NotFound(f"There is no delivery {delivery_id}.")
    return found


def list_alerts(actor: Actor, *, status: str = "open", service: str = "", before: str = "") -> AlertPage:
    """Newest first, a page at a time; an unknown filter or cursor counts as none (three queries at most)."""
    rows = alert_records(actor)
    if status == "open":
        rows = rows.filter(~Q(status=AlertStatus.RESOLVED))
    elif status in AlertStatus.values:
        rows = rows.filter(status=status)
    if service:
        rows = rows.filter(service__slug=service)
    if before.isdecimal() and before.isascii() and len(before) < 19:
        rows = rows.filter(pk__lt=int(before))
    found = list(rows.order_by("-pk")[: PAGE_SIZE + 1])
    more = len(found) > PAGE_SIZE
    return AlertPage(tuple(map(_line, found[:PAGE_SIZE])), str(found[PAGE_SIZE - 1].pk) if more else "")


def alert_services(actor: Actor) -> list[tuple[str, str]]:
    """Slug and name of the services that alerts which are not over are about (one query)."""
    firing = alert_records(actor).exclude(status=AlertStatus.RESOLVED).values("service")
    return list(Service.objects.filter(pk__in=firing).order_by("name").values_list("slug", "name")[:20])


def alerts_of_incident(incident: Incident) -> tuple[AlertLine, ...]:
    """What fires for an incident and what has ended, the newest first (one query)."""
    rows = incident.alerts.select_related("service").order_by("-pk")
    return tuple(map(_line, rows[:PAGE_SIZE]))


def list_parked(actor: Actor) -> tuple[ParkedLine, ...]:
    """Deliveries that wait for a person, the newest first (one query)."""
    rows = InboundDelivery.objects.filter(parked_at__isnull=False).defer("body").order_by("-pk")
    whole = may(actor, "administer")
    return tuple(
        ParkedLine(
            pk=row.pk,
            kind=str(InboundKind(row.kind).label),
            sender=row.label,
            attempts=row.attempts,
            received_at=row.received_at,
            parked_at=row.parked_at or row.received_at,
            error=row.last_error if whole else "",
        )
        for row in rows[:PARKED_SHOWN]
    )


def count_parked() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM incidents_inbounddelivery WHERE parked_at IS NOT NULL")
        return int(cursor.fetchone()[0])


def parked_deliveries() -> tuple[Trouble, ...]:
    """That deliveries could not be handled."""
    number = count_parked()
    if not number:
        return ()
    text = f"{number} deliver{'ies' if number > 1 else 'y'} of alerts could not be handled"
    detail = "Something may be wrong somewhere, and nobody was told. The page Alerts shows them."
    return (Trouble("parked_alerts", "critical", text, detail, "parked-alerts"),)


def _line(alert: Alert) -> AlertLine:
    status, incident = AlertStatus(alert.status), alert.incident
    return AlertLine(
        pk=alert.pk,
        title=alert.title,
        status=status.value,
        status_label=str(status.label),
        tone=_TONES[status],
        severity=alert.severity,
        source=str(AlertSource(alert.source).label),
        service=alert.service.name if alert.service else "",
        service_url=reverse("incidents:service", args=[alert.service.slug]) if alert.service else "",
        incident=incident.ref if incident else "",
        incident_url=incident_url(incident.ref) if incident else "",
        labels=tuple(sorted(alert.labels.items())),
        starts_at=alert.starts_at,
        ends_at=alert.ends_at,
        repeats=alert.repeats,
        url=alert.url if is_web_address(alert.url) else "",
        why_nothing=_why_nothing(alert),
        notes=tuple(alert.notes),
    )


def _why_nothing(alert: Alert) -> str:
    if alert.incident_id is not None:
        return ""
    if alert.held_until is not None:
        what = "a silence" if alert.silenced_by_id else "maintenance"
        return f"Held back by {what} until {alert.held_until:%Y-%m-%d %H:%M} UTC."
    if alert.ignored:
        return f"Opens nothing: {alert.ignored}."
    if not alert.severity:
        return "Opens nothing: its severity is only for the record."
    if alert.status == AlertStatus.RESOLVED:
        return "It was over, or held back, all the time."
    return ""
