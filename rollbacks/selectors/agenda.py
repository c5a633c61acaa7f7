"""What this app gives to the agenda of a review, and the procedures as texts that are looked over."""

from __future__ import annotations

import datetime as dt

from django.db.models import Max, QuerySet
from django.urls import reverse

from core.playbook import get_playbook
from incidents.facts import AgendaFigure, AgendaLine, AgendaSection, KeptText, ReviewPeriod
from rollbacks import policy
from rollbacks.models import Rollback
from rollbacks.rules.insights import FIGURES, Figure, Figures
from rollbacks.selectors.insights import figures_of_all
from rollbacks.states import RollbackState

MOST_LINES = 200
REHEARSED_WITHIN = dt.timedelta(days=90)  # of a procedure: longer ago, nobody knows whether it still works


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
    """The figures of insights, beside those of the period before (four queries).

    Restricted incidents count: what is shown are sums and means over everything.
    """
    spans = (period, period.before)
    now, before = (figures_of_all(one.begins_at, one.ends_at, now=period.opened_at) for one in spans)
    return AgendaSection("Trends", figures=tuple(_figure(one, now, before) for one in FIGURES.values()))


def _figure(figure: Figure, now: Figures, before: Figures) -> AgendaFigure:
    values = (getattr(now, figure.field), getattr(before, figure.field))
    # Two spans of one review are as long as each other: a number says more than so many a month.
    if figure.unit == "per_month":
        return AgendaFigure("Rollbacks", "count", *values)
    return AgendaFigure(figure.label, figure.unit, *values)


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
