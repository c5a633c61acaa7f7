"""`python -m bench.insights`: the figures over a long history, as the API and the page give them.

A hundred thousand incidents in the year that is asked for, a rollback of every twenty-fifth, ten million events.
Each question is asked in this process by Django's own client, one at a time.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import LiteralString

import django
import psycopg

from bench import seed
from bench.pages import _get, _queries, _sign_in
from bench.run import UNLIMITED, checked_settings
from bench.servers import manage
from core.embedded.folders import socket_dir
from core.embedded.stack import open_stack

WARM_UP = 3


@dataclass(frozen=True)
class Scale:
    """How much is stored, and how often each question is asked."""

    incidents: int
    events: int
    repeats: int


WHOLE = Scale(100_000, 10_000_000, 40)
SHORT = Scale(20_000, 200_000, 20)
SMOKE = Scale(60, 300, 3)

QUESTIONS = {
    "a year": "/api/v1/insights/",
    "a year by service": "/api/v1/insights/?by=service",
    "a year by severity": "/api/v1/insights/?by=severity",
    "a year of one service": "/api/v1/insights/?service=service-1",
    "a year of one severity": "/api/v1/insights/?severity=P1",
    "a year, rolled back by people": "/api/v1/insights/?trigger=manual",
    "three months": "/api/v1/insights/?from={three}",
    "a year as CSV": "/api/v1/insights.csv",
    "the page, a year": "/insights/",
    "what is behind a year": "/insights/mttr/",
}

# Spread over the year, with what makes a figure worth computing.
_SPREAD: LiteralString = """
UPDATE incidents_incident SET declared_at = at, started_at = at, response_due_at = at + interval '15 minutes',
       acknowledged_at = at + id %% 1200 * interval '1 second',
       response_breached_at = CASE WHEN id %% 1200 > 900 THEN at + interval '15 minutes' END,
       resolved_at = CASE WHEN resolved_at IS NOT NULL THEN at + id %% 30011 * interval '1 second' END
  FROM (SELECT id AS spread, now() - (id::float8 / %(incidents)s) * interval '330 days' AS at
          FROM incidents_incident) place
 WHERE id = spread;
UPDATE rollbacks_rollback r SET requested_at = i.declared_at, completed_at = i.declared_at + r.id %% 600 * interval '1 second',
       trigger = CASE WHEN r.id %% 2 = 0 THEN 'automated' ELSE 'manual' END,
       state = (ARRAY['succeeded', 'succeeded', 'succeeded', 'failed', 'cancelled'])[1 + r.id %% 5],
       false_positive = CASE WHEN r.id %% 6 = 0 THEN r.id %% 12 = 0 END
  FROM incidents_incident i WHERE i.id = r.incident_id
"""
# Only their number matters here: their rows are short, so that ten million are there in minutes.
_EVENTS: LiteralString = """
INSERT INTO core_event (stream_id, seq, kind, occurred_at, recorded_at, actor_kind, actor, actor_user_id, source,
                        summary, data, canonical, hash)
SELECT s.id, n, 'note.added', now(), now(), 'user', 'person1', 101, 'firebreak', 'Note ' || n, '{}', ''::bytea,
       'x' || s.id || '.' || n
  FROM core_stream s, generate_series(s.head_seq + 1, %(each)s) n WHERE s.kind = 'incident' AND s.head_seq < %(each)s;
UPDATE core_stream SET head_seq = %(each)s WHERE kind = 'incident' AND head_seq < %(each)s
"""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.insights", description=__doc__)
    parser.set_defaults(scale=WHOLE)
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument("--short", dest="scale", action="store_const", const=SHORT, help="a minute")
    chosen.add_argument("--smoke", dest="scale", action="store_const", const=SMOKE, help="does it work?")
    options = parser.parse_args()
    for name in ("DATABASE_URL", "DATABASE_OWNER_URL", "REDIS_URL", "CELERY_BROKER_URL", "PUBLIC_URL"):
        os.environ.pop(name, None)
    var_dir = Path(tempfile.mkdtemp(prefix="firebreak-bench-"))
    try:
        os.environ |= {"VAR_DIR": str(var_dir), "DJANGO_SETTINGS_MODULE": "config.settings"}
        with open_stack(var_dir) as stack:
            environment = {**os.environ, **stack.env}
            os.environ |= {**stack.env, **UNLIMITED, "LOG_LEVEL": "ERROR"}
            manage(environment, "migrate", "--verbosity", "0")
            django.setup()
            with psycopg.connect(
                host=str(socket_dir(var_dir)), user="postgres", dbname="firebreak", autocommit=True
            ) as link:
                checked_settings(link)
                _store(link, options.scale)
                for line in _measure(link, options.scale):
                    sys.stdout.write(f"{line}\n")
                    sys.stdout.flush()
    finally:
        shutil.rmtree(var_dir, ignore_errors=True)
    return 0


def _store(link: psycopg.Connection, scale: Scale) -> None:
    began = time.perf_counter()
    seed.begin(link)
    seed.grow(link, 0, scale.incidents, long_events=0)
    with link.transaction():
        cursor = psycopg.ClientCursor(link)
        cursor.execute("SET LOCAL session_replication_role = replica; SET LOCAL synchronous_commit = off")
        cursor.execute(_SPREAD, {"incidents": scale.incidents})
        cursor.execute(_EVENTS, {"each": scale.events // scale.incidents})
    link.execute("VACUUM ANALYZE")
    link.execute("CHECKPOINT")
    sys.stderr.write(f"stored in {time.perf_counter() - began:.0f} s\n")


def _measure(link: psycopg.Connection, scale: Scale) -> Iterator[str]:
    from core.clock import utcnow
    from rollbacks.rules.insights import months_back

    browser = _sign_in()
    stored = link.execute(
        "SELECT (SELECT count(*) FROM incidents_incident), (SELECT count(*) FROM rollbacks_rollback),"
        " (SELECT count(*) FROM core_event)"
    ).fetchone()
    assert stored is not None
    yield f"{stored[0]:,} incidents of the year, {stored[1]:,} rollbacks, {stored[2]:,} events.\n"
    yield "| question | queries | p50 | p95 |"
    yield "|---|---|---|---|"
    three = f"{months_back(utcnow(), 2):%Y-%m-%d}"
    for name, address in QUESTIONS.items():
        asked = address.format(three=three)
        queries = _queries(browser, asked)
        for _again in range(WARM_UP):
            _get(browser, asked)
        times = []
        for _again in range(scale.repeats):
            began = time.perf_counter()
            _get(browser, asked)
            times.append((time.perf_counter() - began) * 1000)
        middle, slow = statistics.median(times), statistics.quantiles(times, n=20)[-1]
        yield f"| {name} | {queries} | {middle:.0f} ms | {slow:.0f} ms |"


if __name__ == "__main__":
    sys.exit(main())
