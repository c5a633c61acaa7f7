"""Firebreak watched from outside: all well is told, and anything that stops is noticed within three minutes."""

from __future__ import annotations

import http.server
import json
import signal
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psutil
import pytest

from tests.flows.stack import Firebreak, wait_for

NAMES = ("web", "checks", "comms", "runner", "beat", "watchdog")
WORDS = {name: f"{name}@" for name in NAMES} | {
    "web": "config.asgi", "beat": " beat ", "watchdog": "manage.py watchdog",
}  # fmt: skip
SILENT_WITHIN_SECONDS = 180  # research P22; measured about 35 s with a beat every 2 s


class Listener:
    """Stands for the dead man's switch: notes when it was asked."""

    def __init__(self) -> None:
        self.heard: list[float] = []
        heard = self.heard

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                heard.append(time.monotonic())
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: Any) -> None: ...

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}/ping/uuid"

    @property
    def silence_seconds(self) -> float:
        return time.monotonic() - self.heard[-1] if self.heard else 0.0

    def wait_for_next(self, seconds: float) -> None:
        before = len(self.heard)
        wait_for(lambda: len(self.heard) > before, "the next heartbeat", seconds)


@pytest.fixture
def listener() -> Iterator[Listener]:
    made = Listener()
    yield made
    made.server.shutdown()


def ask(firebreak: Firebreak, path: str) -> tuple[int, str, float]:
    """Status, body and seconds of an unsigned request."""
    started = time.monotonic()
    try:
        with urllib.request.urlopen(f"{firebreak.url}{path}", timeout=20) as answer:
            status, body = answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        status, body = error.code, error.read().decode()
    return status, body, time.monotonic() - started


def processes_of(firebreak: Firebreak, name: str) -> list[psutil.Process]:
    found = firebreak.children(WORDS[name])
    assert found, name
    return [*found, *(child for process in found for child in process.children(recursive=True))]


@contextmanager
def stopped(processes: list[psutil.Process]) -> Iterator[None]:
    """SIGSTOP: they exist and do nothing, as a process that is stuck."""
    for process in processes:
        process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for process in processes:
            process.send_signal(signal.SIGCONT)


@pytest.mark.story
@pytest.mark.faults
def test_a_whole_firebreak_is_watched(launch: Callable[..., Firebreak], listener: Listener) -> None:
    firebreak = launch(HEARTBEAT_URL=listener.url, HEARTBEAT_SECONDS="1", LOG_FORMAT="json")
    wait_for(lambda: listener.heard, "the heartbeat", 90)

    status, body, _ = ask(firebreak, "/readyz")
    assert (status, json.loads(body)["status"]) == (200, "ok")
    assert ask(firebreak, "/healthz")[:2] == (200, "ok\n")
    _, metrics, _ = ask(firebreak, "/metrics")
    for name in NAMES:
        assert f'firebreak_process_running{{process="{name}"}} 1.0' in metrics
    assert "firebreak_outside_heartbeat_age_seconds" in metrics

    # One JSON object per line, whichever process wrote it.
    request_id = json.loads(_refused(firebreak))["request_id"]
    rows = [line.split(" | ", 1) for line in firebreak.log.read_text().splitlines() if " | " in line]
    ours = [text for source, text in rows if source.split()[-1] in NAMES]
    entries = [json.loads(text) for text in ours if text.startswith("{")]
    assert request_id in {entry.get("request_id") for entry in entries}
    assert [text for text in ours if text and not text.startswith("{")] == []


def _refused(firebreak: Firebreak) -> str:
    request = urllib.request.Request(f"{firebreak.url}/api/v1/incidents/")
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=20)
    return refused.value.read().decode()


def _pids(firebreak: Firebreak) -> bool:
    try:
        _, metrics, _ = ask(firebreak, "/metrics")
    except OSError:
        return False  # it is just starting again
    rows = [row for row in metrics.splitlines() if row.startswith("firebreak_sign_of_life_age_seconds{")]
    return len(rows) == len(NAMES)


@pytest.mark.faults
@pytest.mark.parametrize("name", NAMES)
def test_whatever_is_stuck_silences_the_heartbeat(
    launch: Callable[..., Firebreak], listener: Listener, name: str
) -> None:
    firebreak = launch(HEARTBEAT_URL=listener.url, HEARTBEAT_SECONDS="2")
    wait_for(lambda: len(listener.heard) >= 2, "two heartbeats", 120)
    with stopped(processes_of(firebreak, name)):
        began = time.monotonic()
        wait_for(lambda: listener.silence_seconds > 15, "silence", SILENT_WITHIN_SECONDS)
        print(f"{name}: silent {listener.heard[-1] - began:.0f} s after it was stopped")
        assert listener.heard[-1] - began < SILENT_WITHIN_SECONDS
        if name != "watchdog":  # who tells is then also who knows why
            assert f"{name} " in firebreak.log.read_text().split("the outside heartbeat is silent:")[-1][:60]
    listener.wait_for_next(90)


@pytest.mark.faults
def test_who_ends_in_order_or_is_killed_has_one_successor(launch: Callable[..., Firebreak]) -> None:
    firebreak = launch()
    wait_for(lambda: _pids(firebreak), "every sign of life", 90)
    for name, end in (
        ("comms", psutil.Process.terminate),
        ("web", psutil.Process.terminate),
        ("runner", psutil.Process.kill),
    ):
        end(processes_of(firebreak, name)[0])
        time.sleep(3)
        wait_for(lambda: _pids(firebreak), f"the successor of {name} alone", 90)
    assert firebreak.stop() == 0


@pytest.mark.faults
def test_probes_answer_in_time_while_database_or_broker_hang(launch: Callable[..., Firebreak]) -> None:
    firebreak = launch()
    wait_for(lambda: _pids(firebreak), "every sign of life", 90)
    with stopped(firebreak.children("valkey-server")):
        status, body, seconds = ask(firebreak, "/readyz")
        assert (status, json.loads(body)["status"]) == (200, "degraded")
        assert seconds < 2.5
    with stopped(firebreak.children("postgres")):
        busy = [threading.Thread(target=_ignore, args=(firebreak,), daemon=True) for _ in range(20)]
        for thread in busy:  # more than there are threads: the probes have a lane of their own
            thread.start()
        time.sleep(1)
        for _ in range(3):
            status, body, seconds = ask(firebreak, "/readyz")
            assert (status, json.loads(body)["status"]) == (503, "unavailable")
            assert seconds < 2.5
        assert ask(firebreak, "/metrics")[0] == 503
    wait_for(lambda: ask(firebreak, "/readyz")[0] == 200, "readiness to come back", 60)
    wait_for(lambda: ask(firebreak, "/healthz")[0] == 200, "pages to come back", 60)


def _ignore(firebreak: Firebreak) -> None:
    try:
        urllib.request.urlopen(f"{firebreak.url}/accounts/login/", timeout=60)
    except OSError:
        return
