"""`python -m bench.live`: from a change made through the API to the panels of every open page.

The processes are the Procfile's own, on a database of their own with durability on. Half of the pages show Now,
half one incident; a change of its title is on all of them.
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import psycopg

from bench import seed
from bench.alone import alone
from bench.report import table
from bench.run import UNLIMITED, Say, checked_settings
from bench.servers import ROOT, free_ports, manage, web, worker
from core.embedded.folders import socket_dir
from core.embedded.stack import open_stack

PARTS = frozenset(("pages",))
ACCOUNTS = 20
AIM_SECONDS = 1.0
WORKERS = ("checks", "comms", "runner", "beat", "watchdog")
OF_INCIDENT = (
    "header,incident_rollback,next,suspect_releases,incident_decisions,checklists,alerts,facts,people,"
    "who_was_told,timeline"
)
LIMITS = """\
- From the moment at which the change is *sent* to the API (its own answer takes part of that time) to the moment at which a page
  has the whole answer with its new panels. What a browser then takes to show it is not in it.
- The pages are connections of one Python process on the same cores, two each: its stream, and what it asks for. It takes
  `load` of a core.
- *Bare* is a stream and an answer of the same size, made beforehand, behind the same server: no session, no database, no rendering.
"""


@dataclass(frozen=True)
class Scale:
    pages: tuple[int, ...]
    changes: int
    incidents: int = 200
    parts: frozenset[str] = PARTS


WHOLE = Scale(pages=(1, 100, 500), changes=60)
SHORT = Scale(pages=(500,), changes=15)
SMOKE = Scale(pages=(4,), changes=2, incidents=30)


@dataclass
class Seen:
    """How long so many pages took to have each change; seconds."""

    what: str
    pages: int
    changes: int
    waits: list[float] = field(default_factory=list)
    failures: int = 0
    reader_share: float = 0.0
    web_share: float = 0.0
    api: list[float] = field(default_factory=list)

    @property
    def missing(self) -> int:
        return self.pages * self.changes - len(self.waits)

    def percentile(self, percent: int) -> float:
        waits = sorted(self.waits)
        return waits[min(len(waits) - 1, len(waits) * percent // 100)] if waits else float("nan")


@dataclass
class Findings:
    seen: list[Seen] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def failed(self) -> int:
        return sum(one.missing + one.failures for one in self.seen)


def run(scale: Scale, var_dir: Path, say: Say) -> Findings:
    """Measure everything of `scale` in a VAR_DIR of its own; ends whatever it started."""
    began, found = time.monotonic(), Findings()
    with _ground(var_dir, scale) as environment:
        scene = json.loads(_scene(environment))
        (port,) = free_ports(1)
        with contextlib.ExitStack() as stack:
            own = stack.enter_context(web(environment, port, var_dir / "web.log"))
            for name in WORKERS:
                stack.enter_context(worker(name, environment, var_dir / f"{name}.log"))
            address = f"/incidents/{scene['ref']}/"
            task = {
                "port": port,
                "cookie": "sessionid",
                "pages": [("/", "incidents", "now"), (address, OF_INCIDENT, scene["topic"])],
                "sessions": scene["sessions"],
            }
            headers = {"Authorization": f"Bearer {scene['token']}", "Content-Type": "application/json"}

            def change(number: int) -> urllib.request.Request:
                body = json.dumps({"title": f"Change {number} is made"}).encode()
                there = f"http://127.0.0.1:{port}/api/v1{address}"
                return urllib.request.Request(there, body, headers, method="PATCH")

            time.sleep(5)  # the workers are up
            number = 0
            for pages in scale.pages:
                one = Seen("Firebreak", pages, scale.changes)
                _measure(one, {**task, "count": pages}, change, own.process.pid, number)
                number += scale.changes
                found.seen.append(one)
                say(_said(one))
        (port,) = free_ports(1)
        with web(environment, port, var_dir / "bare.log", "bench.ceiling.stream:application") as bare:
            task |= {"port": port, "pages": [("/", "x", "x")]}
            number = 0
            for pages in scale.pages:
                one = Seen("bare", pages, scale.changes)
                _measure(
                    one, {**task, "count": pages},
                    lambda _number: urllib.request.Request(f"http://127.0.0.1:{port}/change", b"", method="POST"),
                    bare.process.pid, number,
                )  # fmt: skip
                number += scale.changes
                found.seen.append(one)
                say(_said(one))
    found.seconds = time.monotonic() - began
    return found


def _measure(
    one: Seen,
    task: Mapping[str, object],
    change: Callable[[int], urllib.request.Request],
    pid: int,
    first: int,
) -> None:
    """One change a second while the pages are open."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.live_readers"], cwd=ROOT, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(json.dumps(task) + "\n")
        process.stdin.flush()
        if process.stdout.readline() != "open\n":
            raise RuntimeError("the readers did not open their pages")
        time.sleep(2)
        sent: dict[int, float] = {}
        cpu, began = _cpu_seconds(pid), time.monotonic()
        for number in range(first + 1, first + one.changes + 1):
            at = sent[number] = time.time()
            with urllib.request.urlopen(change(number), timeout=30) as answer:
                answer.read()
            one.api.append(time.time() - at)
            time.sleep(max(0.0, at + 1 - time.time()))
        time.sleep(2)
        one.web_share = (_cpu_seconds(pid) - cpu) / (time.monotonic() - began)
        process.stdin.write("\n")
        process.stdin.flush()
        said = json.loads(process.stdout.readline())
        one.waits = [at - sent[change] for change, _page, at in said["found"] if change in sent]
        one.failures = said["failures"]
        one.reader_share = said["own_seconds"] / (time.monotonic() - began)
        process.wait(20)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def _cpu_seconds(pid: int) -> float:
    main = psutil.Process(pid)
    times = [each.cpu_times() for each in (main, *main.children(recursive=True))]
    return float(sum(one.user + one.system for one in times))


