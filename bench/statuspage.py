"""The status page's requests a second: from the snapshot by a static file server, and from Django.

Each beside the same server's hello-world: for the files another file, for Django a bare view.
"""

from __future__ import annotations

import contextlib
import statistics
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import LiteralString

import psycopg

from bench.load import Window, run_window
from bench.servers import CEILING, first_answer, free_ports, manage, running, web

COMPONENTS = 50
DAYS = 90
INCIDENTS = 60
WARM_UP_SECONDS = 0.3
FILES = {"page": "", "summary.json": "api/v2/summary.json"}
AIMS = {"snapshot": 1_000, "Django": 150}
HELLO = "Hello, world!\n"

# Trouble on every ninth day of each component; an incident with three updates in two days of three, two of
# them open. The page reads nothing of messages: those of the updates are not made.
_PUBLIC: LiteralString = """
INSERT INTO core_stream (id, kind, name, head_seq, head_hash)
SELECT 900000 + n, 'service', 'public-' || n, 0, '' FROM generate_series(1, %(components)s) n;
INSERT INTO incidents_service (id, slug, name, environment, procedure, auto_rollback, public_name, created_at,
                               stream_id)
SELECT 900000 + n, 'public-' || n, 'Public ' || n, 'production', '', false, 'Component number ' || n,
       now() - interval '1 year', 900000 + n
  FROM generate_series(1, %(components)s) n;
INSERT INTO comms_component (id, service_id, public_id, "group", position, description, state, created_at, changed_at,
                             counted_until)
SELECT 900000 + n, 900000 + n, substr(md5('component ' || n), 1, 12),
       (ARRAY['Website', 'API', 'Payments', 'Search', ''])[1 + n %% 5], n, 'What customers of region ' || n || ' use.',
       CASE WHEN n = 7 THEN 'degraded_performance' ELSE 'operational' END, now() - interval '1 year',
       now() - interval '1 day', now()
  FROM generate_series(1, %(components)s) n;
INSERT INTO comms_componentday (component_id, day, degraded_seconds, partial_seconds, major_seconds)
SELECT 900000 + n, (now() AT TIME ZONE 'UTC')::date - d, 60 * (d + n), CASE WHEN d %% 2 = 0 THEN 300 ELSE 0 END, 0
  FROM generate_series(1, %(components)s) n, generate_series(0, %(days)s - 1) d WHERE (n + d) %% 9 = 0;
INSERT INTO comms_publicincident (id, incident_id, public_id, title, status, impact, started_at, created_at, updated_at,
                                  monitoring_at, resolved_at)
SELECT 900000 + n, incident, substr(md5('incident ' || n), 1, 12), 'Errors in component number ' || 1 + n %% 50,
       CASE WHEN n > 2 THEN 'resolved' ELSE 'identified' END, 'minor', at, at, at + interval '1 hour',
       CASE WHEN n > 2 THEN at + interval '30 minutes' END, CASE WHEN n > 2 THEN at + interval '1 hour' END
  FROM (SELECT id AS incident, row_number() OVER (ORDER BY id DESC) AS n FROM incidents_incident
         WHERE NOT restricted AND NOT drill) drawn
 CROSS JOIN LATERAL (SELECT now() - n * %(days)s / %(incidents)s * interval '1 day' AS at) t
 WHERE n <= %(incidents)s;
INSERT INTO comms_publicincident_components (publicincident_id, component_id)
SELECT id, 900000 + 1 + id %% %(components)s FROM comms_publicincident;
INSERT INTO comms_publicupdate (message_id, public_incident_id, public_id, title, status, impact, impact_text,
       update_text, root_cause, expected_duration, started_at, resolved_at, components, changes, body, published_at)
SELECT 900000000 + 3 * id + u, id, substr(md5('update ' || id || '-' || u), 1, 12), title,
       (ARRAY['investigating', 'identified', status])[1 + u], impact, '', '', '', '', started_at, resolved_at, '{}', '[]',
       repeat('Some requests are answered with an error. We are rolling back to the release before. ', 3),
       started_at + u * interval '20 minutes'
  FROM comms_publicincident, generate_series(0, 2) u
"""


