"""One run from beginning to end: servers, history, windows, memory, cold start."""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import django
import psycopg

from bench import seed
from bench.load import run_window
from bench.measure import Cell, Side, measure
from bench.operations import History, Operation, operations, requests
from bench.report import Findings
from bench.scale import Scale
from bench.servers import CEILING, Web, free_ports, manage, memory_by_process, memory_of, web, whole_stack
from core.embedded.folders import socket_dir
from core.embedded.stack import open_stack

Say = Callable[[str], None]
DURABLE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}
SHOWN = (*DURABLE, "server_version", "shared_buffers", "max_wal_size", "work_mem", "random_page_cost", "jit")
# What is no list, detail or create leaves them the last fifth of the time.
FOR_THE_OTHERS = 0.8
# One token asks for more than any sender should: what is measured is the work, not the refusal.
UNLIMITED = {f"API_RATE_{kind}": "1000000000" for kind in ("READ", "WRITE", "ANONYMOUS", "REFUSED")}


class NotDurable(RuntimeError):
    """The database would lose commits in a crash: its figures would mean nothing."""


@dataclass(frozen=True)
class Ground:
    """What a run stands on: a superuser's link, both servers, and how to be let in."""

    link: psycopg.Connection
    own: Web
    ceiling: Web
    token: str
    cookie: str


def run(scale: Scale, var_dir: Path, say: Say) -> Findings:
    """Measure everything of `scale` in a VAR_DIR of its own; ends whatever it started."""
    began = time.monotonic()
    for name in ("DATABASE_URL", "DATABASE_OWNER_URL", "REDIS_URL", "CELERY_BROKER_URL", "PUBLIC_URL"):
        os.environ.pop(name, None)
    os.environ |= {"VAR_DIR": str(var_dir), "DJANGO_SETTINGS_MODULE": "config.settings", **UNLIMITED}
    found = Findings(scale, os.environ.get("BENCH_COMMIT", "unknown"), {})
    _cold_starts(found, var_dir, say)
    with open_stack(var_dir) as stack:
        environment = {**os.environ, **stack.env, "PYTHONUNBUFFERED": "1"}
        os.environ |= {**stack.env, "LOG_LEVEL": "ERROR"}  # of this process; the servers write as usual
        manage(environment, "migrate", "--verbosity", "0")
        manage(environment, "first_administrator")
        django.setup()
        with _ground(environment, var_dir) as ground:
            found.settings = checked_settings(ground.link)
            held = 0
            for size in scale.sizes:
                held = _measure_size(ground, found, held, size, began, say)
            found.memory = [
                *(found.memory),
                memory_of("web, after the load", ground.own.process.pid),
                memory_of("ceiling, after the load", ground.ceiling.process.pid),
            ]
    found.seconds = time.monotonic() - began
    return found


@contextlib.contextmanager
def _ground(environment: dict[str, str], var_dir: Path) -> Iterator[Ground]:
    port, ceiling_port = free_ports(2)
    with (
        psycopg.connect(
            host=str(socket_dir(var_dir)), user="postgres", dbname="firebreak", autocommit=True
        ) as link,
        web(environment, port, var_dir / "web.log") as own,
        web(environment, ceiling_port, var_dir / "ceiling.log", CEILING) as ceiling,
    ):
        seed.begin(link)
        yield Ground(link, own, ceiling, *_let_in())


def _let_in() -> tuple[str, str]:
    """A responder's token and session cookie: an account that needs the whole of the access rules."""
    from django.contrib.auth.models import Group
    from django.test import Client

    from core.clock import utcnow
    from core.models import ApiToken, User

    user = User.objects.create_user("bench", password=None)
    user.groups.add(Group.objects.get(name="responder"))
    expires = utcnow() + dt.timedelta(days=1)
    _token, text = ApiToken.issue(user=user, name="bench", scopes=["read", "write"], expires_at=expires)
    client = Client()
    client.force_login(user)
    return text, f"sessionid={client.cookies['sessionid'].value}"


