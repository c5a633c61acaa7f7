"""The soak as it runs: the monitors drawn since it began."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from incidents import policy as incident_policy
from incidents.models import Monitor, Sample
from incidents.selectors.charts import Chart, Point, draw_chart
from incidents.selectors.metrics import metric_label
from rollbacks.models import Rollback, RollbackStep
from rollbacks.states import SOAK, StepState

SAMPLES = 2_000


@dataclass(frozen=True)
class Soak:
    """A soak that has begun, with a chart per monitor."""

    started_at: dt.datetime
    ends_at: dt.datetime
    verdict_text: str
    charts: tuple[Chart, ...]


def draw_soak(rollback: Rollback, steps: Sequence[RollbackStep]) -> Soak | None:
    """The rollback's soak, or None before it begins (two queries)."""
    step = next((step for step in steps if step.kind == SOAK and step.started_at), None)
    if step is None or step.started_at is None:
        return None
    monitors = list(Monitor.objects.filter(service=rollback.service_id, enabled=True))
    samples = Sample.objects.filter(monitor__in=monitors, at__gte=step.started_at, value__isnull=False)
    if step.finished_at is not None:
        samples = samples.filter(at__lte=step.finished_at)
    points: dict[int, list[Point]] = {monitor.pk: [] for monitor in monitors}
    for sample in samples.order_by("at", "pk")[:SAMPLES]:
        points[sample.monitor_id].append(Point(sample.at, sample.value or 0.0))
    return Soak(
        started_at=step.started_at,
        ends_at=step.finished_at or step.due_at or step.started_at,
        verdict_text=_verdict(step),
        charts=tuple(_chart(monitor, points[monitor.pk]) for monitor in monitors),
    )


def _verdict(step: RollbackStep) -> str:
    said = {StepState.WAITING: "Watching the service", StepState.SUCCEEDED: "The service stayed well"}
    text = said.get(StepState(step.state), str(StepState(step.state).label))
    return f"{text}: {step.note}" if step.note else text


def _chart(monitor: Monitor, points: Sequence[Point]) -> Chart:
    return draw_chart(
        metric=monitor.metric,
        label=metric_label(monitor.metric),
        level=monitor.level,
        points=points,
        limits=incident_policy.limits_for(monitor.metric, monitor.policy, monitor.thresholds),
        moments=(),
    )