@dataclass
class Served:
    """One file from one place with so many connections, each window beside the hello-world's."""

    place: str
    name: str
    size: int
    connections: int
    own: list[Window] = field(default_factory=list)
    ceiling: list[Window] = field(default_factory=list)

    @property
    def rate(self) -> float:
        return statistics.median(window.rate for window in self.own)

    @property
    def ceiling_rate(self) -> float:
        return statistics.median(window.rate for window in self.ceiling)

    @property
    def ratios(self) -> list[float]:
        pairs = zip(self.own, self.ceiling, strict=True)
        return [own.rate / ceiling.rate for own, ceiling in pairs if ceiling.rate] or [float("nan")]

    @property
    def load_share(self) -> float:
        """The load generator's share of one core beside the page."""
        return statistics.median(window.own_share for window in self.own)

    @property
    def failed(self) -> int:
        return sum(len(window.failures) for window in (*self.own, *self.ceiling))

    def percentile(self, percent: int) -> float:
        """Milliseconds."""
        found = sorted(second for window in self.own for second in window.latencies)
        return found[min(len(found) - 1, len(found) * percent // 100)] * 1000 if found else float("nan")


def publish(link: psycopg.Connection) -> None:
    """The public's tables, as they are after a quarter of a year; incidents are stored already."""
    with link.transaction():
        cursor = psycopg.ClientCursor(link)
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(_PUBLIC, {"components": COMPONENTS, "days": DAYS, "incidents": INCIDENTS})
    link.execute("VACUUM ANALYZE")


def measure(
    environment: Mapping[str, str], var_dir: Path, *,
    connections: Iterable[int], rounds: int, seconds: float,
) -> Iterator[Served]:  # fmt: skip
    """Both places, each file, in turn with the hello-world beside it."""
    manage(environment, "status_snapshot")
    folder = (var_dir / "status").resolve()
    (folder / "hello.txt").write_text(HELLO)
    own, ceiling, files = free_ports(3)
    with (
        web(environment, own, var_dir / "web.log"),
        web(environment, ceiling, var_dir / "ceiling.log", CEILING),
        _static(files, folder, var_dir / "files.log"),
    ):
        for place, port, beside, hello in (
            ("snapshot", files, files, "/status/hello.txt"),
            ("Django", own, ceiling, "/hello/"),
        ):
            for name, path in FILES.items():
                address = f"/status/{path or ('index.html' if place == 'snapshot' else '')}"
                size = (folder / (path or "index.html")).stat().st_size
                for count in connections:
                    one = Served(place, name, size, count)
                    _fill(one, (port, _get(address)), (beside, _get(hello)), rounds=rounds, seconds=seconds)
                    yield one


def _fill(
    one: Served,
    own: tuple[int, Callable[[], bytes]],
    ceiling: tuple[int, Callable[[], bytes]],
    *,
    rounds: int,
    seconds: float,
) -> None:
    def load(side: tuple[int, Callable[[], bytes]], lasts: float) -> Window:
        return run_window(*side, connections=one.connections, seconds=lasts, expected=200)

    for side in (own, ceiling):
        load(side, min(WARM_UP_SECONDS, seconds))
    for number in range(rounds):
        turns = [(own, one.own), (ceiling, one.ceiling)]
        for side, windows in turns if number % 2 == 0 else reversed(turns):
            windows.append(load(side, seconds))


def _get(path: str) -> Callable[[], bytes]:
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
    return lambda: request


@contextlib.contextmanager
def _static(port: int, folder: Path, log: Path) -> Iterator[None]:
    """Granian's static files, which no Python takes part in."""
    words = [
        sys.executable, "-m", "granian", "--interface", "asginl", "--host", "127.0.0.1", "--port", str(port),
        "--log-level", "warning", "--static-path-route", "/status", "--static-path-mount", str(folder),
        "bench.ceiling.nothing:application",
    ]  # fmt: skip
    with running(words, {}, log) as process:
        first_answer(port, "/status/hello.txt", process, log)
        yield
