"""The soak as it runs: the monitors drawn since it began."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from incidents.models import Monitor
from incidents.selectors.charts import Chart
from incidents.selectors.series import series_of
from incidents.selectors.services import chart_of
from rollbacks.models import Rollback, RollbackStep
from rollbacks.states import SOAK, StepState


@dataclass(frozen=True)
class Soak:
    """A soak that has begun, with a chart per monitor."""

    started_at: dt.datetime
    ends_at: dt.datetime
    verdict_text: str
    charts: tuple[Chart, ...]


def draw_soak(rollback: Rollback, steps: Sequence[RollbackStep], *, now: dt.datetime) -> Soak | None:
    """The rollback's soak, or None before it begins (three queries)."""
    step = next((step for step in steps if step.kind == SOAK and step.started_at), None)
    if step is None or step.started_at is None:
        return None
    monitors = list(Monitor.objects.filter(service=rollback.service_id, enabled=True))
    until = step.finished_at or now
    series = series_of(monitors, start=step.started_at, end=until, now=now)
    return Soak(
        started_at=step.started_at,
        ends_at=step.finished_at or step.due_at or step.started_at,
        verdict_text=_verdict(step),
        charts=tuple(chart_of(monitor, series, value=series.last_value(monitor.pk)) for monitor in monitors),
    )


def _verdict(step: RollbackStep) -> str:
    said = {StepState.WAITING: "Watching the service", StepState.SUCCEEDED: "The service stayed well"}
    text = said.get(StepState(step.state), str(StepState(step.state).label))
    return f"{text}: {step.note}" if step.note else text
