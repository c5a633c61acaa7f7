"""What /metrics says: read from the database when it is asked, so it is the same in every web process."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from django.conf import settings
from django.utils.module_loading import import_string
from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily

from core import build
from core.operation import requests
from core.operation.bounded import Bounded
from core.operation.facts import SystemFacts
from core.operation.gather import system_facts
from core.operation.outside import TOLD
from core.playbook import get_playbook

LIMIT_SECONDS = 5.0


class _Collected:
    """A registry's collector that hands out what was read before."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = tuple(families)

    def collect(self) -> Iterable[Metric]:
        return self._families


def render_metrics() -> bytes:
    """The page in Prometheus' text format; raises TimeoutError when the database does not answer."""
    registry = CollectorRegistry()
    registry.register(_Collected(_families.answer(LIMIT_SECONDS)))
    return generate_latest(registry) + generate_latest(requests.registry)


def gauge(name: str, text: str, value: float | None) -> GaugeMetricFamily:
    """A single number, left out when there is none."""
    family = GaugeMetricFamily(name, text, labels=())
    if value is not None:
        family.add_metric((), value)
    return family


def gauges(name: str, text: str, label: str, values: Iterable[tuple[str, float | None]]) -> GaugeMetricFamily:
    """A number per value of one label, left out where there is none."""
    family = GaugeMetricFamily(name, text, labels=(label,))
    for key, value in values:
        if value is not None:
            family.add_metric((key,), value)
    return family


def collect() -> Iterator[Metric]:
    """What core itself knows."""
    facts = system_facts()
    built = InfoMetricFamily("firebreak_build", "Which Firebreak this is.")
    about = {"version": build.version(), "commit": build.commit(), "playbook": get_playbook().digest[:12]}
    built.add_metric((), about)
    yield built
    yield from _work(facts)
    yield from _signs_of_life(facts)
    yield gauge(
        "firebreak_parked_events", "Events that could not be handled and wait for a person.", facts.parked
    )
    yield gauge(
        "firebreak_unapplied_migrations",
        "Migrations of this code that the database lacks.",
        facts.unapplied_migrations,
    )


def _work(facts: SystemFacts) -> Iterator[Metric]:
    kinds = facts.work
    yield gauges(
        "firebreak_due_work", "Work that is due and not begun.", "kind", ((k.key, k.count) for k in kinds)
    )
    yield gauges(
        "firebreak_oldest_due_work_age_seconds",
        "How long the oldest due work of its kind has waited; 0 when none is due.",
        "kind",
        ((k.key, k.oldest_seconds) for k in kinds),
    )
    yield gauges(
        "firebreak_sweep_age_seconds",
        "Since a worker last began the sweep.",
        "sweep",
        ((sweep.name, sweep.age_seconds) for sweep in facts.sweeps),
    )
    yield gauges(
        "firebreak_sweep_duration_seconds",
        "How long the sweep's last finished run took.",
        "sweep",
        ((sweep.name, sweep.took_seconds) for sweep in facts.sweeps),
    )


def _signs_of_life(facts: SystemFacts) -> Iterator[Metric]:
    labels = ("process", "host", "pid")
    age = GaugeMetricFamily(
        "firebreak_sign_of_life_age_seconds", "Since a process last proved that it works.", labels=labels
    )
    skew = GaugeMetricFamily(
        "firebreak_clock_skew_seconds", "How far a process's clock is ahead of the database's.", labels=labels
    )
    for process in facts.processes:
        values = (process.name, process.host, str(process.pid))
        age.add_metric(values, process.age_seconds)
        if process.skew_seconds is not None:
            skew.add_metric(values, process.skew_seconds)
    yield from (age, skew)
    running = {process.name for process in facts.processes}
    yield gauges(
        "firebreak_process_running",
        "Whether an expected process has a sign of life at all.",
        "process",
        ((name, float(name in running)) for name in settings.EXPECTED_PROCESSES),
    )
    told = [mark.age_seconds for (name, _host), mark in facts.marks.items() if name == TOLD]
    yield gauge(
        "firebreak_outside_heartbeat_age_seconds",
        "Since the outside heartbeat was last heard; absent when it never was.",
        min(told, default=None),
    )
    rescued = [mark.age_seconds for (name, _host), mark in facts.marks.items() if name == "watchdog.rescue"]
    yield gauge(
        "firebreak_watchdog_rescue_age_seconds",
        "Since the watchdog last did overdue work itself; absent when it never did.",
        min(rescued, default=None),
    )


def _collect_all() -> tuple[Metric, ...]:
    families: list[Any] = []
    for path in settings.METRIC_COLLECTORS:
        families += import_string(path)()
    return tuple(families)


_families: Bounded[tuple[Metric, ...]] = Bounded("metrics", _collect_all)
