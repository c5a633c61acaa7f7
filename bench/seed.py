"""A history of any length, written by the database itself: incidents with events, people and services.

The rows have the sizes of real ones. The hash chain is not made: `verify_timeline` would complain.
"""

from __future__ import annotations

from typing import LiteralString

import psycopg

SERVICES = 24
PEOPLE = 20
OPEN = 30  # however long the history, about as much is going on
LONG_TIMELINE = 10_000
PER_DAY = 2_880

_BASE: LiteralString = """
INSERT INTO core_user (id, password, is_superuser, username, first_name, last_name, email, is_staff, is_active,
                       date_joined)
SELECT 100 + n, '!', false, 'person' || n, '', '', '', false, true, now() FROM generate_series(1, %(people)s) n;
INSERT INTO core_stream (id, kind, name, head_seq, head_hash)
SELECT 100 + n, 'service', 'service-' || n, 0, '' FROM generate_series(1, %(services)s) n;
INSERT INTO incidents_service (id, slug, name, environment, procedure, auto_rollback, public_name, created_at,
                               stream_id)
SELECT n, 'service-' || n, 'Service ' || n, 'production', '', false, '', now(), 100 + n
  FROM generate_series(1, %(services)s) n;
INSERT INTO incidents_monitor (id, service_id, metric, source, interval_seconds, policy, on_monitoring_failure,
                               enabled, created_at, level, level_since, checked_at, last_value, last_error,
                               next_check_due_at)
SELECT n, 1 + n %% %(services)s, CASE WHEN n %% 2 = 0 THEN 'error_rate' ELSE 'response_time' END,
       '{"type": "http_json", "url": "http://127.0.0.1:9/m.json", "path": "x"}', 60, 'rollback_triggers', 'page',
       true, now(), 'ok', now(), now(), 0.004, '', now() + interval '10 years'
  FROM generate_series(1, 2 * %(services)s) n;
INSERT INTO incidents_sample (monitor_id, at, outcome, value, level)
SELECT m, now() - n * interval '1 minute', 'ok', 0.001 * (n %% 7), 'ok'
  FROM generate_series(2, 2 * %(services)s) m, generate_series(1, 240) n;
INSERT INTO incidents_release (service_id, version, commit, artifact, schema_version, security_baseline, state,
                               deployed_at, recorded_at)
SELECT s, '1.' || n, '', '', '', false, CASE WHEN n = 0 THEN 'live' ELSE 'superseded' END,
       now() - (1 + n) * interval '1 day', now()
  FROM generate_series(1, %(services)s) s, generate_series(0, 9) n;
SELECT setval(pg_get_serial_sequence('core_user', 'id'), 1000);
SELECT setval(pg_get_serial_sequence('core_stream', 'id'), 1000);
SELECT setval(pg_get_serial_sequence('incidents_service', 'id'), 1000);
SELECT setval(pg_get_serial_sequence('incidents_monitor', 'id'), 1000);
"""

# What earlier windows declared and what was going on is over when the next stretch of history begins.
_SETTLE: LiteralString = """
UPDATE incidents_incident SET status = 'closed', resolved_at = now(), closed_at = now(),
       acknowledged_at = coalesce(acknowledged_at, now())
 WHERE status IN ('investigating', 'rollback_initiated', 'monitoring')
"""

