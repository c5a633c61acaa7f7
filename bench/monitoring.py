"""`python -m bench.monitoring`: checks, detection and alerts with 1, 10 and 100 times as much stored.

The processes are the Procfile's own, on a database of their own with durability on; `bench.source` is what
monitors ask. `make bench` runs this after its requests, and puts the tables on the same page.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import psycopg
from ruamel.yaml import YAML

from bench import alerts, checks, detection, stored
from bench.alone import alone
from bench.detection import INTERVAL, WITHIN_SECONDS
from bench.report import table
from bench.run import UNLIMITED, Say, checked_settings
from bench.servers import CEILING, ROOT, free_ports, manage, running, web, worker
from bench.stored import Amount
from core.embedded.folders import socket_dir
from core.embedded.stack import open_stack

PARTS = frozenset(("checks", "detection", "alerts"))
PROCEDURE = "automated_rollback"
LIMITS = """\
- The checks are saturated: monitors are due again as soon as they were checked, by one `checks` worker with Procfile's
  threads. Source, PostgreSQL, broker and worker share the cores, and the ceiling has the source's share, too.
- *Ceiling* of checks: the same HTTP client in a process of its own, as many requests under way over pools as small, that
  reads no answer and writes nothing. Of alerts: a bare Django REST framework view behind the same server, one INSERT.
- `both` has as many monitors of either kind due; Prometheus' monitors ask fifty different queries in one request. The
  source answers like Prometheus without evaluating anything.
- Detection: what another session sees, which looks 20 times a second. A breach begins at any moment of the monitor's
  interval, so most of the time is waiting for the next check. *Changed* includes the confirmation (2 of 3 measurements,
  2 s apart) and a check before. The brake, which lets 5 rollbacks of all services start in ten minutes, is lifted, and
  the procedure has one step of each phase that does nothing. A rollback with its messages takes more than a second of
  processor time, and another breach comes every other second: where cores are few they wait for one another.
- Accepted alerts wait until they were counted: no worker runs beside the web process. Looked into are they and copies of
  the last of them, all of 24 services; what they set in motion after that (events, messages) is not part of it.
"""


@dataclass(frozen=True)
class Scale:
    """`first` is what is stored at first, and grows by `factors`; windows as in `bench.scale`."""

    first: Amount
    factors: tuple[int, ...]
    monitors: int  # of each kind
    connections: tuple[int, ...]
    rounds: int
    seconds: float
    breaches: int
    spread: float
    background: int
    waiting: int  # deliveries besides what was accepted, for looking into
    parts: frozenset[str] = PARTS

    def amounts(self) -> list[Amount]:
        first = self.first
        return [Amount(first.samples * n, first.alerts * n, first.incidents * n) for n in self.factors]


WHOLE = Scale(
    Amount(samples=50_000, alerts=5_000, incidents=200),
    factors=(1, 10, 100),
    monitors=5_000,
    connections=(1, 8, 32),
    rounds=2,
    seconds=3.5,
    breaches=25,
    spread=40,
    background=4_000,
    waiting=5_000,
)
SHORT = Scale(
    Amount(samples=40_000, alerts=5_000, incidents=100),
    factors=(1, 10),
    monitors=5_000,
    connections=(1, 8),
    rounds=1,
    seconds=3,
    breaches=8,
    spread=15,
    background=2_000,
    waiting=2_000,
)
SMOKE = Scale(
    Amount(samples=200, alerts=50, incidents=4),
    factors=(1,),
    monitors=100,
    connections=(2,),
    rounds=1,
    seconds=1,
    breaches=2,
    spread=0.5,
    background=10,
    waiting=100,
)
SCALES = {"whole": WHOLE, "short": SHORT}


@dataclass
class Findings:
    """All that was found out."""

    checked: list[checks.Checked] = field(default_factory=list)
    detected: list[detection.Detected] = field(default_factory=list)
    accepted: list[alerts.Accepted] = field(default_factory=list)
    drained: list[alerts.Drained] = field(default_factory=list)
    growing: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def failed(self) -> int:
        return (
            sum(one.failed for one in self.checked)
            + sum(one.missed for one in self.detected)
            + sum(one.failed for one in self.accepted)
        )


@dataclass(frozen=True)
class _Ground:
    """What a run stands on: a superuser's link, the processes' environment, the source, a sender's token."""

    link: psycopg.Connection
    environment: Mapping[str, str]
    var_dir: Path
    source_port: int
    token: str

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.source_port}"

    @contextlib.contextmanager
    def workers(self, *names: str) -> Iterator[dict[str, psutil.Process]]:
        with contextlib.ExitStack() as running_ones:
            yield {
                name: psutil.Process(
                    running_ones.enter_context(
                        worker(name, self.environment, self.var_dir / f"{name}.log")
                    ).pid
                )
                for name in names
            }


