"""How many alerts the web process accepts in a second, and how many the `checks` worker then looks into."""

from __future__ import annotations

import itertools
import json
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import psycopg

from bench.checks import await_that
from bench.load import Window, run_window
from bench.seed import SERVICES

PATH = "/api/v1/ingest/alertmanager/"
WARM_UP_SECONDS = 0.3
ACCEPTED = 202
# So many more wait: copies of the last one, each of an alert that was never seen.
_MORE = """
INSERT INTO incidents_inbounddelivery (kind, sender_id, token, label, key, action, body, size, received_at, due_at,
       attempts, last_error, outcome)
SELECT kind, sender_id, token, label, key, action,
       regexp_replace(replace(body, substring(body from 'service-[0-9]+'), 'service-' || 1 + n %% 24),
                      '"fingerprint": *"[0-9a-f]+"', '"fingerprint":"' || substr(md5(n || '-' || id), 1, 16) || '"'),
       size, now(), now(), 0, '', ''
  FROM (SELECT * FROM incidents_inbounddelivery ORDER BY id DESC LIMIT 1) last, generate_series(1, %s) n
"""


@dataclass
class Accepted:
    """Deliveries of one alert each with so many alerts stored and so many connections."""

    alerts: int
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
    def failed(self) -> int:
        return sum(len(window.failures) for window in (*self.own, *self.ceiling))

    def percentile(self, percent: int) -> float:
        """Milliseconds."""
        found = sorted(second for window in self.own for second in window.latencies)
        return found[min(len(found) - 1, len(found) * percent // 100)] * 1000 if found else float("nan")


@dataclass(frozen=True)
class Drained:
    """What had been accepted, looked into at `rate` a second."""

    alerts: int
    count: int
    rate: float


def accept(
    own_port: int, ceiling_port: int, token: str, alerts: int, *,
    connections: Iterable[int], rounds: int, seconds: float,
) -> list[Accepted]:  # fmt: skip
    """Firebreak and the ceiling in turn."""
    make, found = deliveries(token), []
    for count in connections:
        one = Accepted(alerts, count)
        for port in (own_port, ceiling_port):
            run_window(port, make, connections=count, seconds=WARM_UP_SECONDS, expected=ACCEPTED)
        for number in range(rounds):
            turns = [(own_port, one.own), (ceiling_port, one.ceiling)]
            for port, windows in turns if number % 2 == 0 else reversed(turns):
                windows.append(run_window(port, make, connections=count, seconds=seconds, expected=ACCEPTED))
        found.append(one)
    return found


def drain(link: psycopg.Connection, alerts: int, *, more: int) -> Drained:
    """Watch the worker look into what was accepted; what it has done when first looked at does not count."""
    link.execute(_MORE, [more])
    first = waiting(link)
    await_that(lambda: waiting(link) < first, "the first delivery")
    left, began = waiting(link), time.perf_counter()
    await_that(lambda: waiting(link) == 0, "the last delivery", 180)
    return Drained(alerts, first, left / (time.perf_counter() - began))


def waiting(link: psycopg.Connection) -> int:
    row = link.execute(
        "SELECT count(*) FROM incidents_inbounddelivery WHERE processed_at IS NULL AND parked_at IS NULL"
    ).fetchone()
    assert row
    return int(row[0])


def deliveries(token: str) -> Callable[[], bytes]:
    """The bytes of each next delivery: one alert that was never seen, of one of the services."""
    numbers, begun = itertools.count(), time.time_ns()
    starts_at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())

    def make() -> bytes:
        body = webhook(begun + next(numbers), starts_at)
        return (
            f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        ).encode() + body

    return make


def webhook(number: int, starts_at: str, count: int = 1) -> bytes:
    """As Alertmanager sends it, with the alert of this number, or with so many from it on."""
    alerts = [_alert(one, starts_at) for one in range(number, number + count)]
    return json.dumps(
        {
            "version": "4",
            "groupKey": '{}:{alertname="RequestsFail"}',
            "status": "firing",
            "receiver": "firebreak",
            "groupLabels": {"alertname": "RequestsFail"},
            "commonLabels": alerts[0]["labels"] if count == 1 else {"alertname": "RequestsFail"},
            "commonAnnotations": {},
            "externalURL": "http://alertmanager:9093",
            "alerts": alerts,
        }
    ).encode()


def _alert(number: int, starts_at: str) -> dict[str, Any]:
    labels = {
        "alertname": "RequestsFail",
        "service": f"service-{1 + number % SERVICES}",
        "severity": "error",
        "instance": f"10.1.{number // 200 % 200}.{number % 200}:9100",
    }
    return {
        "status": "firing",
        "labels": labels,
        "annotations": {"summary": "Requests fail", "description": "The error rate rose. " * 10},
        "startsAt": starts_at,
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus:9090/graph?g0.expr=up",
        "fingerprint": f"{number % 2**64:016x}",
    }