@contextlib.contextmanager
def _ground(var_dir: Path, scale: Scale) -> Iterator[dict[str, str]]:
    with open_stack(var_dir, {}) as stack:
        environment = {
            **os.environ, **UNLIMITED, **stack.env, "DJANGO_SETTINGS_MODULE": "config.settings", "LOG_LEVEL": "ERROR",
        }  # fmt: skip
        manage(environment, "migrate", "--verbosity", "0")
        manage(environment, "first_administrator")
        with psycopg.connect(
            host=str(socket_dir(var_dir)), user="postgres", dbname="firebreak", autocommit=True
        ) as link:
            checked_settings(link)
            seed.begin(link)
            seed.grow(link, 0, scale.incidents, long_events=10)
        yield environment


def _scene(environment: Mapping[str, str]) -> str:
    words = [sys.executable, "-m", "bench.live_scene", str(ACCOUNTS)]
    done = subprocess.run(
        words, env=dict(environment), cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True
    )
    return done.stdout.splitlines()[-1]


def _said(one: Seen) -> str:
    return (
        f"live, {one.what}: {one.pages} pages, p50 {one.percentile(50):.2f} s, p95 {one.percentile(95):.2f} s,"
        f" p99 {one.percentile(99):.2f} s, {one.missing} missing, {one.failures} failed"
    )


def write(found: Findings) -> str:
    """The table, as Markdown."""
    head = (
        "",
        "pages",
        "changes",
        "p50 s",
        "p95 s",
        "p99 s",
        "max s",
        "missing",
        "the API's answer s",
        "web",
        "load",
    )
    rows = [
        (
            one.what, str(one.pages), str(one.changes), *(f"{one.percentile(p):.3f}" for p in (50, 95, 99, 100)),
            str(one.missing), f"{statistics.median(one.api):.3f}", f"{one.web_share:.0%}", f"{one.reader_share:.0%}",
        )
        for one in found.seen
    ]  # fmt: skip
    most = max((one for one in found.seen if one.what == "Firebreak"), key=lambda one: one.pages)
    kept = "kept" if most.percentile(99) <= AIM_SECONDS and not most.missing else "MISSED"
    said = f"Aim: {AIM_SECONDS:.0f} s at the 99th percentile with {most.pages} open pages: {kept}.\n"
    return "\n".join(["## Open pages\n", said, table(head, rows), LIMITS])


def main() -> int:
    return alone("python -m bench.live", __doc__, (WHOLE, SHORT, SMOKE), PARTS, run, write)


if __name__ == "__main__":
    sys.exit(main())
