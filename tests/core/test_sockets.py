"""Libraries that open sockets of their own reach what they may, for as long as they may: real sockets."""

from __future__ import annotations

import http.client
import smtplib
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from core.sockets import Refused, guarded
from tests.sink import Sink

LOOPBACK = ["127.0.0.0/8"]


@pytest.fixture
def sink() -> Iterator[Sink]:
    with Sink() as sink:
        yield sink


def by_urllib(url: str) -> int:
    return int(urllib.request.urlopen(url, timeout=20).status)


def by_requests(url: str) -> int:
    return requests.get(url, timeout=20).status_code


def by_hand(url: str) -> int:
    host, port = url.removeprefix("http://").rstrip("/").split(":")
    with socket.create_connection((host, int(port)), timeout=20):
        return 200


LIBRARIES = pytest.mark.parametrize("ask", [by_urllib, by_requests, by_hand])


@LIBRARIES
def test_a_loopback_address_is_refused_until_it_is_allowed(
    sink: Sink, settings: Any, ask: Callable[[str], int]
) -> None:
    settings.OUTBOUND_ALLOWED_NETWORKS = []
    with guarded(deadline_seconds=5) as guard, pytest.raises((OSError, requests.RequestException)):
        ask(sink.url)
    assert "not allowed" in guard.refused
    assert sink.requests == []
    settings.OUTBOUND_ALLOWED_NETWORKS = LOOPBACK
    with guarded(deadline_seconds=5) as guard:
        assert ask(sink.url) == 200
    assert guard.refused == ""


@pytest.mark.parametrize("host", ["10.0.0.1", "169.254.169.254", "192.168.1.1", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1"])  # fmt: skip
def test_private_addresses_are_refused_in_every_disguise(settings: Any, host: str) -> None:
    settings.OUTBOUND_ALLOWED_NETWORKS = []
    with guarded(deadline_seconds=5) as guard, pytest.raises(OSError):
        socket.create_connection((host, 80), timeout=1).close()
    assert "not allowed" in guard.refused


def test_a_redirect_leads_nowhere_else(sink: Sink, settings: Any) -> None:
    settings.OUTBOUND_ALLOWED_NETWORKS = LOOPBACK
    with Sink() as other:
        sink.mode, sink.redirect_to = "redirect", f"{other.url}/inside"
        hosts = [(sink.host, sink.port)]
        with guarded(deadline_seconds=5, hosts=hosts) as guard, pytest.raises(urllib.error.URLError):
            by_urllib(sink.url)
        assert "not the host that is meant" in guard.refused
        assert (len(sink.requests), other.requests) == (1, [])


def test_a_name_that_changes_its_mind_gains_nothing(
    sink: Sink, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is public for whoever asks first, and private for the library that connects."""
    settings.OUTBOUND_ALLOWED_NETWORKS = []
    asked: list[str] = []
    real = socket.getaddrinfo

    def rebinding(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        asked.append(str(host))
        answer = "93.184.215.14" if len(asked) == 1 else "127.0.0.1"
        return real(answer, port, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    first = socket.getaddrinfo("rebind.test", sink.port)[0][4][0]
    assert first == "93.184.215.14"
    with guarded(deadline_seconds=5) as guard, pytest.raises(OSError):
        by_urllib(f"http://rebind.test:{sink.port}/")
    assert "not allowed" in guard.refused
    assert sink.requests == []


def test_a_socket_that_resolves_by_itself_is_refused(sink: Sink, settings: Any) -> None:
    settings.OUTBOUND_ALLOWED_NETWORKS = LOOPBACK
    with guarded(deadline_seconds=5) as guard, socket.socket() as sock, pytest.raises(Refused):
        sock.connect(("localhost", sink.port))
    assert "is a name" in guard.refused


def test_only_tcp_and_no_program(settings: Any, tmp_path: Any) -> None:
    settings.OUTBOUND_ALLOWED_NETWORKS = LOOPBACK
    with guarded(deadline_seconds=5):
        with socket.socket(socket.AF_UNIX) as sock, pytest.raises(Refused):
            sock.connect(str(tmp_path / "socket"))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock, pytest.raises(OSError):
            sock.sendto(b"x", ("10.0.0.1", 53))
        with pytest.raises(Refused):
            subprocess.run(["true"], check=False)
    subprocess.run(["true"], check=True)


def test_the_operators_own_host_may_be_private_and_no_other(sink: Sink, settings: Any) -> None:
    settings.OUTBOUND_ALLOWED_NETWORKS = []
    with Sink() as other:
        with guarded(deadline_seconds=5, hosts=[(sink.host, sink.port)], trusted=True) as guard:
            assert by_urllib(sink.url) == 200
            with pytest.raises(OSError):
                by_urllib(other.url)
        assert "not the host that is meant" in guard.refused


def test_other_threads_are_free(sink: Sink, settings: Any) -> None:
    settings.OUTBOUND_ALLOWED_NETWORKS = []
    found: list[int] = []
    with guarded(deadline_seconds=5):
        thread = threading.Thread(target=lambda: found.append(by_urllib(sink.url)))
        thread.start()
        thread.join()
    assert found == [200]


@pytest.mark.parametrize("mode", ["hang", "drip"])
@pytest.mark.parametrize("ask", [by_urllib, by_requests])
def test_what_takes_too_long_is_cut_off(
    sink: Sink, settings: Any, mode: str, ask: Callable[[str], int]
) -> None:
    settings.OUTBOUND_ALLOWED_NETWORKS = LOOPBACK
    sink.mode = mode
    began = time.monotonic()
    with guarded(deadline_seconds=1) as guard:
        try:
            if ask is by_urllib:
                urllib.request.urlopen(sink.url, timeout=20).read()
            else:
                ask(sink.url)
        except (OSError, http.client.HTTPException):
            pass
        assert guard.is_over
        with pytest.raises(OSError):
            ask(sink.url)
    assert time.monotonic() - began < 2
    assert len(sink.requests) == 1


def test_a_resolver_that_hangs_is_not_waited_for(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    released, real = threading.Event(), socket.getaddrinfo

    def hang(*args: Any, **kwargs: Any) -> Any:
        if threading.current_thread() is not threading.main_thread():
            released.wait(20)
        return real(*args, **kwargs)

    monkeypatch.setattr("core.sockets.RESOLVE_SECONDS", 0.3)
    monkeypatch.setattr(socket, "getaddrinfo", hang)
    began = time.monotonic()
    with guarded(deadline_seconds=5) as guard, pytest.raises(OSError):
        smtplib.SMTP("mail.example.test", 25, timeout=20)
    released.set()
    assert "nobody resolved" in guard.refused
    assert time.monotonic() - began < 2
