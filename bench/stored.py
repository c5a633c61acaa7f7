"""What monitoring and alerts find stored, written by the database itself: monitors, samples, alerts, deliveries.

The rows have the sizes of real ones. Incidents with their events are `bench.seed`'s.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import LiteralString

import psycopg
from psycopg import sql

from bench import seed

# Ids of the monitors that are checked for speed: those of one kind are the others' neighbours.
FIRST = {"http_json": 100_000, "prometheus": 200_000}
PER_SERVICE = 4
# Seen from another session, and no sooner than this many seconds after the services were made.
LEAD_SECONDS = 3.0
BREACH_SECONDS = 60.0

_SERVICES: LiteralString = """
INSERT INTO core_stream (id, kind, name, head_seq, head_hash)
SELECT %(first)s + n, 'service', %(slug)s || n, 0, '' FROM generate_series(1, %(services)s) n;
INSERT INTO incidents_service (id, slug, name, environment, procedure, auto_rollback, public_name, created_at,
                               stream_id)
SELECT %(first)s + n, %(slug)s || n, 'Service ' || n, 'production', '', true, '', now() - interval '1 year',
       %(first)s + n
  FROM generate_series(1, %(services)s) n;
"""
_MONITOR: LiteralString = """
INSERT INTO incidents_monitor (id, service_id, metric, source, interval_seconds, policy, on_monitoring_failure, enabled,
       created_at, level, level_since, checked_at, answered_at, last_value, last_error, next_check_due_at)
"""
_CHECKED: LiteralString = """
SELECT %(first)s + n, %(service)s + 1 + n %% %(services)s,
       (ARRAY['error_rate', 'response_time', 'memory_usage', 'cpu_usage'])[1 + n / %(services)s %% 4],
       CASE WHEN %(kind)s = 'http_json'
            THEN jsonb_build_object('type', 'http_json', 'url', %(url)s || '/m.json?n=' || n, 'path', 'value')
            ELSE jsonb_build_object('type', 'prometheus', 'url', %(url)s, 'query',
                 'sum(rate(http_requests_total{service="service-' || n || '",code=~"5.."}[1m]))') END,
       %(interval)s, 'rollback_triggers', 'page', false, now() - interval '1 year', 'ok', now(), now(), now(), 0.004,
       '', now()
  FROM generate_series(0, %(monitors)s - 1) n
"""
# In the order of time, as they come: the rows of one monitor lie far apart.
_SAMPLES: LiteralString = """
INSERT INTO incidents_sample (monitor_id, at, outcome, value, level)
SELECT id, now() - n * interval '1 minute' - id %% 60 * interval '1 second', 'ok', 0.001 * (n %% 7), 'ok'
  FROM generate_series(%(to)s::int, %(from)s::int + 1, -1) n, incidents_monitor WHERE id >= %(first)s
"""
# A release of an hour ago and a good one of days ago; the monitor's address says when it begins to be bad.
_BREACHING: LiteralString = """
INSERT INTO incidents_release (service_id, version, commit, artifact, schema_version, security_baseline, state,
                               deployed_at, recorded_at, clean_since, good_at, ended_at)
SELECT %(first)s + n, version, '', '', '', false, state, now() - age, now() - age, now() - age,
       CASE WHEN state = 'good' THEN now() - age END,
       CASE WHEN state = 'good' THEN now() - interval '1 hour' END
  FROM generate_series(1, %(services)s) n,
       (VALUES ('1.0', 'good', interval '3 days'), ('1.1', 'live', interval '1 hour')) r (version, state, age);
"""
_BREACHING_MONITOR: LiteralString = """
SELECT %(first)s + n, %(first)s + n, 'error_rate',
       jsonb_build_object('type', 'http_json', 'path', 'value', 'url',
           %(url)s || '/m.json?n=' || n || '&from=' || breaks || '&until=' || breaks + %(lasts)s),
       %(interval)s, 'rollback_triggers', 'page', true, now() - interval '1 year', 'ok', now(), now(), now(), 0.004,
       '', now() + random() * %(interval)s * interval '1 second'
  FROM unnest(%(breaks)s::float8[]) WITH ORDINALITY AS planned (breaks, n)
"""
_ALERTS: LiteralString = """
INSERT INTO incidents_alert (source, sender_id, fingerprint, status, title, severity, security, labels, annotations, url,
       notes, ignored, service_id, group_key, starts_at, ends_at, received_at, last_seen_at, repeats)
