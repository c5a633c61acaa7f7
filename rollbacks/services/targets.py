"""What a rollback's failure says about the release that it went to."""

from __future__ import annotations

import datetime as dt

from django.db import transaction

from core.actors import SYSTEM
from core.errors import Conflict
from incidents.models import Release
from incidents.services.services import quarantine_release
from rollbacks.models import Rollback
from rollbacks.states import StepState


@transaction.atomic
def quarantine_after_failed_verification(*, rollback_ref: str, position: int, now: dt.datetime) -> bool:
    """The target did not stand the test: nobody goes there again until a person has answered for it.

    It stays live until the next release or rollback. Returns whether it was quarantined now: a
    configuration or a database says nothing about the version, and neither does a check whose failure
    the procedure tolerates, that a person stopped, or whose end nobody knows.
    """
    rollback = Rollback.objects.select_related("service", "incident").get(ref=rollback_ref)
    step = rollback.steps.get(position=position)
    if rollback.drill or rollback.returns != "version":
        return False
    if step.tolerated or step.state in (StepState.CANCELLED, StepState.UNKNOWN):
        return False
    if not Release.objects.filter(service=rollback.service, version=rollback.target_version).exists():
        return False
    try:
        quarantine_release(
            service_id=rollback.service_id,
            version=rollback.target_version,
            reason=f"{rollback.told_name}: “{step.name}” failed",
            actor=SYSTEM,
            now=now,
        )
    except Conflict:  # it is quarantined already, by whatever came first
        return False
    return True