def _measure_size(ground: Ground, found: Findings, held: int, size: int, began: float, say: Say) -> int:
    from django.test import Client

    from bench.statements import run_alone, statements_of

    at = time.monotonic()
    long_events = min(seed.LONG_TIMELINE, size * 10)
    long_ref = seed.grow(ground.link, held, size, long_events)
    found.seeding[size] = time.monotonic() - at
    say(f"{size:,} incidents stored in {found.seeding[size]:.0f} s")
    scale, browser = found.scale, Client()
    name, _, value = ground.cookie.partition("=")
    browser.cookies[name] = value
    for operation in operations(_history(ground.link, size, long_ref)):
        if scale.core_only and not operation.is_core:
            continue
        known = statements_of(operation, token=ground.token, client=browser)
        found.statements[operation.name, size] = len(known)
        for connections in scale.connections:
            found.loads.append(os.getloadavg()[0])
            cell = Cell(operation.name, operation.beside, size, connections)
            share = 1.0 if operation.is_core else FOR_THE_OTHERS
            if time.monotonic() - began > scale.at_most_minutes * 60 * share:
                found.left_out.append(
                    f"{operation.name} at {size:,} with {connections} connections: time was up"
                )
                continue
            core = operation.is_core
            measure(
                cell,
                Side(ground.own.port, requests(operation, token=ground.token, cookie=ground.cookie), operation.expected),
                Side(ground.ceiling.port, _beside(operation, ground), operation.expected if core else 200),
                lambda seconds, o=operation, k=known, c=connections: run_alone(o, k, connections=c, seconds=seconds),  # type: ignore[misc]
                rounds=scale.rounds if core else scale.more_rounds,
                seconds=scale.seconds if core else scale.more_seconds,
            )  # fmt: skip
            found.cells.append(cell)
            say(
                f"{operation.name:22} {size:>9,} c={connections:<3} {cell.rate:6.0f}/s  p50 {cell.percentile(50):7.1f} ms"
                f"  {max(cell.ratios, default=0):4.0%} of the ceiling, {cell.failures} failed"
            )
    return size


def _beside(operation: Operation, ground: Ground) -> Callable[[], bytes]:
    if operation.is_core:
        return requests(operation, token=ground.token, cookie="")
    listing = next(o for o in operations(History([""], "", "", "")) if o.name == operation.beside)
    return requests(listing, token="", cookie="")


def _history(link: psycopg.Connection, size: int, long_ref: str) -> History:
    visible = link.execute(
        "SELECT array_agg(ref) FROM (SELECT ref FROM incidents_incident WHERE NOT restricted AND NOT drill"
        " ORDER BY md5(ref) LIMIT 500) AS drawn"
    ).fetchone()
    middle = link.execute(
        "SELECT id, description FROM incidents_incident WHERE NOT restricted AND NOT drill"
        " ORDER BY id OFFSET %s LIMIT 1",
        [size // 4],
    ).fetchone()
    assert visible and middle
    return History(
        refs=visible[0],
        trace=middle[1].split("trace ")[1].split(" ")[0],
        long_ref=long_ref,
        deep=base64.b64encode(f"p={middle[0]}".encode()).decode(),
    )


def checked_settings(link: psycopg.Connection) -> dict[str, str]:
    """What PostgreSQL says of itself; raises NotDurable unless every commit reaches the disk."""
    known = {}
    for name in SHOWN:
        row = link.execute(f"SHOW {name}").fetchone()
        assert row
        known[name] = str(row[0])
    if wrong := {name: known[name] for name, value in DURABLE.items() if known[name] != value}:
        raise NotDurable(f"PostgreSQL has {wrong}")
    return known


def _cold_starts(found: Findings, var_dir: Path, say: Say) -> None:
    """From `manage.py run` to the first page: once on nothing, then on what that left behind."""
    folder = var_dir / "cold"
    for number in range(found.scale.cold_starts and found.scale.cold_starts + 1):
        what = (
            "`manage.py run`, again" if number else "`manage.py run`, first time (new database, migrations)"
        )
        with whole_stack(folder, free_ports(1)[0], var_dir / "cold.log") as started:
            found.starts.setdefault(what, []).append(started.started_in)
            say(f"cold start: {started.started_in:.1f} s")
            if number == found.scale.cold_starts:
                run_window(started.port, lambda: b"GET /accounts/login/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
                           connections=4, seconds=1, expected=200)  # fmt: skip
                time.sleep(5)  # every worker is up
                found.memory = memory_by_process(started.process.pid)
