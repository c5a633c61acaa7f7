"""Alertmanager's webhook, version 4, and Grafana's of the same shape.

Source: the payload of Alertmanager's `webhook_config`. Its sender tries again only after a 5xx.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from core.errors import FirebreakError, Invalid
from incidents.facts import Seen
from incidents.ingest.cleaning import Notes, address, labels, moment, title
from incidents.states import AlertStatus

MOST_ALERTS = 2_000
MOST_KEYS = 1_000
_FINGERPRINT = re.compile(r"[\x21-\x7e]{1,128}")


class TooManyAlerts(FirebreakError):
    """More alerts than one delivery may hold."""

    code = "too_large"
    status = 413


def check(document: Mapping[str, Any]) -> int:
    """How many alerts there are; raises Invalid for what is no webhook of this format."""
    alerts = document.get("alerts")
    if not isinstance(alerts, list):
        raise Invalid({"alerts": f"Must be a list of alerts. {_where_else(document)}".strip()})
    if len(document) > MOST_KEYS:
        raise Invalid({"body": f"Holds more than {MOST_KEYS:,} names."})
    if len(alerts) > MOST_ALERTS:
        raise TooManyAlerts(f"One delivery holds at most {MOST_ALERTS:,} alerts; set max_alerts.")
    for number, alert in enumerate(alerts):
        if not isinstance(alert, dict):
            raise Invalid({f"alerts/{number}": "Must be an object."})
    return len(alerts)


def read(document: Mapping[str, Any], *, received_at: dt.datetime, important: Iterable[str]) -> list[Seen]:
    """The alerts of a delivery, one per fingerprint and start: of two in it the later one counts."""
    common = Notes()
    if document.get("version") not in ("4", "1"):
        common.add("its version is not 4")
    if cut_off := _cut_off(document):
        common.add(f"{cut_off:,} alerts were cut by the sender")
    found: dict[tuple[str, dt.datetime | None], Seen] = {}
    for alert in document["alerts"]:
        seen = _read_one(alert, document, received_at, ("alertname", *important), common.all())
        found.pop((seen.fingerprint, seen.starts_at), None)
        found[seen.fingerprint, seen.starts_at] = seen
    return list(found.values())


def _read_one(
    alert: Mapping[str, Any],
    document: Mapping[str, Any],
    received_at: dt.datetime,
    important: tuple[str, ...],
    common: tuple[str, ...],
) -> Seen:
    notes = Notes()
    for text in common:
        notes.add(text)
    known = labels(alert.get("labels"), what="label", first=important, notes=notes)
    if not known:
        notes.add("it had no labels of its own")
        known = labels(document.get("commonLabels"), what="label", first=important, notes=notes)
    about = labels(alert.get("annotations"), what="annotation", first=("summary", "title"), notes=notes)
    status = _status(alert, document, notes)
    starts_at = moment(alert.get("startsAt"), what="startsAt", received_at=received_at, notes=notes)
    if starts_at is None:
        notes.add("it had no usable startsAt: it counts from when it came")
    ends_at = None
    if status is AlertStatus.RESOLVED:
        said = moment(alert.get("endsAt"), what="endsAt", received_at=received_at, notes=notes)
        ends_at = said or received_at
        if starts_at is not None and ends_at < starts_at:
            notes.add("it ended before it began")
            ends_at = max(starts_at, received_at)
    return Seen(
        fingerprint=_fingerprint(alert, notes),
        starts_at=starts_at,
        ends_at=ends_at,
        status=status,
        title=title((about.get("summary"), about.get("title"), known.get("alertname")), notes),
        labels=known,
        annotations=about,
        url=address(alert.get("generatorURL"), what="generatorURL", notes=notes),
        notes=notes.all(),
        cut_off=_cut_off(document),
    )


def _cut_off(document: Mapping[str, Any]) -> int:
    """How many alerts the sender left out (its `max_alerts`)."""
    said = document.get("truncatedAlerts")
    return min(said, 1_000_000) if isinstance(said, int) and not isinstance(said, bool) and said > 0 else 0


def _status(alert: Mapping[str, Any], document: Mapping[str, Any], notes: Notes) -> AlertStatus:
    for said in (alert.get("status"), document.get("status")):
        if said in (AlertStatus.FIRING, AlertStatus.RESOLVED):
            return AlertStatus(said)
        notes.add("it had no status of its own")
    return AlertStatus.FIRING


def _fingerprint(alert: Mapping[str, Any], notes: Notes) -> str:
    given = alert.get("fingerprint")
    if isinstance(given, str) and _FINGERPRINT.fullmatch(given):
        return given
    notes.add("its fingerprint was made of its labels")
    text = json.dumps([given if isinstance(given, str) else None, alert.get("labels")], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _where_else(document: Mapping[str, Any]) -> str:
    if "routing_key" in document or "event_action" in document:
        return "This looks like a PagerDuty event: send it to /v2/enqueue."
    if "text" in document or "attachments" in document:
        return "This looks like a chat message: choose a webhook receiver in Alertmanager or Grafana."
    return "This address takes the webhook of Alertmanager (version 4) and of Grafana."
