"""What this app gives to the agenda of a review, and the procedures as texts that are looked over."""

from __future__ import annotations

import datetime as dt

from django.db.models import Avg, Count, DurationField, ExpressionWrapper, F, Max, Q, QuerySet
from django.urls import reverse

from core.playbook import get_playbook
from incidents.facts import AgendaFigure, AgendaLine, AgendaSection, KeptText, ReviewPeriod
from rollbacks import policy
from rollbacks.models import Rollback
from rollbacks.states import RollbackState

MOST_LINES = 200
REHEARSED_WITHIN = dt.timedelta(days=90)  # of a procedure: longer ago, nobody knows whether it still works
_COUNTED = (
    RollbackState.SUCCEEDED,
    RollbackState.FAILED,
    RollbackState.HANDED_OVER,
    RollbackState.RESOLVED_BY_HAND,
)


def rollbacks_of(period: ReviewPeriod) -> AgendaSection:
    """The rollbacks asked for in the period, in order (two queries)."""
    rows = _requested(period)
    lines = [
        AgendaLine(
            text=f"{row.ref} {row.service.name}: {row.way}",
            detail=f"{row.trigger}, {str(RollbackState(row.state).label).lower()}",
            url=reverse("rollbacks:rollback", args=[row.ref]),
            incident=row.incident.ref,
            tone="warning" if row.state in (RollbackState.FAILED, RollbackState.NEEDS_ATTENTION) else "",
        )
        for row in rows.select_related("service", "incident").order_by("requested_at", "pk")[:MOST_LINES]
    ]
    return AgendaSection("Rollbacks of the period", tuple(lines), count=rows.count())


def figures_of(period: ReviewPeriod) -> AgendaSection:
    """How many, how well, how fast, beside the period before (two queries). Source: rulings, Figures."""
    now, before = _figures(period), _figures(period.before)
    figures = tuple(AgendaFigure(name, unit, now[name], before[name]) for name, unit in _UNITS.items())
    return AgendaSection("Trends in rollbacks", figures=figures)


_UNITS = {
    "Rollbacks": "count",
    "Rollback success rate": "ratio",
    "Mean time to rollback": "seconds",
    "False-positive rate": "ratio",
}


def _figures(period: ReviewPeriod) -> dict[str, float | None]:
    succeeded = Q(state=RollbackState.SUCCEEDED)
    judged = Q(trigger="automated", false_positive__isnull=False)
    span = ExpressionWrapper(F("completed_at") - F("requested_at"), output_field=DurationField())
    found = _requested(period).aggregate(
        number=Count("pk"),
        succeeded=Count("pk", filter=succeeded),
        ended=Count("pk", filter=Q(state__in=_COUNTED)),
        took=Avg(span, filter=succeeded),
        judged=Count("pk", filter=judged),
        false=Count("pk", filter=judged & Q(false_positive=True)),
    )
    return {
        "Rollbacks": found["number"],
        "Rollback success rate": found["succeeded"] / found["ended"] if found["ended"] else None,
        "Mean time to rollback": found["took"].total_seconds() if found["took"] else None,
        "False-positive rate": found["false"] / found["judged"] if found["judged"] else None,
    }


def procedures_of(period: ReviewPeriod) -> AgendaSection:
    """Procedures that have not succeeded for long, in earnest or in a drill (one query)."""
    rows = Rollback.objects.filter(state=RollbackState.SUCCEEDED, completed_at__lte=period.opened_at)
    last = dict(
        rows.order_by().values("procedure").annotate(at=Max("completed_at")).values_list("procedure", "at")
    )
    stale = []
    for key, procedure in get_playbook()["procedures"].items():
        at = last.get(key)
        if at is None or at <= period.opened_at - REHEARSED_WITHIN:
            stale.append((at, procedure.name, key))
    stale.sort(key=lambda one: (one[0] is not None, one[0], one[1]))
    lines = [
        AgendaLine(
            text=f"{name} ({key})",
            detail=f"succeeded last {at:%Y-%m-%d}" if at else "never used and never rehearsed",
            tone="warning",
        )
        for at, name, key in stale
    ]
    return AgendaSection("Procedures not rehearsed", tuple(lines[:MOST_LINES]), count=len(lines))


def procedure_texts() -> tuple[KeptText, ...]:
    """Each procedure with the commands that it runs."""
    digests = policy.digests()
    return tuple(
        KeptText("procedures", key, f"Procedure {procedure.name}", digests[key])
        for key, procedure in get_playbook()["procedures"].items()
    )


def _requested(period: ReviewPeriod) -> QuerySet[Rollback]:
    return Rollback.objects.filter(
        drill=False, requested_at__gte=period.begins_at, requested_at__lt=period.ends_at
    )