_GROW: tuple[LiteralString, ...] = (
    """
CREATE TEMPORARY TABLE grown AS
SELECT i, top.incident + row_number() OVER (ORDER BY i) AS id, top.stream + row_number() OVER (ORDER BY i) AS stream,
       day + (i %% %(per_day)s) * interval '30 seconds' AS at,
       'INC-' || to_char(day AT TIME ZONE 'UTC', 'YYYY-MM-DD') || '-' || lpad((1 + i %% %(per_day)s)::text, 4, '0') AS ref,
       i > %(to)s - 1 - %(open)s AS open
  FROM generate_series(%(from)s::bigint, %(to)s::bigint - 1) i
 CROSS JOIN LATERAL (SELECT date_trunc('day', now(), 'UTC') + (i / %(per_day)s - 350) * interval '1 day' AS day) d
 CROSS JOIN (SELECT (SELECT coalesce(max(id), 0) FROM incidents_incident) AS incident,
                    (SELECT max(id) FROM core_stream) AS stream) top
""",
    """
INSERT INTO core_stream (id, kind, name, head_seq, head_hash)
SELECT stream, 'incident', ref, 3 + i %% 2, encode(sha256(ref::bytea), 'hex') FROM grown
""",
    """
INSERT INTO incidents_incident (id, ref, title, description, impact, kind, severity, security_level, status, version,
       restricted, drill, source, declared_at, declared_by, started_at, response_due_at, acknowledged_at,
       next_update_due_at, next_steps, resolved_at, closed_at, resolution, root_cause, stream_id)
SELECT id, ref,
       (ARRAY['Checkout', 'Login', 'Search', 'Payments', 'Images', 'Reports', 'Queue', 'Mail'])[1 + i %% 8] || ' '
       || (ARRAY['is slow', 'fails', 'answers with errors', 'lost its cache', 'times out'])[1 + i %% 5]
       || ' in zone ' || i %% 97,
       'Requests of trace ' || md5(i::text) || ' fail since the last deployment. The error rate rose within two'
       || ' minutes, the connection pool of the primary is exhausted, and retries of the callers make it worse.'
       || ' Customers see an error page and try again; about one in three orders is lost.',
       i %% 40 || ' %% of the customers', CASE WHEN i %% 20 = 0 THEN 'security' ELSE 'operational' END,
       'P' || (ARRAY[0, 1, 1, 2, 2, 2, 3, 3, 3, 3])[1 + i %% 10], CASE WHEN i %% 20 = 0 THEN 1 + i %% 3 END,
       CASE WHEN NOT open THEN 'closed' WHEN i %% 3 = 0 THEN 'monitoring' ELSE 'investigating' END, 3,
       i %% 200 = 0, i %% 50 = 7, 'api', at, 'person' || 1 + i %% %(people)s, at, at + interval '15 minutes',
       CASE WHEN i %% 10 > 0 OR NOT open THEN at + interval '4 minutes' END,
       CASE WHEN open THEN now() + interval '30 minutes' END, '',
       CASE WHEN NOT open THEN at + interval '50 minutes' END, CASE WHEN NOT open THEN at + interval '2 hours' END,
       CASE WHEN NOT open THEN 'Rolled back to the release before.' ELSE '' END, '', stream
  FROM grown
""",
    """
INSERT INTO incidents_incident_services (incident_id, service_id)
SELECT id, 1 + (i * 7 + n) %% %(services)s FROM grown, generate_series(0, 1) n WHERE n = 0 OR i %% 3 = 0
""",
    """
INSERT INTO incidents_responder (incident_id, user_id, role, since, until, added_by)
SELECT id, 101 + (i + n * 3) %% %(people)s, (ARRAY['incident_commander', 'technical_lead'])[1 + n], at, NULL, 'person1'
  FROM grown, generate_series(0, 1) n
""",
    """
INSERT INTO core_event (stream_id, seq, kind, occurred_at, recorded_at, actor_kind, actor, actor_user_id, source,
                        summary, data, canonical, hash)
SELECT stream, n, kinds[n], at + n * interval '4 minutes', at + n * interval '4 minutes', 'token', 'person1 (token ci)',
       101, 'firebreak', said[n] || ' (' || ref || ')', jsonb_build_object('incident', ref, 'severity', 'P1', 'kind', kinds[n]),
       convert_to(repeat(md5(i::text), 11), 'UTF8'), encode(sha256((ref || n)::bytea), 'hex')
  FROM grown
 CROSS JOIN (SELECT ARRAY['incident.declared', 'incident.acknowledged', 'incident.updated', 'incident.resolved'] AS kinds,
       ARRAY['P1 declared: Checkout answers with errors', 'person1 acknowledged', 'The release before is being deployed again',
             'Rolled back to the release before'] AS said) words
 CROSS JOIN generate_series(1, 4) n WHERE n <= 3 + i %% 2
""",
    """
INSERT INTO incidents_sample (monitor_id, at, outcome, value, level)
SELECT 1, now() - (n + %(from)s) * interval '5 seconds', 'ok', 0.001 * (n %% 7), 'ok'
  FROM generate_series(1, %(to)s - %(from)s) n
""",
    """
INSERT INTO rollbacks_rollback (ref, incident_id, service_id, procedure, procedure_digest, plan_digest, trigger, state,
       version, from_version, target_version, parameters, reason, expected_duration_seconds, expected_impact, drill,
       requested_by, requested_by_token, requested_at, completed_at, cancel_requested_by, attention, outcome, lease_owner,
       fence)
SELECT replace(ref, 'INC', 'RB'), id, 1 + i * 7 %% %(services)s, 'storefront_rollback', md5('p'), md5(ref), 'manual',
       'succeeded', 5, '1.1', '1.0', '{}', 'errors', 300, '', false, 'person1', false, at, at + interval '6 minutes', '',
       '', 'Recovered', '', 1
  FROM grown WHERE i %% 25 = 3 AND NOT open
""",
    "SELECT setval(pg_get_serial_sequence('core_stream', 'id'), (SELECT max(id) FROM core_stream))",
    "SELECT setval(pg_get_serial_sequence('incidents_incident', 'id'), (SELECT max(id) FROM incidents_incident))",
    "DROP TABLE grown",
)

