"""Doors for events: automation considers a rollback, and the ledger learns of a failed one."""

from __future__ import annotations

import datetime as dt

from core.models import Event
from rollbacks.services.decisions import consider_automatic_rollback, reconsider_after_release
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

    Idempotent: one live rollback per service is the limit, and one attempt per release.
    """
    if event.kind == "release.recorded":
        reconsider_after_release(service=event.data["service"], version=event.data["version"], now=now)
    elif event.data["rollback"] != "none":
        consider_automatic_rollback(
            incident_ref=event.data["incident"],
            service=event.data["service"],
            metric=event.data["metric"],
            effect=event.data["rollback"],
            policy_key=event.data["policy"],
            cause=event.summary,
            now=now,
        )
