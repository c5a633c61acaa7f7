"""How long after an incident was committed its messages are with whoever delivers them, and how long many take.

The moment is the taker's, when it had the message whole; both processes read the same clock.
"""

from __future__ import annotations

import contextlib
import json
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import LiteralString

import psycopg

from bench.alerts import ACCEPTED, PATH, waiting, webhook
from bench.checks import await_that
from bench.servers import ROOT

CHANNELS = ("room", "chat", "email", "webhook")
PERSONAL = ("email", "chat", "sms")
PATIENCE_SECONDS = 180.0
SENDERS = 4  # threads of a channel's lane in each process: comms.deliveries.lanes.THREADS
GROUP = 5  # alerts in one request of the storm

# Whom everybody is told with (P0), or the technical team (P1); of those without a number only mail and chat.
_CONTACTS: LiteralString = """
UPDATE comms_delivery SET contact_id = NULL WHERE contact_id IS NOT NULL;
DELETE FROM comms_contact;
INSERT INTO comms_contact (name, kind, title, role, audiences, email, phone, chat, time_zone, reach, support_url, active)
SELECT 'Person ' || n, 'team', '', '', '{technical_team}', %(batch)s || '-' || n || '@example.test',
       CASE WHEN %(numbers)s THEN '+1555' || lpad((%(batch)s * 1000 + n)::text, 7, '0') ELSE '' END,
       'U' || lpad((%(batch)s * 1000 + n)::text, 9, '0'), 'UTC', '{}', '', true
  FROM generate_series(1, %(people)s) n
"""
# What a measurement set in motion must not keep the next one's workers busy.
_SETTLE: LiteralString = """
DELETE FROM core_pendingevent;
DELETE FROM comms_escalationclock;
UPDATE comms_delivery SET state = 'superseded' WHERE state IN ('pending', 'sending', 'retrying');
UPDATE incidents_incident SET status = 'closed', resolved_at = now(), closed_at = now(),
       acknowledged_at = coalesce(acknowledged_at, now())
 WHERE closed_at IS NULL
"""


@dataclass(frozen=True)
class Taken:
    """One message as the taker had it."""

    at: float
    channel: str
    recipient: str
    ref: str


@dataclass
class Departed:
    """Of each channel the seconds from commit to departure; `expected` messages, all of them together."""

    when: str
    aims: tuple[float, float]  # p50, p99
    expected: int = 0
    incidents: int = 0
    seconds: dict[str, list[float]] = field(default_factory=dict)
    bare: list[float] = field(default_factory=list)
    twice: int = 0
    storm: Storm | None = None

    @property
    def every(self) -> list[float]:
        return [second for each in self.seconds.values() for second in each]

    @property
    def missing(self) -> int:
        return self.expected - len(self.every)

    def percentile(self, percent: int, channel: str = "") -> float:
        return _percentile(self.seconds.get(channel, []) if channel else self.every, percent)

    def bare_percentile(self, percent: int) -> float:
        return _percentile(self.bare, percent)

    @property
    def is_met(self) -> bool:
        return (
            not self.missing and self.percentile(50) <= self.aims[0] and self.percentile(99) <= self.aims[1]
        )


@dataclass
class Storm:
    """Alerts sent at an even rate, and how long after the last the last one was looked into."""

    alerts: int
    seconds: float
    refused: int = 0
    sent_in: float = 0.0
    drained_after: float = 0.0


@dataclass
class FannedOut:
    """One message to so many people by each personal channel: the seconds until each was out."""

    people: int
    delay: float
    senders: int
    seconds: float = 0.0
    channels: dict[str, float] = field(default_factory=dict)
    missing: int = 0
    twice: int = 0

    @property
    def floor(self) -> float:
        """What the threads take when they do nothing but wait for answers."""
        return -(-self.people // (SENDERS * self.senders)) * self.delay


class Bare:
    """The machine's own: a row committed and a request sent, with nothing around them."""

    def __init__(self, link: psycopg.Connection, port: int) -> None:
        self._link, self._port, self._number = link, port, 0
        link.execute("CREATE TABLE bench_departed (ref text NOT NULL)")

    def send(self) -> tuple[str, float]:
        """Its reference, and when it was committed."""
        self._number += 1
        ref = f"INC-0000-00-00-{self._number:04}"
        self._link.execute("INSERT INTO bench_departed VALUES (%s)", [ref])
        at = time.time()
        with contextlib.closing(HTTPConnection("127.0.0.1", self._port, timeout=30)) as connection:
            connection.request("POST", "/bare", json.dumps({"ref": ref}))
            connection.getresponse().read()
        return ref, at


class Declarer:
    """The process that declares incidents by the service, one at a time."""

    def __init__(self, environment: Mapping[str, str], log: Path, *webhooks: str) -> None:
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "bench.declaring", *webhooks],
                cwd=ROOT, env=dict(environment), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True,
            )  # fmt: skip

    def declare(self, severity: str, title: str) -> tuple[str, float]:
        """Its reference, and when it was committed."""
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(f"{severity} {title}\n")
        self._process.stdin.flush()
        ref, at = self._process.stdout.readline().split()
        return ref, float(at)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._process.communicate(timeout=15)


