"""Doors for events: automation considers a rollback, the ledger learns of a failed one, drills give way."""

from __future__ import annotations

import datetime as dt

from core.models import Event
from rollbacks.facts import Breach
from rollbacks.selectors.breaches import answers_until
from rollbacks.services.decisions import consider_automatic_rollback, reconsider_after_release
from rollbacks.services.drill_running import finish_with_incident, preempt_drills
from rollbacks.services.targets import quarantine_after_failed_verification
from rollbacks.states import Phase


def keep_ledger(event: Event, now: dt.datetime) -> None:
    """A step after the switch failed: the target is quarantined.

    Here and not where the step fails, because there the service cannot be locked any more before
    incident and rollback. Idempotent: what is quarantined stays as it is.
    """
    if event.data["phase"] == Phase.VERIFY:
        quarantine_after_failed_verification(
            rollback_ref=event.data["rollback"], position=event.data["position"], now=now
        )


def consider_rollback(event: Event, now: dt.datetime) -> None:
    """A service exceeded a threshold, or the release that did it was recorded only now.

    Idempotent: one stored decision for each event.
    """
    if event.kind == "release.recorded":
        reconsider_after_release(
            service=event.data["service"], version=event.data["version"], now=now, cause_event=event.pk
        )
    else:
        consider_automatic_rollback(
            incident_ref=event.data["incident"],
            service=event.data["service"],
            breach=_breach(event),
            now=now,
            cause_event=event.pk,
        )


def _breach(event: Event) -> Breach:
    said = event.data
    return Breach(
        metric=said["metric"],
        level=said["level"],
        effect=said["rollback"],
        policy=said["policy"],
        cause=event.summary,
        monitor=said.get("monitor"),
        at=_measured_at(event),
        catastrophic=said.get("catastrophic", False),
    )


def _measured_at(event: Event) -> dt.datetime:
    """When the breach was measured; an event that does not say it came with the newest measurement."""
    if at := event.data.get("at"):
        return dt.datetime.fromisoformat(at)
    monitor = event.data.get("monitor")
    newest = answers_until(monitor, event.occurred_at, count=1) if monitor else []
    return newest[0].at if newest else event.occurred_at


def keep_drills(event: Event, now: dt.datetime) -> None:
    """A real incident goes before a drill of its services; a drill ends with its own incident. Idempotent."""
    if event.kind == "incident.resolved":
        finish_with_incident(event=event, now=now)
    else:
        preempt_drills(event=event, now=now)
