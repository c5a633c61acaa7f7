"""The figures of a span, counted by the database: in total, by month, and by severity, service or trigger.

Only what the actor may see is counted, and no drill. The cost grows with the incidents and rollbacks of the
span alone: no event is read.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, LiteralString

from django.db import connection, transaction
from django.db.models import BooleanField, Case, Exists, F, OuterRef, Q, QuerySet, Value, When

from core.actors import Actor
from core.sheets import guarded
from incidents.models import Incident, Service
from incidents.models.incidents import IncidentQuerySet
from incidents.states import OPEN_STATUSES, Severity
from rollbacks.models import Rollback
from rollbacks.models.rollbacks import RollbackQuerySet
from rollbacks.rules.insights import Figures, Scope, months_between, months_covered, record_of
from rollbacks.states import RollbackState, Trigger

DECIDED = (
    RollbackState.SUCCEEDED,
    RollbackState.FAILED,
    RollbackState.HANDED_OVER,
    RollbackState.RESOLVED_BY_HAND,
)
NO_SERVICE = ""
# A year of a hundred thousand incidents is sorted in it; with the usual 4 MB on disk, at half the speed.
TO_SORT_IN = "32MB"

_ThroughService = Incident.services.through


@dataclass(frozen=True)
class Month:
    """A month of UTC and what was counted in it; the first and the last may be covered in part."""

    start: dt.datetime
    figures: Figures


@dataclass(frozen=True)
class Group:
    """The figures of one severity, service or trigger."""

    key: str
    figures: Figures


@dataclass(frozen=True)
class Insights:
    """The figures of a span, of the span of the same length before it, and of every month that it touches."""

    scope: Scope
    months_covered: float
    months_before: float
    total: Figures
    before: Figures
    monthly: tuple[Month, ...]


def get_insights(actor: Actor, scope: Scope, *, now: dt.datetime) -> Insights:
    """Two queries, whatever the span; a month in which nothing was has Figures()."""
    wide = replace(scope, start=start_before(scope))
    incidents = incidents_in(Incident.objects.visible_to(actor), wide)
    rollbacks = rollbacks_in(Rollback.objects.visible_to(actor), wide)
    months = list(months_between(scope.start, scope.end))
    with _room_to_sort():
        measured = list(_measured(incidents, rollbacks, scope.start, months, now))
    total, before = Figures(), Figures()
    found: dict[dt.datetime, Figures] = {}
    for current, month, figures in measured:
        if month is not None:
            found[month] = figures
        elif current:
            total = figures
        else:
            before = figures
    monthly = tuple(Month(month, found.get(month, Figures())) for month in months)
    covered = months_covered(scope.start, scope.end)
    return Insights(scope, covered, months_covered(wide.start, scope.start), total, before, monthly)


def group_insights(actor: Actor, scope: Scope, by: str, *, now: dt.datetime) -> tuple[Group, ...]:
    """The span's figures for each severity, service or trigger; three queries, by trigger four.

    What belongs to several services, or was rolled back in both ways, counts with each. By severity and
    trigger each is there, by service those that something happened to, the most incidents first.
    """
    incidents = incidents_in(Incident.objects.visible_to(actor), scope)
    rollbacks = rollbacks_in(Rollback.objects.visible_to(actor), scope)
    if by == "trigger":
        return tuple(Group(key, _of_trigger(actor, scope, key, now)) for key in Trigger.values)
    if by == "severity":
        with _room_to_sort():
            found = _grouped(incidents, "severity", rollbacks, "incident__severity", now)
        return tuple(Group(key, found.get(key, Figures())) for key in Severity.values)
    # By number: to join and sort a hundred thousand names takes as long as all the rest.
    with _room_to_sort():
        numbered = _grouped(incidents, "services", rollbacks, "service", now)
    slugs = dict(Service.objects.filter(pk__in=filter(None, numbered)).order_by().values_list("pk", "slug"))
    found = {slugs.get(number, NO_SERVICE): figures for number, figures in numbered.items()}
    chosen = {key: figures for key, figures in found.items() if not scope.services or key in scope.services}
    ordered = sorted(chosen.items(), key=lambda one: (-one[1].incidents, -one[1].rollbacks, one[0]))
    return tuple(Group(key, figures) for key, figures in ordered)


def insights_sheet(found: Insights, by: str, groups: Iterable[Group]) -> str:
    """A line for each month, or for each group where `by` names any, and the total last: CSV."""
    months = found.months_covered
    lines = (
        [(group.key or "none", record_of(group.figures, months)) for group in groups]
        if by
        else [(f"{month.start:%Y-%m}", record_of(month.figures, 1.0)) for month in found.monthly]
    )
    total = record_of(found.total, months)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow([by or "month", *total])
    for key, record in [*lines, ("total", total)]:
        writer.writerow([guarded(key), *("" if value is None else value for value in record.values())])
    return out.getvalue()


def figures_for_everybody(start: dt.datetime, end: dt.datetime, *, now: dt.datetime) -> Figures:
    """As /metrics may show them, where nobody is known: restricted incidents are left out (two queries)."""
    scope = Scope(start, end)
    incidents = incidents_in(Incident.objects.filter(restricted=False), scope)
    rollbacks = rollbacks_in(Rollback.objects.filter(incident__restricted=False), scope)
    return _total(incidents, rollbacks, start, now)


def figures_of_all(start: dt.datetime, end: dt.datetime, *, now: dt.datetime) -> Figures:
    """Over everything, restricted incidents too, for the agenda of a review (two queries)."""
    scope = Scope(start, end)
    incidents, rollbacks = Incident.objects.all(), Rollback.objects.all()
    return _total(incidents_in(incidents, scope), rollbacks_in(rollbacks, scope), start, now)


def start_before(scope: Scope) -> dt.datetime:
    """Where the span of the same length before it begins; never before there were times."""
    return max(scope.start - (scope.end - scope.start), _LONG_AGO)


def incidents_in(rows: IncidentQuerySet, scope: Scope) -> IncidentQuerySet:
    """Those of `rows` that count in the scope."""
    rows = rows.filter(drill=False, declared_at__gte=scope.start, declared_at__lt=scope.end).order_by()
    if scope.severity:
        rows = rows.filter(severity=scope.severity)
    if scope.services:
        of = _ThroughService.objects.filter(incident=OuterRef("pk"), service__in=_service_ids(scope.services))
        rows = rows.filter(Exists(of))
    if scope.trigger:
        so = Rollback.objects.filter(incident=OuterRef("pk"), trigger=scope.trigger, drill=False)
        rows = rows.filter(Exists(so.order_by()))
    return rows


def rollbacks_in(rows: RollbackQuerySet, scope: Scope) -> RollbackQuerySet:
    """Those of `rows` that count in the scope."""
    rows = rows.filter(drill=False, requested_at__gte=scope.start, requested_at__lt=scope.end).order_by()
    if scope.severity:
        rows = rows.filter(incident__severity=scope.severity)
    if scope.services:
        rows = rows.filter(service__in=_service_ids(scope.services))
    return rows.filter(trigger=scope.trigger) if scope.trigger else rows


def is_due(now: dt.datetime) -> Q:
    """A response that counts: it was given, or its time ran out."""
    ran_out = Q(status__in=OPEN_STATUSES, response_due_at__lte=now)
    return Q(acknowledged_at__isnull=False) | Q(response_breached_at__isnull=False) | ran_out


IN_TIME = Q(
    acknowledged_at__isnull=False,
    response_breached_at__isnull=True,
    acknowledged_at__lte=F("response_due_at"),
)
JUDGED = Q(trigger=Trigger.AUTOMATED, false_positive__isnull=False)
SUCCEEDED = Q(state=RollbackState.SUCCEEDED)

# Both queries name their columns as Figures does, besides what they are of. The first reads the index
# incidents_measured alone. date_part: extract computes in numeric, at twice the whole cost.
_INCIDENTS: LiteralString = """
SELECT current, slice, GROUPING(slice) = 1 AS whole, count(*) AS incidents,
       count(tta) AS acknowledged, avg(tta) AS mtta_seconds,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY tta) AS mtta_median_seconds,
       count(ttr) AS resolved, avg(ttr) AS mttr_seconds,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY ttr) AS mttr_median_seconds,
       count(*) FILTER (WHERE due) AS responses_due, count(*) FILTER (WHERE in_time) AS responses_in_time
  FROM (SELECT {current} AS current, {slice} AS slice, due, in_time,
               date_part('epoch', acknowledged_at - declared_at) AS tta,
               date_part('epoch', resolved_at - declared_at) AS ttr
          FROM ({rows}) chosen) fact
 GROUP BY {groups}
