"""`python -m bench.comms`: from an event to its departure, many recipients at once, and the status page.

The processes are the Procfile's own, on a database of their own with durability on; `bench.taker` is Slack,
Twilio, a webhook's receiver and the mail server. `make bench` runs this after its other parts, and puts the
tables on the same page.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import statistics
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from ruamel.yaml import YAML

from bench import departure, seed, statuspage
from bench.alone import alone
from bench.departure import CHANNELS, SENDERS, Bare, Declarer, Departed, FannedOut, Storm
from bench.report import table
from bench.run import UNLIMITED, Say, checked_settings
from bench.servers import ROOT, Web, free_ports, manage, running, web, worker
from bench.statuspage import AIMS, COMPONENTS, DAYS, Served
from core.embedded.folders import socket_dir
from core.embedded.stack import open_stack

PARTS = frozenset(("departure", "recipients", "status page"))
DELAY_SECONDS = 0.3
PEOPLE = 5
# Seconds, p50 and p99. Source: research, P4.
IDLE, IN_A_STORM = (3.0, 15.0), (60.0, 60.0)
OUT_WITHIN_SECONDS = 60.0
INCIDENTS_STORED = 200
CONNECTIONS_SET_UP = {
    "slack": {"token": "xoxb-1234567890-bench"},
    "twilio": {"account": f"AC{0:032x}", "token": "0" * 32, "sender": "+15550000000"},
}
LIMITS = """\
- Departure: from the commit of an incident, declared by the service in a process of its own, to the moment at which the
  receiver had the message whole. Each incident is a P1 that tells a room, a webhook and five people by mail and chat. The
  messages of one incident are no independent samples: a percentile of few incidents is a rough one.
- *Bare* is this machine's own in the same minute: a row committed, then one request to the same receiver, in one process. What is
  between the two is two workers that are woken through the broker, the event routed and worded, each delivery claimed.
- Every receiver answers after 300 ms, and messages to one recipient leave one after the other: of a room, three a second.
- The storm comes through the API in groups of five alerts at an even rate; its own incidents send messages, too. All processes,
  the sender of the storm, the receivers and PostgreSQL share the cores.
- *Floor* of the recipients: what as many threads take that do nothing but wait for 300 ms, four for each channel and process.
- Snapshot: files by Granian's static file server, in which no Python takes part; nginx is no slower. *Hello* is a file of 14
  bytes by the same server, for Django a bare view behind the same server. The load generator is Python and reads every byte:
  where `load` comes near 100 % it is the limit, not the server.
