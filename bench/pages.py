"""`python -m bench.pages`: the server's time of the commander's pages with a long history stored.

Ten thousand incidents with a million events, as many open ones as on a bad day, each with people, alerts,
checklists and messages, and a rollback that runs; at last the search, among as many services, releases and
contacts. Every page is asked in this process by Django's own client, and through Granian as a browser does,
and the pages answer one at a time.
"""

from __future__ import annotations

import argparse
import cProfile
import http.client
import os
import pstats
import re
import shutil
import statistics
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, LiteralString

import django
import psycopg

from bench import seed
from bench.run import checked_settings
from bench.servers import free_ports, manage, web
from core.embedded.folders import socket_dir
from core.embedded.stack import open_stack

if TYPE_CHECKING:
    from django.test import Client  # at run time only once Django is set up

OWN_EVENTS = 500  # of the incident that is looked at
WARM_UP = 4


@dataclass(frozen=True)
class Scale:
    """How much is stored, and how often each page is asked."""

    incidents: int
    events: int
    repeats: int


WHOLE = Scale(10_000, 1_000_000, 60)
SHORT = Scale(1_000, 50_000, 25)
SMOKE = Scale(60, 1_000, 3)

PAGES = {
    "Now": "/",
    "Incident": "/incidents/{ref}/",
    "its timeline alone": "/incidents/{ref}/?panel=timeline",
    "Rollback": "/rollbacks/{rollback}/",
    "Incidents": "/incidents/",
    "Services": "/services/",
    "one service": "/services/service-1/",
    "Messages": "/messages/",
}

# Measured last, when there are as many services, releases and contacts as incidents.
SEARCHES = {
    "Search: a word": "/search/?q=checkout",
    "Search: two words": "/search/?q=payments+name",
    "Search: a number": "/search/?q=0003",
    "Search: a version": "/search/?q=1.4",
    "Search: nothing found": "/search/?q=zebra",
}