"""
_ROLLBACKS: LiteralString = """
SELECT current, slice, GROUPING(slice) = 1 AS whole, count(*) AS rollbacks,
       count(*) FILTER (WHERE decided) AS rollbacks_decided,
       count(*) FILTER (WHERE succeeded) AS rollbacks_succeeded,
       avg(taken) FILTER (WHERE succeeded) AS mean_time_to_rollback_seconds,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY taken)
           FILTER (WHERE succeeded) AS median_time_to_rollback_seconds,
       count(*) FILTER (WHERE judged) AS judged, count(*) FILTER (WHERE judged_false) AS judged_false
  FROM (SELECT {current} AS current, {slice} AS slice, decided, succeeded, judged, judged_false,
               date_part('epoch', completed_at - requested_at) AS taken
          FROM ({rows}) chosen) fact
 GROUP BY {groups}
"""


def _measured(
    incidents: IncidentQuerySet,
    rollbacks: RollbackQuerySet,
    start: dt.datetime,
    months: list[dt.datetime],
    now: dt.datetime,
) -> Iterator[tuple[bool, dt.datetime | None, Figures]]:
    """(of the span itself?, month or None for all of it, figures)."""
    merged: dict[tuple[bool, dt.datetime | None], dict[str, Any]] = {}
    for current, number, whole, values in (
        *_by_month(_INCIDENTS, _incident_facts(incidents, now), "declared_at", start, months),
        *_by_month(_ROLLBACKS, _rollback_facts(rollbacks), "requested_at", start, months),
    ):
        month = None if whole else months[number - 1]
        # The month in which the span begins has a part before it.
        if month is None or current:
            merged.setdefault((current, month), {}).update(values)
    for (current, month), values in merged.items():
        yield current, month, Figures(**values)


def _total(
    incidents: IncidentQuerySet, rollbacks: RollbackQuerySet, start: dt.datetime, now: dt.datetime
) -> Figures:
    measured = _measured(incidents, rollbacks, start, [start], now)
    return next((figures for current, month, figures in measured if current and month is None), Figures())


def _grouped(
    incidents: IncidentQuerySet,
    incident_key: str,
    rollbacks: RollbackQuerySet,
    rollback_key: str,
    now: dt.datetime,
) -> Mapping[Any, Figures]:
    merged: dict[Any, dict[str, Any]] = {}
    for key, values in (
        *_by_key(_INCIDENTS, _incident_facts(incidents, now, incident_key)),
        *_by_key(_ROLLBACKS, _rollback_facts(rollbacks, rollback_key)),
    ):
        merged.setdefault(key, {}).update(values)
    return {key: Figures(**values) for key, values in merged.items()}


_LONG_AGO = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def _of_trigger(actor: Actor, scope: Scope, trigger: str, now: dt.datetime) -> Figures:
    if scope.trigger not in ("", trigger):
        return Figures()
    narrow = replace(scope, trigger=trigger)
    return _total(
        incidents_in(Incident.objects.visible_to(actor), narrow),
        rollbacks_in(Rollback.objects.visible_to(actor), narrow),
        scope.start,
        now,
    )


def _incident_facts(rows: IncidentQuerySet, now: dt.datetime, key: str = "") -> QuerySet[Any, Any]:
    marked = rows.annotate(due=flag(is_due(now)), in_time=flag(IN_TIME), key=F(key) if key else Value(""))
    return marked.values("declared_at", "acknowledged_at", "resolved_at", "due", "in_time", "key")


def _rollback_facts(rows: RollbackQuerySet, key: str = "") -> QuerySet[Any, Any]:
    marked = rows.annotate(
        decided=flag(Q(state__in=DECIDED)),
        succeeded=flag(SUCCEEDED),
        judged=flag(JUDGED),
        judged_false=flag(JUDGED & Q(false_positive=True)),
        key=F(key) if key else Value(""),
    )
    return marked.values(
        "requested_at", "completed_at", "decided", "succeeded", "judged", "judged_false", "key"
    )


def flag(condition: Q) -> Case:
    return Case(When(condition, then=Value(True)), default=Value(False), output_field=BooleanField())


@contextmanager
def _room_to_sort() -> Iterator[None]:
    """In a transaction of its own, at the end of which the session sorts as before."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT set_config('work_mem', %s, true)", [TO_SORT_IN])
        yield


