"""The embedded Valkey carries Celery's messages and keeps them when it is killed."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from celery import Celery
from django.conf import settings
from kombu import Connection
from kombu.exceptions import OperationalError

from core.embedded import valkey
from core.embedded.server import ServerFailed
from core.embedded.valkey import EmbeddedValkey, broker_url, broker_url_from, url


@pytest.fixture
def server(var_dir: Path) -> Iterator[EmbeddedValkey]:
    server = EmbeddedValkey(var_dir)
    server.start()
    yield server
    server.stop()


def test_a_message_survives_a_killed_server(server: EmbeddedValkey) -> None:
    with Connection(broker_url(server.var_dir)) as broker:
        broker.SimpleQueue("hints").put({"id": 7})
    # On a busy disk Valkey answers before it writes, for two seconds at most (appendfsync everysec).
    written = redis.Redis.from_url(url(server.var_dir)).execute_command("WAITAOF", 1, 0, 10_000)  # type: ignore[no-untyped-call]
    assert written[0] == 1
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    while server.alive():
        time.sleep(0.01)
    server.start()
    with Connection(broker_url(server.var_dir)) as broker:
        assert broker.SimpleQueue("hints").get(timeout=10).payload == {"id": 7}


def test_a_server_of_somebody_else_in_the_folder_is_left_alone(
    server: EmbeddedValkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(valkey, "DYING_SECONDS", 0.2)
    with pytest.raises(ServerFailed, match=rf"Another Valkey \(pid {server.pid}\)"):
        EmbeddedValkey(server.var_dir).start()
    assert server.is_ready()


def test_both_spellings_mean_the_same_database(server: EmbeddedValkey) -> None:
    with Connection(broker_url(server.var_dir)) as broker:
        broker.SimpleQueue("hints").put("hello")
    assert redis.Redis.from_url(url(server.var_dir)).llen("hints") == 1


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("unix:///run/v.sock?db=3", "redis+socket:///run/v.sock?virtual_host=3"),
        ("unix:///run/v.sock", "redis+socket:///run/v.sock?virtual_host=0"),
        ("unix://:secret@/run/v.sock", "redis+socket://:secret@/run/v.sock?virtual_host=0"),
        ("rediss://cache.example/1?ssl_cert_reqs=required",) * 2,
    ],
)
def test_celery_spells_only_sockets_differently(given: str, expected: str) -> None:
    assert broker_url_from(given) == expected


@pytest.mark.parametrize("connected_before", [True, False])
def test_a_frozen_broker_costs_a_hint_a_short_timeout(
    server: EmbeddedValkey, connected_before: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Frozen is not dead: it takes connections and never answers, so nothing but a timeout ends it."""
    monkeypatch.delenv("CELERY_BROKER_URL")  # it would win over `broker`
    app = Celery(broker=broker_url(server.var_dir), set_as_current=False)
    app.conf.broker_transport_options = settings.CELERY_BROKER_TRANSPORT_OPTIONS
    if connected_before:
        app.send_task("nothing", retry=False, ignore_result=True)
    assert server.pid is not None
    os.kill(server.pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        with pytest.raises(OperationalError):
            app.send_task("nothing", retry=False, ignore_result=True)
        assert time.monotonic() - began < 15
    finally:
        os.kill(server.pid, signal.SIGCONT)