"""


@dataclass(frozen=True)
class Scale:
    """How much of each is done; windows of the status page as in `bench.scale`."""

    incidents: int
    spread: float
    alerts: int
    storm_seconds: float
    storm_incidents: int
    people: int
    senders: tuple[int, ...]  # processes, one round each
    connections: tuple[int, ...]
    rounds: int
    seconds: float
    parts: frozenset[str] = PARTS


WHOLE = Scale(
    incidents=60,
    spread=60,
    alerts=10_000,
    storm_seconds=60,
    storm_incidents=40,
    people=200,
    senders=(1, 1, 1, 2),
    connections=(1, 8, 32),
    rounds=3,
    seconds=1.0,
)
SHORT = Scale(
    incidents=20,
    spread=20,
    alerts=1_000,
    storm_seconds=10,
    storm_incidents=15,
    people=200,
    senders=(1,),
    connections=(8,),
    rounds=2,
    seconds=0.6,
)
SMOKE = Scale(
    incidents=2,
    spread=0.5,
    alerts=20,
    storm_seconds=1,
    storm_incidents=2,
    people=6,
    senders=(1,),
    connections=(2,),
    rounds=1,
    seconds=0.2,
)
SCALES = {"whole": WHOLE, "short": SHORT}


@dataclass
class Findings:
    """All that was found out."""

    departed: list[Departed] = field(default_factory=list)
    fanned_out: list[FannedOut] = field(default_factory=list)
    served: list[Served] = field(default_factory=list)
    loads: list[float] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def failed(self) -> int:
        return (
            sum(one.missing + (one.storm.refused if one.storm else 0) for one in self.departed)
            + sum(one.missing for one in self.fanned_out)
            + sum(one.failed for one in self.served)
        )


@dataclass(frozen=True)
class _Ground:
    """What a run stands on: a superuser's link, the processes' environment, what was taken, a token."""

    link: psycopg.Connection
    environment: Mapping[str, str]
    var_dir: Path
    receiver_port: int
    taken: Path
    token: str
    bare: Bare

    @contextlib.contextmanager
    def workers(self, *names: str) -> Iterator[None]:
        with contextlib.ExitStack() as running_ones:
            for name in names:
                running_ones.enter_context(worker(name, self.environment, self.var_dir / f"{name}.log"))
            yield

    @contextlib.contextmanager
    def web(self) -> Iterator[Web]:
        (port,) = free_ports(1)
        with web(self.environment, port, self.var_dir / "web.log") as own:
            yield own

    @contextlib.contextmanager
    def declarer(self, *webhooks: str) -> Iterator[Declarer]:
        declarer = Declarer(self.environment, self.var_dir / "declaring.log", *webhooks)
        try:
            yield declarer
        finally:
            declarer.close()


def run(scale: Scale, var_dir: Path, say: Say) -> Findings:
    """Measure everything of `scale` in a VAR_DIR of its own; ends whatever it started."""
    began, found = time.monotonic(), Findings()

    def note(line: str) -> None:
        found.loads.append(os.getloadavg()[0])
        say(line)

    with _ground(var_dir) as ground:
        seed.begin(ground.link)
        seed.grow(ground.link, 0, INCIDENTS_STORED, long_events=10)
        if "departure" in scale.parts:
            _measure_departure(ground, scale, found, note)
        if "recipients" in scale.parts:
            _measure_recipients(ground, scale, found, note)
        if "status page" in scale.parts:
            _measure_status_page(ground, scale, found, note)
    found.seconds = time.monotonic() - began
    return found


@contextlib.contextmanager
def _ground(var_dir: Path) -> Iterator[_Ground]:
    http, smtp = free_ports(2)
    with open_stack(var_dir, {}) as stack:
        taken = var_dir / "taken"
        taken.touch()
        environment = {
            **os.environ, **UNLIMITED, **stack.env, "DJANGO_SETTINGS_MODULE": "config.settings", "LOG_LEVEL": "ERROR",
            "API_RATE_INGEST": "0", "INGEST_MOST_WAITING": "1000000", "OUTBOUND_ALLOWED_NETWORKS": "127.0.0.0/8",
            "PLAYBOOK_DIR": str(_playbook(var_dir / "playbook")),
            "EMAIL_URL": f"smtp://127.0.0.1:{smtp}",
            "SLACK_API_URL": f"http://127.0.0.1:{http}/api/",
            "TWILIO_API_URL": f"http://127.0.0.1:{http}",
        }  # fmt: skip
        manage(environment, "migrate", "--verbosity", "0")
        manage(environment, "first_administrator")
        for name, settings in CONNECTIONS_SET_UP.items():
            manage(environment, "connection", "set", name, typed=json.dumps(settings))
        token = manage(
            environment, "token", "create", "--user", "admin", "--name", "bench", "--scope", "ingest"
        ).strip()
        words = (str(http), str(smtp), str(DELAY_SECONDS), str(taken))
        with (
            psycopg.connect(
                host=str(socket_dir(var_dir)), user="postgres", dbname="firebreak", autocommit=True
            ) as link,
            running([sys.executable, "-m", "bench.taker", *words], os.environ, var_dir / "taker.log"),
        ):
            checked_settings(link)
            yield _Ground(link, environment, var_dir, http, taken, token, Bare(link, http))


def _playbook(folder: Path) -> Path:
    """The shipped playbook, with chat and SMS for everybody who is told of an incident, as many as it takes."""
    shutil.copytree(ROOT / "playbook", folder)
    yaml = YAML()

    def change(name: str, known: Any) -> None:
        yaml.dump(known, folder / name)

    channels = yaml.load(folder / "channels.yaml")
    channels["sms"]["daily_limit"] = 100_000
    change("channels.yaml", channels)
    routing = yaml.load(folder / "routing.yaml")
    first = routing["routes"][0]
    assert first["event"] == "incident.declared" and "kind" not in first["when"]
    first["channels"].extend(("chat", "sms"))
    change("routing.yaml", routing)
    return folder


def _measure_departure(ground: _Ground, scale: Scale, found: Findings, say: Say) -> None:
    departure.contacts(ground.link, batch=1, people=PEOPLE, numbers=False)
    with (
        ground.workers("checks", "comms", "runner", "beat", "watchdog"),
        ground.declarer(f"http://127.0.0.1:{ground.receiver_port}/hook") as declarer,
        ground.web() as own,
    ):
        _warm_up(ground, declarer)
        idle = Departed("idle", IDLE)
        departure.measure(
            declarer, ground.bare, ground.taken, idle,
            people=PEOPLE, incidents=scale.incidents, spread=scale.spread,
        )  # fmt: skip
        found.departed.append(idle)
        say(_said(idle))
        departure.settle(ground.link)
        storm = Storm(scale.alerts, scale.storm_seconds)
        inside = Departed(f"in a storm of {scale.alerts:,} alerts", IN_A_STORM, storm=storm)
        with departure.storming(ground.link, own.port, ground.token, storm):
            departure.measure(
                declarer, ground.bare, ground.taken, inside,
                people=PEOPLE, incidents=scale.storm_incidents, spread=scale.storm_seconds,
            )  # fmt: skip
        found.departed.append(inside)
        say(_said(inside))
    departure.settle(ground.link)


def _warm_up(ground: _Ground, declarer: Declarer) -> None:
    """The workers are up, and every library is loaded."""
    departure.measure(
        declarer, ground.bare, ground.taken, Departed("", IDLE), people=PEOPLE, incidents=1, spread=0
    )


def _said(one: Departed) -> str:
    return (
        f"departure, {one.when}: p50 {one.percentile(50):.2f} s, p99 {one.percentile(99):.2f} s,"
        f" {one.missing} missing of {one.expected}"
    )


def _measure_recipients(ground: _Ground, scale: Scale, found: Findings, say: Say) -> None:
    for batch, senders in enumerate(scale.senders, start=2):
        names = ("comms",) * senders
        with ground.workers("checks", *names, "runner", "beat", "watchdog"), ground.declarer() as declarer:
            departure.contacts(ground.link, batch=1, people=PEOPLE, numbers=False)
            _warm_up(ground, declarer)
            one = FannedOut(scale.people, DELAY_SECONDS, senders)
            departure.fan_out(declarer, ground.link, ground.taken, one, batch=batch)
        found.fanned_out.append(one)
        say(
            f"recipients: {one.people} by three channels in {one.seconds:.1f} s, {senders} process(es), {one.missing} missing"
        )
        departure.settle(ground.link)


def _measure_status_page(ground: _Ground, scale: Scale, found: Findings, say: Say) -> None:
    statuspage.publish(ground.link)
    for one in statuspage.measure(
        ground.environment, ground.var_dir,
        connections=scale.connections, rounds=scale.rounds, seconds=scale.seconds,
    ):  # fmt: skip
        found.served.append(one)
        say(
            f"status page, {one.place:8} {one.name:12} c={one.connections:<3} {one.rate:6.0f}/s, "
            f"{statistics.median(one.ratios):4.0%} of hello"
        )


def write(found: Findings) -> str:
    """The tables, as Markdown."""
    about = f"- {found.seconds / 60:.1f} min; load average (1 min) during the run: {min(found.loads):.1f} to {max(found.loads):.1f}"
    parts = ["## Messages and the status page\n", "\n".join((about, *_aims(found))) + "\n"]
    if found.departed:
        parts += ["### From an event to its departure\n", _departed(found.departed), _storms(found.departed)]
    if found.fanned_out:
        parts += ["### Many recipients\n", _fanned_out(found.fanned_out)]
    if found.served:
        parts += [
            f"### The status page, {COMPONENTS} components and {DAYS} days of history\n",
            _served(found.served),
        ]
    return "\n".join([*parts, "### Limits of these figures\n", LIMITS])


def _aims(found: Findings) -> Iterator[str]:
    for one in found.departed:
        yield (
            f"- event to departure, {one.when}: p50 {one.percentile(50):.1f} s, p99 {one.percentile(99):.1f} s, aims"
            f" {one.aims[0]:.0f} s and {one.aims[1]:.0f} s: **{_met(one.is_met)}**"
        )
    for senders in sorted({one.senders for one in found.fanned_out}):
        rounds = [one for one in found.fanned_out if one.senders == senders]
        slowest = max(one.seconds for one in rounds)
        is_met = slowest <= OUT_WITHIN_SECONDS and not any(one.missing for one in rounds)
        yield (
            f"- {rounds[0].people} recipients by {len(departure.PERSONAL)} channels, {senders} sender process(es)"
            f"{' as `make run` starts them' if senders == 1 else ''}: {slowest:.1f} s at most, aim"
            f" {OUT_WITHIN_SECONDS:.0f} s: **{_met(is_met)}**"
        )
    for place in dict.fromkeys(one.place for one in found.served):
        best = {
            name: max(one.rate for one in found.served if (one.place, one.name) == (place, name))
            for name in statuspage.FILES
        }
        worst = min(best.values())
        yield (
            f"- status page, {place}: {worst:,.0f} requests a second, aim {AIMS[place]:,}: **{_met(worst >= AIMS[place])}**"
        )
    twice = sum(one.twice for one in found.departed) + sum(one.twice for one in found.fanned_out)
    yield f"- messages that left twice: **{twice}**"
    yield f"- missing messages, refused alerts and failed requests: **{found.failed}**"


def _met(is_met: bool) -> str:
    return "met" if is_met else "missed"


def _departed(found: Sequence[Departed]) -> str:
    """Seconds as p50 / p99."""
    head = ("when", "incidents", "messages", "missing", "all", *CHANNELS, "bare, ms")
    return table(
        head,
        [
            (
                one.when, str(one.incidents), str(one.expected), str(one.missing), _both(one),
                *(_both(one, channel) for channel in CHANNELS),
                f"{one.bare_percentile(50) * 1000:.1f} / {one.bare_percentile(99) * 1000:.1f}",
            )
            for one in found
        ],
    )  # fmt: skip


def _both(one: Departed, channel: str = "") -> str:
    return f"{one.percentile(50, channel):.2f} / {one.percentile(99, channel):.2f}"


def _storms(found: Sequence[Departed]) -> str:
    return table(
        ("alerts", "sent in s", "refused", "looked into, s after the last"),
        [
            (f"{storm.alerts:,}", f"{storm.sent_in:.1f}", str(storm.refused), f"{storm.drained_after:.1f}")
            for one in found
            if (storm := one.storm)
        ],
    )


def _fanned_out(found: Sequence[FannedOut]) -> str:
    head = ("recipients", "processes", "threads", "all out, s", *departure.PERSONAL, "missing", "floor, s", "floor / measured")  # fmt: skip
    return table(
        head,
        [
            (
                str(one.people), str(one.senders), f"{SENDERS * one.senders} for each channel", f"{one.seconds:.1f}",
                *(f"{one.channels[channel]:.1f}" for channel in departure.PERSONAL), str(one.missing),
                f"{one.floor:.1f}", f"{one.floor / one.seconds:.0%}",
            )
            for one in found
        ],
    )  # fmt: skip


def _served(found: Sequence[Served]) -> str:
    head = ("from", "file", "KiB", "c", "req/s", "p50 ms", "p99 ms", "failed", "hello req/s", "ratio (spread)", "load")  # fmt: skip
    return table(
        head,
        [
            (
                one.place, one.name, f"{one.size / 1024:.0f}", str(one.connections), f"{one.rate:,.0f}",
                f"{one.percentile(50):.1f}", f"{one.percentile(99):.1f}", str(one.failed), f"{one.ceiling_rate:,.0f}",
                f"{statistics.median(one.ratios):.0%} ({min(one.ratios):.0%}–{max(one.ratios):.0%})",
                f"{one.load_share:.0%}",
            )
            for one in found
        ],
    )  # fmt: skip


def main() -> int:
    return alone("python -m bench.comms", __doc__, (WHOLE, SHORT, SMOKE), PARTS, run, write)


if __name__ == "__main__":
    sys.exit(main())