_LONG: LiteralString = """
INSERT INTO core_event (stream_id, seq, kind, occurred_at, recorded_at, actor_kind, actor, actor_user_id, source,
                        summary, data, canonical, hash)
SELECT s.id, s.head_seq + n, 'note.added', now(), now(), 'user', 'person1', 101, 'firebreak', 'Note number ' || n,
       jsonb_build_object('incident', s.name), convert_to(repeat(md5(n::text), 11), 'UTF8'),
       encode(sha256((s.name || n)::bytea), 'hex')
  FROM core_stream s, generate_series(1, %(events)s - s.head_seq) n WHERE s.name = %(ref)s;
UPDATE core_stream SET head_seq = greatest(head_seq, %(events)s) WHERE name = %(ref)s
"""

_WRITTEN: LiteralString = """
CREATE TABLE bench_written (id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, ref varchar(24) NOT NULL UNIQUE,
    title varchar(200) NOT NULL, description text NOT NULL, impact text NOT NULL, kind varchar(12) NOT NULL,
    severity varchar(2) NOT NULL, security_level smallint, status varchar(20) NOT NULL, drill boolean NOT NULL,
    declared_at timestamptz NOT NULL, declared_by varchar(200) NOT NULL, source varchar(10) NOT NULL,
    started_at timestamptz NOT NULL, response_due_at timestamptz NOT NULL, acknowledged_at timestamptz,
    response_breached_at timestamptz, next_update_due_at timestamptz, resolved_at timestamptz, closed_at timestamptz,
    restricted boolean NOT NULL DEFAULT false, escalated_at timestamptz, escalated_to varchar(20) NOT NULL DEFAULT '');
GRANT SELECT, INSERT ON bench_written TO PUBLIC
"""


def begin(link: psycopg.Connection) -> None:
    """What every size has: people, services with monitors and releases, the ceiling's own table."""
    with link.transaction():
        cursor = psycopg.ClientCursor(link)
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(_BASE, {"people": PEOPLE, "services": SERVICES})
        cursor.execute(_WRITTEN)


def grow(link: psycopg.Connection, held: int, size: int, long_events: int = LONG_TIMELINE) -> str:
    """From `held` to `size` incidents; returns the reference of one with a long timeline.

    The link is a superuser's: foreign keys are not checked while the history is written.
    """
    asked = {
        "from": held, "to": size, "open": min(OPEN, size // 2), "per_day": PER_DAY, "people": PEOPLE, "services": SERVICES,
    }  # fmt: skip
    with link.transaction():
        cursor = psycopg.ClientCursor(link)
        cursor.execute("SET LOCAL session_replication_role = replica; SET LOCAL work_mem = '64MB'")
        cursor.execute("SET LOCAL synchronous_commit = off")
        cursor.execute(_SETTLE)
        for statement in _GROW:
            cursor.execute(statement, asked)
        cursor.execute("SELECT ref FROM incidents_incident WHERE NOT restricted ORDER BY id DESC LIMIT 1")
        ref: str = cursor.fetchone()[0]  # type: ignore[index]
        cursor.execute(_LONG, {"ref": ref, "events": long_events})
    link.execute("VACUUM ANALYZE")
    link.execute("CHECKPOINT")
    return ref
