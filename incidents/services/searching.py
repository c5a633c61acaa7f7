"""Keeping what the search knows: documents are made of what is stored, seconds after it was stored.

No consumer and no trigger: a timeline's writers pay nothing. The sweep reads the events that are new since
its mark and makes the documents of their incidents anew, each once however many events there were. Numbers
of events are given before they are committed, so a few before the mark are looked at again; and with each
run it looks at some incidents in turn, which fills in those from before there was a search and finds
whatever was missed.
"""

from __future__ import annotations

import datetime as dt
import logging
import time
from collections.abc import Sequence
from typing import Any, LiteralString

from django.db import DatabaseError, connection, transaction

from core import shutdown
from core.operation import vitals

logger = logging.getLogger(__name__)

SWEEP_SECONDS = 10.0
AT_ONCE = 50  # documents in one statement
EVENTS_AT_ONCE = 5_000
LOOK_AGAIN = 2_000  # events before the mark
IN_TURN = 500  # incidents
# Of a timeline the beginning and the end are read, of texts the beginning: a document stays bounded.
FIRST_EVENTS, LAST_EVENTS = 100, 400

_HOLD = "SELECT event, incident FROM incidents_searchmark WHERE id = 1 FOR UPDATE SKIP LOCKED"
_BEGIN = "INSERT INTO incidents_searchmark (id, event, incident) VALUES (1, %s, 0) ON CONFLICT DO NOTHING"
_NEWEST = "SELECT coalesce(max(id), 0) FROM core_event"
_TOUCHED = """
SELECT i.id FROM (SELECT DISTINCT stream_id FROM core_event WHERE id > %(after)s AND id <= %(to)s) touched
  JOIN incidents_incident i ON i.stream_id = touched.stream_id
  JOIN core_stream s ON s.id = i.stream_id
  LEFT JOIN incidents_searchdocument d ON d.incident_id = i.id
 WHERE d.seq IS DISTINCT FROM s.head_seq
"""
_IN_TURN = """
SELECT chosen.id, d.seq IS DISTINCT FROM s.head_seq
  FROM (SELECT id, stream_id FROM incidents_incident WHERE id > %s ORDER BY id LIMIT %s) chosen
  JOIN core_stream s ON s.id = chosen.stream_id
  LEFT JOIN incidents_searchdocument d ON d.incident_id = chosen.id
 ORDER BY chosen.id
"""
_MAKE: LiteralString = """
WITH chosen AS MATERIALIZED (
    SELECT i.id, i.ref, i.stream_id, i.title, i.declared_at, s.head_seq,
           left(i.description, 10000) AS description, left(i.impact, 5000) AS impact,
           left(i.root_cause, 10000) AS root_cause, left(i.resolution, 10000) AS resolution
      FROM incidents_incident i JOIN core_stream s ON s.id = i.stream_id
     WHERE i.id = ANY(%(incidents)s)
), told AS MATERIALIZED (
    SELECT c.id, e.seq, e.kind, e.summary, e.data
      FROM chosen c CROSS JOIN LATERAL (
        SELECT seq, kind, summary, data FROM core_event WHERE stream_id = c.stream_id AND seq <= %(first)s
        UNION ALL
        SELECT seq, kind, summary, data FROM core_event
         WHERE stream_id = c.stream_id AND seq > greatest(c.head_seq - %(last)s, %(first)s)) e
), timeline AS (
    SELECT id, left(string_agg(summary, chr(10) ORDER BY seq DESC), 30000) AS text,
           array_agg(DISTINCT data->>'metric')
               FILTER (WHERE kind = 'incident.breached' AND data->>'metric' <> '') AS metrics,
           array_agg(DISTINCT concat(data->>'service', ' ', data->>'from'))
               FILTER (WHERE kind = 'rollback.requested' AND data->>'from' <> '') AS rolled_from,
           (array_agg(data->>'rollback' ORDER BY seq DESC)
               FILTER (WHERE kind = 'rollback.succeeded'))[1] AS rollback
      FROM told GROUP BY id
), brought_back AS (
    SELECT DISTINCT ON (told.id) told.id, told.data->>'target' AS version
      FROM told JOIN timeline ON timeline.id = told.id AND timeline.rollback = told.data->>'rollback'
     WHERE told.kind IN ('rollback.requested', 'rollback.started') AND told.data->>'target' <> ''
     ORDER BY told.id, told.seq DESC
), reports AS (
    SELECT r.incident_id AS id, left(string_agg(t.text, chr(10) ORDER BY t.id), 25000) AS text
      FROM incidents_report r JOIN incidents_reporttext t ON t.report_id = r.id
     WHERE r.incident_id = ANY(%(incidents)s) GROUP BY 1
), named AS (
    SELECT j.incident_id AS id, array_agg(s.id) AS services,
           string_agg(concat_ws(' ', s.name, s.slug), ' ') AS names,
           array_agg(concat(s.slug, ' ', live.version)) FILTER (WHERE live.version <> '') AS releases
      FROM incidents_incident_services j
      JOIN chosen c ON c.id = j.incident_id
      JOIN incidents_service s ON s.id = j.service_id
      LEFT JOIN LATERAL (SELECT version FROM incidents_release
                          WHERE service_id = s.id AND deployed_at <= c.declared_at
                          ORDER BY deployed_at DESC, id DESC LIMIT 1) live ON true
     GROUP BY 1
)
INSERT INTO incidents_searchdocument
       (incident_id, seq, body, words, subject, services, metrics, releases, rolled_back_to, made_at)
SELECT c.id, c.head_seq,
       concat_ws(chr(10), c.description, c.impact, c.root_cause, c.resolution, r.text, t.text),
       setweight(incidents_full_text(concat_ws(' ', c.title, c.ref), 1000), 'A')
       || setweight(incidents_full_text(concat_ws(
              ' ', n.names, c.description, c.impact, c.root_cause, c.resolution, r.text), 50000), 'B')
       || setweight(incidents_full_text(coalesce(t.text, ''), 40000), 'C'),
       to_tsvector('pg_catalog.english',
                   left(incidents_folded(concat_ws(' ', c.title, left(c.description, 500))), 2000)),
       coalesce(n.services, '{}'), coalesce(t.metrics, '{}'),
       ARRAY(SELECT DISTINCT unnest(coalesce(n.releases, '{}') || coalesce(t.rolled_from, '{}'))),
       coalesce(b.version, ''), %(now)s
  FROM chosen c
  LEFT JOIN timeline t ON t.id = c.id
  LEFT JOIN reports r ON r.id = c.id
  LEFT JOIN named n ON n.id = c.id
  LEFT JOIN brought_back b ON b.id = c.id
ON CONFLICT (incident_id) DO UPDATE
   SET seq = excluded.seq, body = excluded.body, words = excluded.words, subject = excluded.subject,
       services = excluded.services, metrics = excluded.metrics, releases = excluded.releases,
       rolled_back_to = excluded.rolled_back_to, made_at = excluded.made_at
"""


