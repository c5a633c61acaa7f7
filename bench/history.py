"""`python -m bench.history`: pages, rolling up and forgetting with 1, 10 and 100 times as many samples stored, and
the lists of services with ten thousand of them."""

from __future__ import annotations

import argparse
import itertools
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import django
import psycopg

from bench.servers import ROOT
from core.embedded.folders import socket_dir
from core.embedded.stack import open_stack

if TYPE_CHECKING:
    from django.test import Client  # at run time only once Django is set up

REPEATS = 9
PER_SERVICE = 4

_MONITORS = """
INSERT INTO core_stream (id, kind, name, head_seq, head_hash)
SELECT 1000 + n, 'service', 'service-' || n, 0, '' FROM generate_series(1, %(services)s) n;
INSERT INTO incidents_service (id, slug, name, environment, procedure, auto_rollback, public_name, created_at, stream_id)
SELECT 1000 + n, 'service-' || n, 'Service ' || n, 'production', '', false, '', now() - interval '1 year', 1000 + n
  FROM generate_series(1, %(services)s) n;
INSERT INTO incidents_monitor (service_id, metric, source, interval_seconds, policy, on_monitoring_failure, enabled,
       created_at, level, level_since, checked_at, last_value, last_error, next_check_due_at)
SELECT 1000 + n, (ARRAY['error_rate', 'response_time', 'memory_usage', 'cpu_usage'])[k],
       '{"type": "http_json", "url": "http://127.0.0.1:9/m.json", "path": "x"}', 60, 'rollback_triggers', 'page', true,
       now() - interval '1 year', 'ok', now(), now(), 0.004, '', now() + interval '10 years'
  FROM generate_series(1, %(services)s) n, generate_series(1, %(per_service)s) k
"""
# In the order of time, as they come: the rows of one monitor lie far apart.
_SAMPLES = """
INSERT INTO incidents_sample (monitor_id, at, outcome, value, level)
SELECT id, now() - n * interval '1 minute' - id %% 60 * interval '1 second',
       CASE WHEN n %% 701 = 0 THEN 'error' ELSE 'ok' END, CASE WHEN n %% 701 > 0 THEN 0.001 * (n %% 7) END, 'ok'
  FROM generate_series(%(from)s, %(to)s + 1, -1) n, incidents_monitor
"""
# One service in a hundred in some trouble.
_TROUBLE = """
UPDATE incidents_monitor SET level = (ARRAY['critical', 'unknown', 'high', 'warning'])[1 + service_id / 100 %% 4]
 WHERE service_id %% 100 = 0 AND metric = 'error_rate'
"""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.history", description=__doc__)
    parser.add_argument("--services", type=int, default=50, help=f"with {PER_SERVICE} monitors each")
    parser.add_argument("--minutes", type=int, default=480, help="of samples that are stored at first")
    parser.add_argument("--sweep-monitors", type=int, default=10_000, help="for rolling up and forgetting")
    parser.add_argument("--listed", type=int, default=10_000, help="services, for the pages that list them")
    options = parser.parse_args()
    for name in ("DATABASE_URL", "DATABASE_OWNER_URL", "REDIS_URL", "CELERY_BROKER_URL", "PUBLIC_URL"):
        os.environ.pop(name, None)
    var_dir = Path(tempfile.mkdtemp(prefix="firebreak-bench-"))
    try:
        os.environ |= {"VAR_DIR": str(var_dir), "DJANGO_SETTINGS_MODULE": "config.settings"}
        with open_stack(var_dir) as stack:
            os.environ |= {**stack.env, "LOG_LEVEL": "ERROR"}
            subprocess.run([sys.executable, "manage.py", "migrate", "-v", "0"], cwd=ROOT, check=True)
            django.setup()
            with psycopg.connect(
                host=str(socket_dir(var_dir)), user="postgres", dbname="firebreak", autocommit=True
            ) as link:
                growing = _growing(link, options.services, options.minutes)
                sweeping = _sweeping(link, options.sweep_monitors)
                for line in itertools.chain(growing, sweeping, _listing(link, options.listed)):
                    sys.stdout.write(f"{line}\n")
                    sys.stdout.flush()
    finally:
        shutil.rmtree(var_dir, ignore_errors=True)
    return 0


def _growing(link: psycopg.Connection, services: int, minutes: int) -> Iterator[str]:
    """The pages, with 1, 10 and 100 times the samples."""
    from django.conf import settings

    from incidents.selectors.services import RANGES

    settings.RETENTION_SAMPLES_DAYS = 3
    browser = _sign_in()
    pages = {f"service, {key}": f"/services/service-1/?range={key}" for key in RANGES}
    pages |= {f"Now, {services} services": "/"}
    _run(link, _MONITORS, {"services": services, "per_service": PER_SERVICE})
    yield f"| samples stored | rollups | {' | '.join(pages)} |"
    yield f"|{'---|' * (2 + len(pages))}"
    held = 0
    for factor in (1, 10, 100):
        _run(link, _SAMPLES, {"from": minutes * factor, "to": held})
        held = minutes * factor
        # What is added lies before what was there: begin anew. No more than three days stay as samples.
        link.execute("TRUNCATE incidents_rollup, incidents_rollupmark")
        _roll_up()
        link.execute("VACUUM ANALYZE")
        times = [_page(browser, address) for address in pages.values()]
        yield f"| {_count(link, 'sample'):,} | {_count(link, 'rollup'):,} | {' | '.join(times)} |"