def run(scale: Scale, var_dir: Path, say: Say) -> Findings:
    """Measure everything of `scale` in a VAR_DIR of its own; ends whatever it started."""
    began, found, held = time.monotonic(), Findings(), Amount()
    with _ground(scale, var_dir) as ground:
        for number, amount in enumerate(scale.amounts(), start=1):
            at = time.monotonic()
            stored.grow(ground.link, held, amount, monitors=scale.monitors)
            held = amount
            found.growing.append(
                f"{amount.samples:,} samples, {amount.alerts:,} alerts and as many deliveries, {amount.incidents:,}"
                f" incidents in {time.monotonic() - at:.0f} s"
            )
            say(f"stored: {found.growing[-1]}")
            _measure(ground, scale, found, amount, number, say)
    found.seconds = time.monotonic() - began
    return found


@contextlib.contextmanager
def _ground(scale: Scale, var_dir: Path) -> Iterator[_Ground]:
    source_port, *_ = free_ports(1)
    with open_stack(var_dir, {}) as stack:
        environment = {
            **os.environ, **UNLIMITED, **stack.env, "DJANGO_SETTINGS_MODULE": "config.settings",
            "API_RATE_INGEST": "0", "INGEST_MOST_WAITING": "1000000", "OUTBOUND_ALLOWED_NETWORKS": "127.0.0.0/8",
            "PLAYBOOK_DIR": str(_playbook(var_dir / "playbook")), "LOG_LEVEL": "ERROR",
        }  # fmt: skip
        manage(environment, "migrate", "--verbosity", "0")
        manage(environment, "first_administrator")
        token = manage(
            environment, "token", "create", "--user", "admin", "--name", "bench", "--scope", "ingest"
        ).strip()
        with (
            psycopg.connect(
                host=str(socket_dir(var_dir)), user="postgres", dbname="firebreak", autocommit=True
            ) as link,
            running(
                [sys.executable, "-m", "bench.source", str(source_port)], os.environ, var_dir / "source.log"
            ),
        ):
            checked_settings(link)
            ground = _Ground(link, environment, var_dir, source_port, token)
            stored.begin(link, url=ground.url, monitors=scale.monitors, interval=1)
            yield ground


def _playbook(folder: Path) -> Path:
    """The shipped playbook without the brake, and with a procedure that does nothing, in one step a phase."""
    shutil.copytree(ROOT / "playbook", folder)
    yaml = YAML()

    def change(name: str, edit: Callable[[Any], object]) -> None:
        known = yaml.load(folder / name)
        edit(known)
        yaml.dump(known, folder / name)

    change("automation.yaml", lambda known: known.update(share_of_services=1.0, starts_in_ten_minutes=10_000))
    change("commands.yaml", lambda known: [command.update(argv=["/bin/true"]) for command in known.values()])
    change(f"procedures/{PROCEDURE}.yaml", _shorten)
    return folder


def _shorten(procedure: Any) -> None:
    for phase in ("validate", "execute", "verify"):
        del procedure[phase][1:]
    procedure.pop("target_check")


def _measure(ground: _Ground, scale: Scale, found: Findings, amount: Amount, number: int, say: Say) -> None:
    stored.settle(ground.link)
    if {"checks", "detection"} & scale.parts:
        with ground.workers("checks", "comms", "runner", "beat") as processes:
            if "checks" in scale.parts:
                _measure_checks(ground, processes["checks"], scale, found, amount, say)
            if "detection" in scale.parts:
                _measure_detection(ground, scale, found, amount, number, say)
    if "alerts" in scale.parts:
        _measure_alerts(ground, scale, found, amount, say)


def _measure_checks(
    ground: _Ground, process: psutil.Process, scale: Scale, found: Findings, amount: Amount, say: Say
) -> None:
    link, port = ground.link, ground.source_port
    for one in checks.measure(
        link, process, port, amount.samples, rounds=scale.rounds, seconds=scale.seconds
    ):
        found.checked.append(one)
        say(f"checks, {one.kind:10} {one.rate:8,.0f}/min, {one.rate / one.ceiling_rate:4.0%} of the ceiling")


def _measure_detection(
    ground: _Ground, scale: Scale, found: Findings, amount: Amount, number: int, say: Say
) -> None:
    # Far above whatever the alerts of the sizes before have set in motion.
    one = detection.measure(
        ground.link, ground.url, 10_000_000 * number, amount.samples,
        breaches=scale.breaches, spread=scale.spread, background=scale.background,
    )  # fmt: skip
    found.detected.append(one)
    say(
        f"detection: p99 {one.percentile(detection.AIMED, 99):.1f} s, {one.missed} missed {'; '.join(one.refusals)}"
    )


