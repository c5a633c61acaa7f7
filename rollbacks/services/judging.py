"""What a person says of a rollback once it is over: whether it was necessary."""

from __future__ import annotations

import datetime as dt

from django.db import transaction
from django.db.models import F

from core.access import require
from core.actors import Actor
from core.assurance import require_assurance
from core.errors import Conflict, Invalid, NotAllowed
from rollbacks.models import Rollback
from rollbacks.services.endings import lock_rollback
from rollbacks.states import END_STATES
from rollbacks.timeline import record_on_rollback


@transaction.atomic
def judge_rollback(
    *, rollback_id: int, false_positive: bool, reason: str, actor: Actor, now: dt.datetime
) -> Rollback:
    """A person judges a rollback that is over; the last judgement counts, all stand on the timeline.

    Source: the policy's false positive rate. Raises NotAllowed, Invalid, or Conflict while it is live.
    """
    require(actor, "decide_rollback")
    if not actor.is_person:
        raise NotAllowed("Only a person judges a rollback, never a token.")
    if not reason.strip():
        raise Invalid({"reason": "Say why."})
    rollback = lock_rollback(rollback_id, actor)
    if rollback.state not in END_STATES:
        raise Conflict(
            f"{rollback.ref} is {rollback.get_state_display().lower()}: it is judged when it is over.",
            state=rollback.state,
        )
    require_assurance(actor, now)
    Rollback.objects.filter(pk=rollback.pk).update(
        false_positive=false_positive,
        judged_by=actor.label,
        judged_at=now,
        judged_reason=reason,
        version=F("version") + 1,
    )
    rollback.refresh_from_db()
    record_on_rollback(
        rollback,
        "rollback.judged",
        f"judged {'a false positive' if false_positive else 'necessary'} by {actor.label}: {reason}",
        actor=actor,
        now=now,
        data={"false_positive": false_positive, "trigger": rollback.trigger, "reason": reason[:500]},
    )
    return rollback