def _percentile(found: Sequence[float], percent: int) -> float:
    ordered = sorted(found)
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)] if ordered else float("nan")


def read(taken: Path) -> list[Taken]:
    """Every message that was taken so far."""
    rows = (line.split("\t") for line in taken.read_text().splitlines())
    return [Taken(float(at), channel, recipient, ref) for at, channel, recipient, ref in rows]


def contacts(link: psycopg.Connection, *, batch: int, people: int, numbers: bool) -> None:
    """So many people and no others; each batch has addresses that nothing was ever sent to."""
    with link.transaction():
        psycopg.ClientCursor(link).execute(_CONTACTS, {"batch": batch, "people": people, "numbers": numbers})


def settle(link: psycopg.Connection) -> None:
    with link.transaction():
        cursor = psycopg.ClientCursor(link)
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(_SETTLE)


def measure(
    declarer: Declarer,
    bare: Bare,
    taken: Path,
    found: Departed,
    *,
    people: int,
    incidents: int,
    spread: float,
) -> Departed:
    """Declare so many within `spread` seconds, at moments that no sweep keeps time with; after each a bare one."""
    choose = random.Random(incidents)
    begins = time.time() + 0.5
    moments = sorted(begins + choose.uniform(0, spread) for _ in range(incidents))
    committed: dict[str, float] = {}
    beside: dict[str, float] = {}
    for number, moment in enumerate(moments, start=1):
        time.sleep(max(0.0, moment - time.time()))
        ref, at = declarer.declare("P1", f"Checkout answers with errors, seen by probe {number}")
        committed[ref] = at
        beside.update((bare.send(),))
    found.incidents = incidents
    found.expected = incidents * (2 * people + 2)  # mail and chat to each; the room and the webhook once
    first = _await_messages(taken, lambda one: one.ref in committed, found.expected)
    for one in first.values():
        found.seconds.setdefault(one.channel, []).append(one.at - committed[one.ref])
    every = read(taken)
    found.twice = sum(one.ref in committed for one in every) - len(first)
    found.bare = [one.at - beside[one.ref] for one in every if one.ref in beside]
    return found


def _await_messages(
    taken: Path, wanted: Callable[[Taken], bool], expected: int
) -> dict[tuple[str, str, str], Taken]:
    """Each message when it was taken first, once all are there or patience is over."""
    ends = time.monotonic() + PATIENCE_SECONDS
    while True:
        first: dict[tuple[str, str, str], Taken] = {}
        for one in read(taken):
            if wanted(one):
                first.setdefault((one.ref, one.channel, one.recipient), one)
        if len(first) >= expected or time.monotonic() > ends:
            return first
        time.sleep(0.2)


def fan_out(
    declarer: Declarer, link: psycopg.Connection, taken: Path, found: FannedOut, *, batch: int
) -> FannedOut:
    """Tell everybody of a P0 by mail, chat and SMS."""
    contacts(link, batch=batch, people=found.people, numbers=True)
    ref, at = declarer.declare("P0", f"Everything is down, number {batch}")
    expected = found.people * len(PERSONAL)
    first = _await_messages(taken, lambda one: one.ref == ref and one.channel in PERSONAL, expected)
    found.missing = expected - len(first)
    for channel in PERSONAL:
        found.channels[channel] = max(
            (one.at - at for one in first.values() if one.channel == channel), default=float("nan")
        )
    found.seconds = max((one.at - at for one in first.values()), default=float("nan"))
    found.twice = sum(one.ref == ref and one.channel in PERSONAL for one in read(taken)) - len(first)
    return found


@contextlib.contextmanager
def storming(link: psycopg.Connection, port: int, token: str, storm: Storm) -> Iterator[None]:
    """Beside what runs inside, that many alerts in groups of five come at an even rate through the API."""
    thread = threading.Thread(target=_send, args=(port, token, storm), daemon=True)
    thread.start()
    yield
    thread.join()
    at = time.monotonic()
    await_that(lambda: waiting(link) == 0, "the end of the storm", 600)
    storm.drained_after = time.monotonic() - at


def _send(port: int, token: str, storm: Storm) -> None:
    begun, starts_at = time.time_ns(), time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    began, connection = time.monotonic(), HTTPConnection("127.0.0.1", port, timeout=30)
    for sent in range(0, storm.alerts, GROUP):
        time.sleep(max(0.0, began + storm.seconds * sent / storm.alerts - time.monotonic()))
        try:
            connection.request("POST", PATH, webhook(begun + sent, starts_at, GROUP), headers)
            answer = connection.getresponse()
            answer.read()
            storm.refused += GROUP * (answer.status != ACCEPTED)
        except (OSError, HTTPException):
            storm.refused += GROUP
            connection.close()
    storm.sent_in = time.monotonic() - began