SELECT 'alertmanager', 101 + n %% %(people)s, md5(n::text), 'resolved', 'Requests of service-' || n %% 24 || ' fail',
       'P2', false, jsonb_build_object('alertname', 'RequestsFail', 'service', 'service-' || 1 + n %% 24, 'severity',
       'error', 'instance', '10.1.2.' || n %% 200), jsonb_build_object('summary', 'Requests fail', 'description',
       repeat('The error rate rose within two minutes. ', 6)), 'http://prometheus:9090/graph?g0.expr=up', '[]', '',
       1 + n %% 24, 'service-' || 1 + n %% 24, at, at + interval '10 minutes', at, at + interval '10 minutes', 2
  FROM generate_series(%(from)s::int, %(to)s::int - 1) n
 CROSS JOIN LATERAL (SELECT now() - interval '30 days' + n * interval '2 seconds' AS at) t
"""
_DELIVERIES: LiteralString = """
INSERT INTO incidents_inbounddelivery (kind, sender_id, token, label, key, action, body, size, received_at, due_at,
       attempts, processed_at, last_error, outcome)
SELECT 'alertmanager', 101 + n %% %(people)s, 'bench', 'person1 (token bench)', '', '', repeat(md5(n::text), 24), 768,
       at, at, 0, at + interval '1 second', '', ''
  FROM generate_series(%(from)s::int, %(to)s::int - 1) n
 CROSS JOIN LATERAL (SELECT now() - interval '30 days' + n * interval '2 seconds' AS at) t
"""
_CEILING: LiteralString = """
CREATE TABLE bench_delivered (id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, body text NOT NULL,
    received_at timestamptz NOT NULL);
GRANT SELECT, INSERT ON bench_delivered TO PUBLIC
"""
# What a measurement set in motion and nobody looks at must not keep the next one's workers busy.
_SETTLE: LiteralString = """
DELETE FROM core_pendingevent;
UPDATE incidents_inbounddelivery SET processed_at = now() WHERE processed_at IS NULL;
UPDATE incidents_monitor SET enabled = false WHERE enabled
"""


@dataclass(frozen=True)
class Amount:
    """How much of each is stored."""

    samples: int = 0
    alerts: int = 0
    incidents: int = 0


def begin(link: psycopg.Connection, *, url: str, monitors: int, interval: int) -> None:
    """People and services as `make bench` has them, and as many monitors of each kind, all of them paused."""
    seed.begin(link)
    services = max(1, monitors // PER_SERVICE)
    for kind, first in FIRST.items():
        asked = {
            "first": first, "service": first, "services": services, "slug": f"{kind.replace('_', '-')}-",
            "monitors": monitors, "kind": kind, "url": url, "interval": interval,
        }  # fmt: skip
        _run(link, _SERVICES, asked)
        _run(link, _MONITOR + _CHECKED, asked)
    _run(link, _CEILING, {})


def grow(link: psycopg.Connection, held: Amount, to: Amount, *, monitors: int) -> None:
    """From `held` to `to`."""
    each = 2 * monitors
    minutes = {"from": held.samples // each, "to": to.samples // each, "first": min(FIRST.values())}
    counted = {"from": held.alerts, "to": to.alerts, "people": seed.PEOPLE}
    with _without_indexes(link, "incidents_sample", "incidents_alert", "incidents_inbounddelivery"):
        _run(link, _SAMPLES, minutes)
        _run(link, _ALERTS, counted)
        _run(link, _DELIVERIES, counted)
    seed.grow(link, held.incidents, to.incidents, long_events=10)  # at the end it vacuums everything


@contextlib.contextmanager
def _without_indexes(link: psycopg.Connection, *tables: str) -> Iterator[None]:
    """Made anew at the end, which takes a tenth of the time that millions of rows in any order would."""
    known = link.execute(
        "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = ANY(%s)"
        " AND NOT EXISTS (SELECT FROM pg_constraint WHERE conname = indexname)",
        [list(tables)],
    ).fetchall()
    for name, _definition in known:
        link.execute(sql.SQL("DROP INDEX {}").format(sql.Identifier(name)))
    yield
    for _name, definition in known:
        link.execute(definition)


def settle(link: psycopg.Connection) -> None:
    _run(link, _SETTLE, {})


def breaching(
    link: psycopg.Connection, *, first: int, breaks: list[float], url: str, interval: int, lasts: float
) -> None:
    """A service for each moment in `breaks`, at which its monitor's source begins to be bad."""
    asked = {
        "first": first, "services": len(breaks), "slug": f"breaching-{first}-", "url": url,
        "interval": interval, "breaks": breaks, "lasts": lasts,
    }  # fmt: skip
    _run(link, _SERVICES, asked)
    _run(link, _BREACHING, asked)
    _run(link, _MONITOR + _BREACHING_MONITOR, asked)


def _run(link: psycopg.Connection, text: LiteralString, asked: Mapping[str, object]) -> None:
    """As the superuser that `link` is: foreign keys are not checked."""
    with link.transaction():
        cursor = psycopg.ClientCursor(link)
        cursor.execute("SET LOCAL session_replication_role = replica; SET LOCAL synchronous_commit = off")
        cursor.execute(text, asked)
