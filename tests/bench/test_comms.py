"""The bench of messages: its receivers are what the channels take them for, and at its smallest nothing fails."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import psutil
import pytest

from bench import departure
from bench.alerts import webhook
from bench.checks import await_that
from bench.comms import CONNECTIONS_SET_UP, IDLE, Findings, write
from bench.departure import Departed, FannedOut, Storm, read
from bench.load import Window, run_window
from bench.servers import free_ports, running
from bench.statuspage import Served
from comms.channels import email, slack, twilio
from comms.deliveries.lanes import THREADS
from comms.facts import NotSent, Outgoing
from core.http import fetch
from core.strict_json import parse
from incidents.ingest import alertmanager

ROOT = Path(__file__).resolve().parents[2]
REF = "INC-2026-11-29-0001"


@pytest.fixture
def taken(settings: Any, tmp_path: Path) -> Iterator[Path]:
    """The file of a receiver that runs, and that the channels are pointed to."""
    http, smtp = free_ports(2)
    settings.OUTBOUND_ALLOWED_NETWORKS = ["127.0.0.0/8"]
    settings.SLACK_API_URL, settings.TWILIO_API_URL = (
        f"http://127.0.0.1:{http}/api/",
        f"http://127.0.0.1:{http}",
    )
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", smtp
    file = tmp_path / "taken"
    words = [sys.executable, "-m", "bench.taker", str(http), str(smtp), "0.01", str(file)]
    with running(words, os.environ, tmp_path / "log"):
        await_that(file.exists, "the receiver")
        yield file


def outgoing(recipient: str) -> Outgoing:
    return Outgoing(
        key="msg_1_abc", recipient=recipient, subject="INCIDENT ALERT", body=f"Incident ID: {REF} – Größe\n",
        event_kind="incident.declared", occurred_at="2026-11-29T00:00:00Z", incident=REF, rollback="",
        short=f"P1 {REF} x",
    )  # fmt: skip


def test_every_channel_sends_to_it_and_it_tells_them_apart(taken: Path, settings: Any) -> None:
    token = slack.SlackConnection.model_validate(CONNECTIONS_SET_UP["slack"])
    account = twilio.TwilioConnection.model_validate(CONNECTIONS_SET_UP["twilio"])

    def send_all() -> None:
        room = slack.SlackChannel(kind="slack", room="#incident-response")
        slack.send_to_room(outgoing(""), room, token)
        slack.send_to_person(outgoing("U000001001"), slack.SlackDirectChannel(kind="slack_direct"), token)
        twilio.send_sms(outgoing("+15550001001"), twilio.SmsChannel(kind="sms"), account)
        email.send(outgoing("1-1@example.test"), email.EmailChannel(kind="email"), None)
        fetch(
            "POST", settings.TWILIO_API_URL + "/hook",
            deadline_seconds=5, max_bytes=100, content=json.dumps({"data": {"incident": REF}}).encode(),
        )  # fmt: skip

    await_that(lambda: _listens(send_all), "its doors")
    found = [(one.channel, one.recipient, one.ref) for one in read(taken)][-5:]
    assert found == [
        ("room", "#incident-response", REF),
        ("chat", "U000001001", REF),
        ("sms", "+15550001001", REF),
        ("email", "1-1@example.test", REF),
        ("webhook", "-", REF),
    ]


def _listens(send: Any) -> bool:
    try:
        send()
    except NotSent:
        return False
    return True


def test_the_floor_counts_the_threads_that_there_are() -> None:
    assert departure.SENDERS == THREADS
    assert FannedOut(200, 0.3, 1).floor == pytest.approx(15.0)
    assert FannedOut(200, 0.3, 2).floor == pytest.approx(7.5)


def test_a_group_of_the_storm_is_as_many_alerts(now: Any) -> None:
    body = webhook(2**64 - 2, "2026-11-29T00:00:00Z", 5).decode()
    seen = alertmanager.read(parse(body), received_at=now, important=())
    assert len({one.fingerprint for one in seen}) == 5


def test_an_answer_in_chunks_is_read_to_its_end() -> None:
    """As servers of files send them."""

    class Chunking(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for chunk in (b"5\r\nfirst\r\n", b"6\r\nsecond\r\n", b"0\r\n\r\n"):
                self.wfile.write(chunk)
                self.wfile.flush()

        def log_message(self, *_: object) -> None:
            pass

    (port,) = free_ports(1)
    server = HTTPServer(("127.0.0.1", port), Chunking)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        window = run_window(
            port, lambda: b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", connections=1, seconds=0.1, expected=200
        )
    finally:
        server.shutdown()
        server.server_close()
    assert len(window.latencies) > 1
    assert window.failures == []


def test_the_page_says_what_was_met_and_what_was_missed() -> None:
    window = Window(seconds=2.0, latencies=[0.01, 0.02], failures=["503"])
    fast = Window(seconds=0.01, latencies=[0.001] * 100)
    storm = Storm(10_000, 60, refused=5, sent_in=61.0, drained_after=2.5)
    everyone = {"email": 16.0, "chat": 15.5, "sms": 16.2}
    page = write(
        Findings(
            departed=[
                Departed("idle", IDLE, 2, 1, {"room": [0.5], "email": [0.7]}),
                Departed("in a storm", (60, 60), 3, 1, {"room": [0.5], "email": [70.0]}, storm=storm),
            ],
            fanned_out=[
                FannedOut(200, 0.3, 1, 16.2, everyone),
                FannedOut(200, 0.3, 2, 61.0, everyone, missing=1),
            ],
            served=[
                Served("snapshot", "page", 80_000, 8, [fast], [fast]),
                Served("snapshot", "summary.json", 80_000, 8, [fast], [fast]),
                Served("Django", "page", 80_000, 8, [window], [fast]),
                Served("Django", "summary.json", 80_000, 8, [fast], [fast]),
            ],
            loads=[0.5, 2.0],
        )
    )
    assert "idle: p50 0.7 s, p99 0.7 s, aims 3 s and 15 s: **met**" in page
    assert "in a storm: p50 70.0 s, p99 70.0 s, aims 60 s and 60 s: **missed**" in page
    assert "1 sender process(es) as `make run` starts them: 16.2 s at most, aim 60 s: **met**" in page
    assert "2 sender process(es): 61.0 s at most, aim 60 s: **missed**" in page
    assert "status page, snapshot: 10,000 requests a second, aim 1,000: **met**" in page
    assert "status page, Django: 1 requests a second, aim 150: **missed**" in page
    assert "missing messages, refused alerts and failed requests: **8**" in page
    assert "load average (1 min) during the run: 0.5 to 2.0" in page
    assert "| 200 | 1 | 4 for each channel | 16.2 | 16.0 | 15.5 | 16.2 | 0 | 15.0 | 93% |" in page


@pytest.mark.faults
def test_the_smallest_bench_of_messages_finds_everything() -> None:
    var_dir = Path(tempfile.mkdtemp(prefix="fb-bench-test-"))
    done = subprocess.run(
        [sys.executable, "-m", "bench.comms", "--smoke", "--var-dir", str(var_dir)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:] + done.stdout
    assert "refused alerts and failed requests: **0**" in done.stdout
    assert "messages that left twice: **0**" in done.stdout
    assert "nan" not in done.stdout
    assert not var_dir.exists()
    assert not [p.pid for p in psutil.process_iter() if str(var_dir) in " ".join(_words(p))]


def _words(process: psutil.Process) -> list[str]:
    try:
        return [str(word) for word in process.cmdline()]
    except psutil.Error:
        return []