_EVENTS: LiteralString = """
INSERT INTO core_event (stream_id, seq, kind, occurred_at, recorded_at, actor_kind, actor, actor_user_id, source,
                        summary, data, canonical, hash)
SELECT s.id, n, 'note.added', now() - interval '1 day', now() - interval '1 day', 'user', 'person1', 101, 'firebreak',
       'Note number ' || n || ' of ' || s.name, jsonb_build_object('incident', s.name),
       convert_to(repeat(md5(n::text), 11), 'UTF8'), encode(sha256((s.name || n)::bytea), 'hex')
  FROM core_stream s, generate_series(s.head_seq + 1, %(each)s) n WHERE s.kind = 'incident' AND s.head_seq < %(each)s;
UPDATE core_stream SET head_seq = %(each)s WHERE kind = 'incident' AND head_seq < %(each)s
"""
_BUSY: LiteralString = """
CREATE TEMPORARY TABLE busy AS
SELECT id, ref, stream_id, severity, declared_at, i.ref = %(ref)s AS chosen FROM incidents_incident i
 WHERE status IN ('investigating', 'rollback_initiated', 'monitoring');
UPDATE incidents_incident SET declared_at = now() - interval '40 minutes' + id %% 30 * interval '1 minute',
       title = 'Checkout answers with errors in every zone ' || id
 WHERE id IN (SELECT id FROM busy);
UPDATE incidents_incident SET severity = 'P1', drill = false, kind = 'operational', security_level = NULL,
       status = 'investigating', description = repeat('The pool is exhausted. ', 20) WHERE ref = %(ref)s;
INSERT INTO incidents_incident_services (incident_id, service_id)
SELECT busy.id, s FROM busy, generate_series(1, 3) s WHERE chosen ON CONFLICT DO NOTHING;
INSERT INTO incidents_alert (source, sender_id, fingerprint, status, title, severity, security, labels, annotations, url,
       notes, ignored, service_id, group_key, starts_at, received_at, last_seen_at, repeats, incident_id)
SELECT 'alertmanager', 101, md5(id::text || n), 'firing', 'Requests of service-' || n || ' fail', 'P2', false,
       jsonb_build_object('alertname', 'RequestsFail'), '{}', 'http://prometheus:9090/graph?g0.expr=up', '[]', '', 1,
       'service-1', now() - n * interval '1 minute', now(), now(), 2, id
  FROM busy, generate_series(1, 12) n;
INSERT INTO incidents_responder (incident_id, user_id, role, since, until, added_by)
SELECT id, 110 + n, role, now(), NULL, 'person1'
  FROM busy, unnest(ARRAY['security_lead', 'communications_lead', 'development_lead']) WITH ORDINALITY r (role, n);
INSERT INTO comms_message (event_id, incident_id, rollback_ref, template, visibility, audiences, channels, subject, body,
       forms, state, version, created_at, drafted_by)
SELECT e.id, busy.id, '', 'incident_update', 'internal', '[]', '[]', 'Update ' || e.seq || ' of ' || busy.ref,
       repeat('We are looking into it. ', 10), '{}', 'sent', 1, now() - e.seq * interval '1 minute', ''
  FROM busy JOIN core_event e ON e.stream_id = busy.stream_id AND e.seq <= 12;
INSERT INTO comms_delivery (message_id, event_id, channel, lane, recipient, urgent, state, claims, attempts, crashes,
       created_at, due_at, sent_at, receipt, last_error)
SELECT m.id, m.event_id, (ARRAY['email', 'slack', 'sms'])[1 + n %% 3], 'email', 'person' || n || '@example.test', false,
       'sent', 1, 1, 0, now(), now(), now(), '', ''
  FROM comms_message m, generate_series(1, 10) n;
UPDATE incidents_service SET procedure = 'storefront_rollback', public_name = '';
UPDATE incidents_release SET state = 'good', good_at = now() - interval '1 day' WHERE version = '1.1';
UPDATE incidents_release SET deployed_at = now() - interval '1 hour', recorded_at = now() - interval '1 hour'
 WHERE state = 'live';
INSERT INTO incidents_monitor (service_id, metric, source, interval_seconds, policy, on_monitoring_failure,
       enabled, created_at, level, level_since, checked_at, last_value, last_error, next_check_due_at)
SELECT n, metric, '{"type": "http_json", "url": "http://127.0.0.1:9/m.json", "path": "x"}', 60, 'rollback_triggers',
       'page', true, now(), CASE WHEN n %% 6 = 0 THEN 'critical' ELSE 'ok' END, now(), now(), 0.004, '',
       now() + interval '10 years'
  FROM generate_series(1, %(services)s) n, unnest(ARRAY['memory_usage', 'cpu_usage']) metric;
INSERT INTO incidents_sample (monitor_id, at, outcome, value, level)
SELECT m.id, now() - n * interval '1 minute', 'ok', 0.3 + 0.01 * (n %% 7), 'ok'
  FROM incidents_monitor m, generate_series(1, 240) n WHERE metric IN ('memory_usage', 'cpu_usage')
"""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.pages", description=__doc__)
    parser.set_defaults(scale=WHOLE)
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument("--short", dest="scale", action="store_const", const=SHORT, help="a minute")
    chosen.add_argument("--smoke", dest="scale", action="store_const", const=SMOKE, help="does it work?")
    parser.add_argument("--profile", metavar="PAGE", help="print where the time of one page goes instead")
    options = parser.parse_args()
    for name in ("DATABASE_URL", "DATABASE_OWNER_URL", "REDIS_URL", "CELERY_BROKER_URL", "PUBLIC_URL"):
        os.environ.pop(name, None)
    var_dir = Path(tempfile.mkdtemp(prefix="firebreak-bench-"))
    try:
        os.environ |= {"VAR_DIR": str(var_dir), "DJANGO_SETTINGS_MODULE": "config.settings"}
        with open_stack(var_dir) as stack:
            environment = {**os.environ, **stack.env}
            os.environ |= {**stack.env, "LOG_LEVEL": "ERROR"}
            manage(environment, "migrate", "--verbosity", "0")
            django.setup()
            with psycopg.connect(
                host=str(socket_dir(var_dir)), user="postgres", dbname="firebreak", autocommit=True
            ) as link:
                checked_settings(link)
                pages = _store(link, options.scale)
                if options.profile:
                    _profile(pages[options.profile])
                    return 0
                for line in _measure(link, pages, options.scale, environment, var_dir):
                    sys.stdout.write(f"{line}\n")
                    sys.stdout.flush()
    finally:
        shutil.rmtree(var_dir, ignore_errors=True)
    return 0