def _sweeping(link: psycopg.Connection, monitors: int) -> Iterator[str]:
    """Rolling up an hour, and forgetting, of many monitors."""
    from django.conf import settings

    from core import retention
    from core.clock import utcnow

    _begin_anew(link, services=monitors // PER_SERVICE, minutes=240)
    began = time.perf_counter()
    made = _roll_up()
    took = time.perf_counter() - began
    yield f"\nRolling up {_count(link, 'sample'):,} samples of {monitors:,} monitors: {made:,} rollups in {took:.1f} s."
    settings.RETENTION = [entry for entry in settings.RETENTION if entry[0] == "samples"]
    for what, minutes in (("four days old", 60), ("ten minutes more", 10)):
        link.execute(
            "UPDATE incidents_sample SET at = at - interval '4 days' WHERE at < now() - %s * interval '1 minute'"
            " AND at > now() - %s * interval '1 minute'",
            (240 - minutes - (what[0] == "t") * 60, 241),
        )
        began = time.perf_counter()
        (done,) = retention.run(now=utcnow())
        took = time.perf_counter() - began
        yield f"Forgetting {done.rows:,} samples, {what}: {took:.1f} s, {done.rows / took:,.0f} a second."


def _listing(link: psycopg.Connection, services: int) -> Iterator[str]:
    """The pages that list services, the worst first or by name."""
    from incidents.selectors.tiles import PAGE_SIZE

    browser = _sign_in()
    _begin_anew(link, services=services, minutes=60)
    _run(link, _TROUBLE, {})
    link.execute("VACUUM ANALYZE incidents_monitor")
    *_, last = (row[0] for row in link.execute(
        "SELECT slug FROM incidents_service ORDER BY name DESC, slug DESC LIMIT %s", (PAGE_SIZE + 1,)))  # fmt: skip
    pages = {
        "Now": "/",
        "Services": "/services/",
        "its last page": f"/services/?after={last}",
        "a search": "/services/?q=99",
        "the critical ones": "/services/?state=critical",
    }
    yield f"\n| services | {' | '.join(pages)} |"
    yield f"|{'---|' * (1 + len(pages))}"
    yield f"| {services:,} | {' | '.join(_page(browser, address) for address in pages.values())} |"


def _sign_in() -> Client:
    from django.conf import settings
    from django.contrib.auth.models import Group
    from django.test import Client

    from core.models import User

    settings.ALLOWED_HOSTS = ["*"]
    user, _made = User.objects.get_or_create(username="bench")
    user.groups.add(Group.objects.get(name="responder"))
    browser = Client()
    browser.force_login(user)
    return browser


def _begin_anew(link: psycopg.Connection, *, services: int, minutes: int) -> None:
    """Other services, and samples of the last minutes."""
    link.execute(
        "TRUNCATE incidents_service, incidents_monitor, incidents_sample, incidents_rollup, incidents_rollupmark CASCADE"
    )
    link.execute("DELETE FROM core_stream WHERE id > 1000")
    _run(link, _MONITORS, {"services": services, "per_service": PER_SERVICE})
    _run(link, _SAMPLES, {"from": minutes, "to": 0})
    link.execute("VACUUM ANALYZE")


def _run(link: psycopg.Connection, text: str, asked: dict[str, int]) -> None:
    with link.transaction():
        cursor = psycopg.ClientCursor(link)
        cursor.execute("SET LOCAL session_replication_role = replica; SET LOCAL synchronous_commit = off")
        cursor.execute(text.encode(), asked)


def _roll_up() -> int:
    from core.clock import utcnow
    from incidents.services.rollups import roll_up

    made = 0
    while rows := roll_up(now=utcnow()):
        made += rows
    return made


def _count(link: psycopg.Connection, table: str) -> int:
    row = link.execute(f"SELECT count(*) FROM incidents_{table}".encode()).fetchone()
    assert row is not None
    return int(row[0])


def _page(browser: Client, address: str) -> str:
    """The median of some requests, and in brackets what the database took of it."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    times, database = [], []
    for _again in range(REPEATS):
        with CaptureQueriesContext(connection) as captured:
            began = time.perf_counter()
            answer = browser.get(address, headers={"host": "127.0.0.1"})
            times.append(time.perf_counter() - began)
        assert answer.status_code == 200
        database.append(sum(float(query["time"]) for query in captured.captured_queries))
    return f"{statistics.median(times) * 1000:.0f} ms ({statistics.median(database) * 1000:.0f})"


if __name__ == "__main__":
    sys.exit(main())