def _measure_alerts(ground: _Ground, scale: Scale, found: Findings, amount: Amount, say: Say) -> None:
    own, ceiling = free_ports(2)
    with (
        web(ground.environment, own, ground.var_dir / "web.log"),
        web(ground.environment, ceiling, ground.var_dir / "ceiling.log", CEILING),
    ):
        for one in alerts.accept(
            own, ceiling, ground.token, amount.alerts,
            connections=scale.connections, rounds=scale.rounds, seconds=scale.seconds / 3,
        ):  # fmt: skip
            found.accepted.append(one)
            say(
                f"alerts, c={one.connections:<3} {one.rate:6.0f}/s, {one.rate / one.ceiling_rate:4.0%} of the ceiling"
            )
    with ground.workers("checks", "beat"):
        found.drained.append(alerts.drain(ground.link, amount.alerts, more=scale.waiting))
    say(f"alerts looked into: {found.drained[-1].rate:,.0f}/s")


def write(found: Findings) -> str:
    """The tables, as Markdown."""
    parts = [
        "## Monitoring and alerts\n",
        "\n".join((f"- {found.seconds / 60:.1f} min; stored: {'; '.join(found.growing)}", *_aims(found)))
        + "\n",
        "### Checks\n",
        _checks(found.checked),
        "### Detection\n",
        _detection(found.detected),
        "### Alerts\n",
        _accepted(found.accepted),
        table(
            ("alerts stored", "accepted and waiting", "looked into a second"),
            [(f"{one.alerts:,}", f"{one.count:,}", f"{one.rate:,.0f}") for one in found.drained],
        ),
        "### Limits of these figures\n",
        LIMITS,
    ]
    return "\n".join(parts)


def _aims(found: Findings) -> Iterator[str]:
    for kind in dict.fromkeys(one.kind for one in found.checked):
        worst = min((one for one in found.checked if one.kind == kind), key=lambda one: one.rate)
        yield (
            f"- checks a minute, {kind}: {worst.rate:,.0f} at least, aim {worst.aim:,}: **{_met(worst.rate >= worst.aim)}**"
        )
    if found.detected:
        every = detection.Detected(0, 0, [seen for one in found.detected for seen in one.breaches])
        slowest = every.percentile(detection.AIMED, 99)
        aim = INTERVAL + WITHIN_SECONDS
        yield (
            f"- from the breach to the start of its rollback, p99 of {len(every.breaches)}: {slowest:.1f} s, aim {aim:.0f} s (an interval of"
            f" {INTERVAL} s and {WITHIN_SECONDS:.0f} s): **{_met(slowest <= aim)}**"
        )
    yield f"- failed checks, missed breaches and failed deliveries: **{found.failed}**"


def _met(is_met: bool) -> str:
    return "met" if is_met else "missed"


def _checks(found: Sequence[checks.Checked]) -> str:
    return table(
        ("kind", "samples", "checks/min", "aim", "", "failed", "worker's ms each", "ceiling/min", "ratio"),
        [
            (
                one.kind, f"{one.samples:,}", f"{one.rate:,.0f}", f"{one.aim:,}", _met(one.rate >= one.aim),
                str(one.failed), f"{statistics.median(one.processor) * 1000:.2f}",
                f"{one.ceiling_rate:,.0f}", f"{one.rate / one.ceiling_rate:.0%}",
            )
            for one in found
        ],
    )  # fmt: skip


def _detection(found: Sequence[detection.Detected]) -> str:
    """Seconds as p50 / p99; the last column is what a longer interval would not change."""
    head = ("samples", "breaches", "missed", "other monitors", "measured", "incident open", "rollback started",
            "changed", "measured to started")  # fmt: skip
    return table(
        head,
        [
            (
                f"{one.samples:,}", str(len(one.breaches)), str(one.missed), f"{one.background:,}",
                *(_both(one, step) for step in detection.STEPS), _both(one, detection.AIMED, since="measured"),
            )
            for one in found
        ],
    )  # fmt: skip


def _both(one: detection.Detected, step: str, since: str = "") -> str:
    return f"{one.percentile(step, 50, since=since):.1f} / {one.percentile(step, 99, since=since):.1f}"


def _accepted(found: Sequence[alerts.Accepted]) -> str:
    return table(
        ("alerts stored", "c", "accepted/s", "p50 ms", "p99 ms", "failed", "ceiling/s", "ratio"),
        [
            (
                f"{one.alerts:,}", str(one.connections), f"{one.rate:.0f}", f"{one.percentile(50):.1f}",
                f"{one.percentile(99):.1f}", str(one.failed), f"{one.ceiling_rate:.0f}",
                f"{one.rate / one.ceiling_rate:.0%}",
            )
            for one in found
        ],
    )  # fmt: skip


def main() -> int:
    return alone("python -m bench.monitoring", __doc__, (WHOLE, SHORT, SMOKE), PARTS, run, write)


if __name__ == "__main__":
    sys.exit(main())