def _store(link: psycopg.Connection, scale: Scale) -> dict[str, str]:
    """Fill the database; the pages by their names."""
    began = time.perf_counter()
    seed.begin(link)
    ref = seed.grow(link, 0, scale.incidents, long_events=OWN_EVENTS)
    with link.transaction():
        cursor = psycopg.ClientCursor(link)
        cursor.execute("SET LOCAL session_replication_role = replica; SET LOCAL synchronous_commit = off")
        cursor.execute(_EVENTS, {"each": scale.events // scale.incidents})
        cursor.execute(_BUSY, {"ref": ref, "services": seed.SERVICES})
    rollback = _act(ref)
    link.execute("VACUUM ANALYZE")
    link.execute("CHECKPOINT")
    sys.stderr.write(f"stored in {time.perf_counter() - began:.0f} s\n")
    return {name: address.format(ref=ref, rollback=rollback) for name, address in PAGES.items()}


def _act(ref: str) -> str:
    """What the application alone can make: the checklists, and a rollback in the middle of its steps."""
    from core.actors import SYSTEM
    from core.clock import utcnow
    from core.models import Event
    from incidents.models import Incident
    from incidents.services.checklists import answer_event
    from rollbacks.models import Rollback
    from rollbacks.services.requests import request_rollback

    now = utcnow()
    for incident in Incident.objects.open():
        answer_event(event=Event.objects.get(stream=incident.stream_id, seq=1), now=now)
    found = Incident.objects.get(ref=ref)
    rollback = request_rollback(
        incident_id=found.pk, service="service-1", reason="errors", actor=SYSTEM, now=now
    )
    steps = list(rollback.steps.all())
    for number, step in enumerate(steps):
        half = len(steps) // 2
        step.state = "succeeded" if number < half else "running" if number == half else "pending"
        step.started_at = now if number <= half else None
        step.finished_at = now if number < half else None
        step.output_tail = "deploying…\n" * 40 if number <= half else ""
        step.save()
    Rollback.objects.filter(pk=rollback.pk).update(state="executing", started_at=now, approved_at=now)
    return rollback.ref


def _measure(
    link: psycopg.Connection, pages: dict[str, str], scale: Scale, environment: dict[str, str], var_dir: Path
) -> Iterator[str]:
    browser = _sign_in()
    stored = link.execute(
        "SELECT (SELECT count(*) FROM incidents_incident), (SELECT count(*) FROM core_event)"
    ).fetchone()
    assert stored is not None
    yield f"{stored[0]:,} incidents and {stored[1]:,} events stored, {seed.OPEN} incidents open.\n"
    yield "| page | queries | computing | p50 | p95 | by Granian p50 | p95 | KB | compressed |"
    yield "|---|---|---|---|---|---|---|---|---|"
    with web(environment, free_ports(1)[0], var_dir / "web.log") as server:
        asked = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        cookie = f"sessionid={browser.cookies['sessionid'].value}"

        def fetch(address: str) -> bytes:
            asked.request("GET", address, headers={"Cookie": cookie})
            answer = asked.getresponse()
            body = answer.read()
            assert answer.status == 200, (address, answer.status)
            return body

        for name, address in (pages | SEARCHES).items():
            if name == next(iter(SEARCHES)):
                _more_to_find(scale.incidents)
                link.execute("VACUUM ANALYZE")
            queries = _queries(browser, address)
            here = _times(lambda where=address: _get(browser, where), scale.repeats, processor=True)  # type: ignore[misc]
            there = _times(lambda where=address: fetch(where), scale.repeats)  # type: ignore[misc]
            body = _get(browser, address)
            small = len(zlib.compress(body, 6)) / 1024
            yield f"| {name} | {queries} | {here} | {there} | {len(body) / 1024:.0f} | {small:.0f} |"


def _more_to_find(number: int) -> None:
    """So many services, each with a release, and contacts more."""
    from comms.models import Contact
    from core.clock import utcnow
    from core.models import Stream
    from incidents.models import Release, Service

    now = utcnow()
    streams = Stream.objects.bulk_create(Stream(kind="service", name=f"found-{n}") for n in range(number))
    services = Service.objects.bulk_create(
        Service(slug=stream.name, name=f"Name of {stream.name}", stream=stream, created_at=now)
        for stream in streams
    )
    Release.objects.bulk_create(
        Release(service=service, version=f"1.{n % 40}.{n}", deployed_at=now, recorded_at=now)
        for n, service in enumerate(services)
    )
    Contact.objects.bulk_create(
        Contact(name=f"Name {n}", email=f"person{n}@example.test") for n in range(number)
    )


def _get(browser: Client, address: str) -> bytes:
    answer = browser.get(address, headers={"host": "127.0.0.1"})
    assert answer.status_code == 200, (address, answer.status_code)
    body: bytes = answer.content
    return body


def _times(ask: Callable[[], bytes], repeats: int, *, processor: bool = False) -> str:
    """`p50 | p95` in milliseconds, before them what this process computed (without the database)."""
    for _again in range(WARM_UP):
        ask()
    times, busy = [], []
    for _again in range(repeats):
        began, began_busy = time.perf_counter(), time.process_time()
        ask()
        times.append((time.perf_counter() - began) * 1000)
        busy.append((time.process_time() - began_busy) * 1000)
    own = f"{statistics.median(busy):.0f} ms | " if processor else ""
    return f"{own}{statistics.median(times):.0f} ms | {statistics.quantiles(times, n=20)[-1]:.0f} ms"


def _queries(browser: Client, address: str) -> int:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    _get(browser, address)
    with CaptureQueriesContext(connection) as captured:
        _get(browser, address)
    return len(captured)


def _profile(address: str) -> None:
    browser = _sign_in()
    for _again in range(WARM_UP):
        _get(browser, address)
    page = _get(browser, address).decode()
    for part in sorted(re.split(r'(?=id="panel-)', page), key=len):
        sys.stdout.write(f"{len(part):>8} {part[:60]!r}\n")
    profile = cProfile.Profile(time.process_time)
    profile.enable()
    for _again in range(10):
        _get(browser, address)
    profile.disable()
    for key in ("cumulative", "tottime"):
        pstats.Stats(profile, stream=sys.stdout).sort_stats(key).print_stats(60)


def _sign_in() -> Client:
    from django.conf import settings
    from django.contrib.auth.models import Group
    from django.test import Client

    from core.models import User
    from incidents.models import RoleGrant
    from incidents.states import INCIDENT_ROLES

    settings.ALLOWED_HOSTS = ["*"]
    user = User.objects.create_user("bench", password=None)
    user.groups.add(Group.objects.get(name="commander"))
    RoleGrant.objects.bulk_create(RoleGrant(user=user, role=role) for role in INCIDENT_ROLES)
    browser = Client()
    browser.force_login(user)
    return browser


if __name__ == "__main__":
    sys.exit(main())