def _by_month(
    query: LiteralString, rows: QuerySet[Any, Any], at: str, start: dt.datetime, months: list[dt.datetime]
) -> Iterator[tuple[bool, Any, bool, dict[str, Any]]]:
    """(of the span itself?, number of its month, from 1, whether it is the sum of all, what was counted).

    Numbers are sorted sooner than times, and found without a calendar.
    """
    pieces = {"current": f"{at} >= %s", "slice": f"width_bucket({at}, %s::timestamptz[])"}
    groups = "GROUPING SETS ((current, slice), (current))"
    for row in _asked(query, pieces, groups, rows, [start, months]):
        yield row.pop("current"), row.pop("slice"), row.pop("whole"), row


def _by_key(query: LiteralString, rows: QuerySet[Any, Any]) -> Iterator[tuple[Any, dict[str, Any]]]:
    """(key, what was counted); not the sum of all, whose medians would sort everything once more."""
    for row in _asked(query, {"current": "true", "slice": "key"}, "current, slice", rows, []):
        del row["current"], row["whole"]
        yield row.pop("slice"), row


def _asked(
    query: LiteralString, pieces: Mapping[str, str], groups: str, rows: QuerySet[Any, Any], before: list[Any]
) -> list[dict[str, Any]]:
    """Answers by the names of their columns; `before` are the parameters of the pieces."""
    inner, parameters = rows.query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(query.format(rows=inner, groups=groups, **pieces), [*before, *parameters])
        names = [column.name for column in cursor.description]
        return [dict(zip(names, answer, strict=True)) for answer in cursor.fetchall()]


def _service_ids(slugs: tuple[str, ...]) -> list[int]:
    return list(Service.objects.filter(slug__in=slugs).order_by().values_list("pk", flat=True))
