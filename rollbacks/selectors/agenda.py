"""What this app gives to the agenda of a review, and the procedures as texts that are looked over."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

from django.db.models import Count, F, Func, Max, Q, QuerySet, TextField
from django.urls import reverse

from core.playbook import get_playbook
from incidents.facts import AgendaFigure, AgendaLine, AgendaSection, KeptText, ReviewPeriod
from incidents.models import Incident, SearchDocument
from incidents.states import metric_name
from rollbacks import policy
from rollbacks.models import Drill, Rollback
from rollbacks.rules.insights import FIGURES, Figure, Figures, bound_text
from rollbacks.selectors.drills import drill_url
from rollbacks.selectors.insights import figures_of_all
from rollbacks.selectors.readiness import list_overdue
from rollbacks.states import DrillState, RollbackState, Trigger

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


def patterns_of(period: ReviewPeriod) -> AgendaSection:
    """What came back within the period, the most often first: services and metrics with several incidents,
    services rolled back several times in one way (three queries).

    Restricted incidents are left out: that one concerned this service says too much already.
    """
    found = sorted(
        (*_services_again(period), *_metrics_again(period), *_rollbacks_again(period)),
        key=lambda one: (-one[0], one[1].text),
    )
    return AgendaSection("Patterns", tuple(line for _times, line in found[:MOST_LINES]), count=len(found))


def _services_again(period: ReviewPeriod) -> Iterator[tuple[int, AgendaLine]]:
    rows = _around(Incident.objects.filter(drill=False, restricted=False), "declared_at", period)
    rows = rows.filter(services__isnull=False).values("services__slug", "services__name")
    for row in _again(rows, "declared_at", period):
        yield (
            row["times"],
            AgendaLine(
                text=f"{row['services__name']}: {row['times']} incidents",
                detail=_earlier(row),
                url=_behind("incidents", period, service=row["services__slug"]),
                tone=_tone(row),
            ),
        )


def _metrics_again(period: ReviewPeriod) -> Iterator[tuple[int, AgendaLine]]:
    at = "incident__declared_at"
    rows = SearchDocument.objects.filter(incident__drill=False, incident__restricted=False)
    rows = _around(rows, at, period).exclude(metrics=[])
    metric = Func(F("metrics"), function="unnest", output_field=TextField())
    for row in _again(rows.annotate(metric=metric).values("metric"), at, period):
        text = f"{metric_name(row['metric'])}: {row['times']} incidents"
        yield row["times"], AgendaLine(text=text, detail=_earlier(row), tone=_tone(row))


def _rollbacks_again(period: ReviewPeriod) -> Iterator[tuple[int, AgendaLine]]:
    rows = _around(
        Rollback.objects.filter(drill=False, incident__restricted=False), "requested_at", period
    ).values("service__slug", "service__name", "trigger")
    for row in _again(rows, "requested_at", period):
        way = str(Trigger(row["trigger"]).label).lower()
        yield (
            row["times"],
            AgendaLine(
                text=f"{row['service__name']}: {row['times']} rollbacks, {way}",
                detail=_earlier(row),
                url=_behind(
                    "rollback_frequency", period, service=row["service__slug"], trigger=row["trigger"]
                ),
                tone=_tone(row),
            ),
        )


def _around(rows: QuerySet[Any], at: str, period: ReviewPeriod) -> QuerySet[Any]:
    """Of the period, and of as much time before it."""
    span = {f"{at}__gte": period.before.begins_at, f"{at}__lt": period.ends_at}
    return rows.filter(**span).order_by()


def _again(rows: QuerySet[Any], at: str, period: ReviewPeriod) -> QuerySet[Any]:
    """Each group that the period has twice or more: its `times`, and `earlier`, how often the time before."""
    times = Count("pk", filter=Q(**{f"{at}__gte": period.begins_at}))
    earlier = Count("pk", filter=Q(**{f"{at}__lt": period.begins_at}))
    groups = rows.annotate(times=times, earlier=earlier).filter(times__gte=2)
    found: QuerySet[Any] = groups.order_by("-times")[:MOST_LINES]
    return found


def _earlier(row: dict[str, Any]) -> str:
    return f"{row['earlier'] or 'none'} in the time before"


def _tone(row: dict[str, Any]) -> str:
    return "warning" if row["times"] > row["earlier"] else ""


def _behind(figure: str, period: ReviewPeriod, **narrowed: str) -> str:
    """Where what was counted is listed, as far as the reader may see it."""
    asked = {"from": bound_text(period.begins_at, last=False), "to": bound_text(period.ends_at, last=True)}
    return f"{reverse('rollbacks:behind', args=[figure])}?{urlencode({**asked, **narrowed})}"


def drills_of(period: ReviewPeriod) -> AgendaSection:
    """Drills of the period and how they went, then services not rehearsed for long (two queries)."""
    rows = Drill.objects.filter(
        state__in=(DrillState.FINISHED, DrillState.CANCELLED),
        starts_at__gte=period.begins_at,
        starts_at__lt=period.ends_at,
    ).select_related("service", "incident")
    held = [
        AgendaLine(
            text=f"{row.name} on {row.service.name}",
            detail=_how_it_went(row),
            url=drill_url(row.pk),
            incident=row.incident.ref if row.incident else "",
            tone="" if row.scorecard and row.scorecard.get("passed") else "warning",
        )
        for row in rows.order_by("starts_at", "pk")[:MOST_LINES]
    ]
    overdue = [
        AgendaLine(
            text=service.name,
            detail="not rehearsed for longer than the playbook allows",
            url=reverse("incidents:service", args=[service.slug]),
            tone="warning",
        )
        for service in list_overdue(now=period.opened_at)
    ]
    count = (rows.count() if len(held) == MOST_LINES else len(held)) + len(overdue)
    return AgendaSection("Drills and readiness", (*held, *overdue)[:MOST_LINES], count=count)


def _how_it_went(drill: Drill) -> str:
    if drill.state == DrillState.CANCELLED:
        return "cancelled"  # why may name an incident that the reader may not see
    return "passed" if drill.scorecard and drill.scorecard.get("passed") else "not passed"


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
