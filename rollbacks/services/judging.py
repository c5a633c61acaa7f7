"""What a person says of a rollback once it is over: whether it was necessary."""

from __future__ import annotations

import datetime as dt

from django.db import transaction
from django.db.models import F

from core.access import require
from core.actors import Actor
from core.assurance import require_assurance
from core.errors import Conflict, Invalid, NotAllowed
from incidents.models import Monitor
from incidents.states import metric_name
from rollbacks import policy
from rollbacks.models import Rollback
from rollbacks.rules.spans import span
from rollbacks.selectors.trust import false_positives_of
from rollbacks.services.endings import lock_rollback, lock_service_of
from rollbacks.states import END_STATES
from rollbacks.timeline import record_on_rollback


@transaction.atomic
def judge_rollback(
    *, rollback_id: int, false_positive: bool, reason: str, actor: Actor, now: dt.datetime
) -> Rollback:
    """A person judges a rollback that is over; the last judgement counts, all stand on the timeline.

    A monitor with too many rollbacks judged false starts none any more, and does again when that is taken
    back. Source: the policy's false positive rate. Raises NotAllowed, Invalid, or Conflict while it is live.
    """
    require(actor, "decide_rollback")
    if not actor.is_person:
        raise NotAllowed("Only a person judges a rollback, never a token.")
    if not reason.strip():
        raise Invalid({"reason": "Say why."})
    lock_service_of(rollback_id)  # of two judgements at once the second one counts both
    rollback = lock_rollback(rollback_id, actor)
    if rollback.state not in END_STATES:
        raise Conflict(
            f"{rollback.ref} is {rollback.get_state_display().lower()}: it is judged when it is over.",
            state=rollback.state,
        )
    require_assurance(actor, now)
    trusted = _is_trusted(rollback, now)
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
    if _is_trusted(rollback, now) != trusted:
        _record_trust(rollback, trusted=not trusted, actor=actor, now=now)
    return rollback


def _is_trusted(rollback: Rollback, now: dt.datetime) -> bool:
    """Whether the monitor that started it may start others."""
    if rollback.monitor is None:
        return True
    judged = false_positives_of(rollback.service_id, now=now).get(rollback.monitor, 0)
    return judged <= policy.limits().false_positives


def _record_trust(rollback: Rollback, *, trusted: bool, actor: Actor, now: dt.datetime) -> None:
    assert rollback.monitor is not None
    monitor = Monitor.with_removed.filter(pk=rollback.monitor).first()
    if monitor is None:
        return
    limits = policy.limits()
    may = "may start rollbacks again" if trusted else "may start no more rollbacks"
    than = "no more" if trusted else "more"
    record_on_rollback(
        rollback,
        "rollback.monitor_trusted" if trusted else "rollback.monitor_distrusted",
        f"the monitor of {metric_name(monitor.metric)} of {rollback.service.name} {may}: {than} than"
        f" {limits.false_positives} of its rollbacks within {span(limits.false_positives_within)}"
        f" {'is' if limits.false_positives == 1 else 'are'} judged a false positive",
        actor=actor,
        now=now,
        data={"monitor": monitor.pk, "metric": monitor.metric},
    )