def keep_documents(*, now: dt.datetime) -> int:
    """Make the documents of incidents that something happened to, and of some in turn; 10 s at most.

    Returns how many were made. One process at a time; what is killed leaves the mark where it was.
    """
    deadline, made = time.monotonic() + SWEEP_SECONDS, 0
    while time.monotonic() < deadline and not shutdown.requested():
        vitals.progress()
        found, is_all = _keep_some(now)
        made += found
        if is_all:
            break
    return made


@transaction.atomic
def _keep_some(now: dt.datetime) -> tuple[int, bool]:
    """A batch of new events and of incidents in turn: documents made, and whether there is no more now."""
    with connection.cursor() as cursor:
        cursor.execute(_NEWEST)
        (newest,) = cursor.fetchone()
        cursor.execute(_HOLD)
        mark = cursor.fetchone()
        if mark is None:
            # Whatever is stored by now is found in turn.
            cursor.execute(_BEGIN, [newest])
            cursor.execute(_HOLD)
            mark = cursor.fetchone()
        if mark is None:
            return 0, True  # another process is at it
        event, last = mark
        to = min(newest, event + EVENTS_AT_ONCE)
        cursor.execute(_TOUCHED, {"after": event - LOOK_AGAIN, "to": to})
        stale = [pk for (pk,) in cursor.fetchall()]
        cursor.execute(_IN_TURN, [last, IN_TURN])
        turn = cursor.fetchall()
        stale += [pk for pk, is_stale in turn if is_stale]
        made = make_documents(sorted(set(stale)), now=now)
        ended = not turn or len(turn) < IN_TURN
        cursor.execute(
            "UPDATE incidents_searchmark SET event = greatest(event, %s), incident = %s WHERE id = 1",
            [to, 0 if ended else turn[-1][0]],
        )
    return made, to == newest and (ended or not stale)


def make_documents(incidents: Sequence[int], *, now: dt.datetime) -> int:
    """Make the documents of these incidents of what is stored now; returns how many were made.

    One that cannot be made is logged and left as it was: it must not keep the others from being found.
    """
    return sum(_make(incidents[at : at + AT_ONCE], now) for at in range(0, len(incidents), AT_ONCE))


def _make(incidents: Sequence[int], now: dt.datetime) -> int:
    asked: dict[str, Any] = {
        "incidents": list(incidents), "first": FIRST_EVENTS, "last": LAST_EVENTS, "now": now,
    }  # fmt: skip
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(_MAKE, asked)
            return int(cursor.rowcount)
    except DatabaseError:
        if len(incidents) == 1:
            logger.exception("no search document of incident %s", incidents[0])
            return 0
    return sum(_make([pk], now) for pk in incidents)
