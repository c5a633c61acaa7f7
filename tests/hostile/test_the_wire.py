"""What the web server itself sees, over raw sockets: no 500, no hang, no process lost."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from typing import Any

import pytest
from django.contrib.auth.models import Group

from core.clock import utcnow
from core.models import ApiToken, User
from incidents.models import Incident
from tests.web import WebProcess

pytestmark = pytest.mark.django_db(transaction=True)
BODY = b'{"title": "Checkout fails", "severity": "P1"}'
MEBIBYTE = 1_048_576


@pytest.fixture
def token(transactional_db: None) -> str:
    group, _made = Group.objects.get_or_create(name="responder")
    user = User.objects.create_user("wire", password=None)
    user.groups.add(group)
    expires = utcnow().replace(year=utcnow().year + 1)
    return ApiToken.issue(user=user, name="wire", scopes=["read", "write"], expires_at=expires)[1]


def send(web: WebProcess, *parts: bytes, pause: float = 0, timeout: float = 15) -> bytes:
    """What comes back until the server closes or is silent for half a second."""
    with socket.create_connection(("127.0.0.1", web.port), 5) as link:
        link.settimeout(timeout)
        got = b""
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            for part in parts:
                link.sendall(part)
                time.sleep(pause)
        with contextlib.suppress(TimeoutError, ConnectionResetError):
            while chunk := link.recv(65536):
                got += chunk
                link.settimeout(0.5)
        return got


def post(token: str, *headers: str, path: str = "/api/v1/incidents/") -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", f"Authorization: Bearer {token}"]
    return "\r\n".join([*lines, "Content-Type: application/json", *headers, "", ""]).encode()


def statuses(got: bytes) -> list[int]:
    return [int(part[:3]) for part in got.split(b"HTTP/1.1 ")[1:]]


def is_well(web: WebProcess) -> None:
    assert statuses(
        send(web, b"GET /accounts/login/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    ) == [200]


def test_a_body_with_its_length_is_taken(web: WebProcess, token: str) -> None:
    got = send(web, post(token, f"Content-Length: {len(BODY)}", "Connection: close"), BODY)
    assert statuses(got) == [201]


def test_a_chunked_body_is_taken(web: WebProcess, token: str) -> None:
    chunks = b"5\r\n" + BODY[:5] + b"\r\n%x\r\n" % (len(BODY) - 5) + BODY[5:] + b"\r\n0\r\n\r\n"
    assert statuses(send(web, post(token, "Transfer-Encoding: chunked", "Connection: close"), chunks)) == [
        201
    ]
    assert Incident.objects.count() == 1


@pytest.mark.parametrize(
    ("headers", "body", "answered"),
    [
        (["Content-Length: -1"], BODY, [400]),
        (["Content-Length: 1e3"], BODY, [400]),
        (["Content-Length: 5, 6"], BODY, [400]),
        (["Content-Length: 99999999999999999999999"], BODY, [400]),
        (["Content-Length: 45", "Content-Length: 3"], BODY, [400]),
        ([f"Content-Length: {10 * MEBIBYTE}"], b"{", [413]),
        (["Content-Length: 45", "Transfer-Encoding: chunked"], b"0\r\n\r\n", [400]),
        (["Transfer-Encoding: gzip"], BODY, [400]),
        (["Transfer-Encoding: chunked, identity"], BODY, [400]),
        (["Transfer-Encoding: chunked"], b"zz\r\n", [400]),
        (["Content-Encoding: gzip", "Content-Length: 45"], BODY, [415]),
        (["X-Nul: a\0b", "Content-Length: 45"], BODY, [400]),
        (["Bad Name: x", "Content-Length: 45"], BODY, [400]),
        ([" Folded: x", "Content-Length: 45"], BODY, [400]),
        (["Content-Type: text/plain", "Content-Length: 45"], BODY, [400]),
        (["Authorization: Bearer x", "Content-Length: 45"], BODY, [400]),
        (["Host: evil.test", "Content-Length: 45"], BODY, [400]),
        (["X-Long: " + "x" * 40_000, "Content-Length: 45"], BODY, [431]),
        ([*(f"X-{number}: y" for number in range(200)), "Content-Length: 45"], BODY, [431]),
    ],
)
def test_an_ambiguous_or_excessive_request_is_refused(
    web: WebProcess, token: str, headers: list[str], body: bytes, answered: list[int]
) -> None:
    got = send(web, post(token, *headers, "Connection: close"), body)
    assert statuses(got) == answered, got[:400]
    assert not Incident.objects.exists()
    is_well(web)


def test_a_body_shorter_than_its_length_stores_nothing(web: WebProcess, token: str) -> None:
    with socket.create_connection(("127.0.0.1", web.port), 5) as link:
        link.sendall(post(token, f"Content-Length: {len(BODY) + 9}") + BODY)
        time.sleep(0.2)
    time.sleep(0.2)
    assert not Incident.objects.exists()
    is_well(web)


def test_what_follows_a_refused_body_is_no_request_of_its_own(web: WebProcess, token: str) -> None:
    """Smuggling: the second request hides in the body of the first."""
    hidden = post(token, f"Content-Length: {len(BODY)}") + BODY
    for lengths in (["Content-Length: 4", "Transfer-Encoding: chunked"], [f"Content-Length: {2 * MEBIBYTE}"]):
        got = send(web, post(token, *lengths), b"0\r\n\r\n" + hidden)
        assert len(statuses(got)) <= 1 and 201 not in statuses(got), got[:400]
        assert not Incident.objects.exists()
    is_well(web)


@pytest.mark.parametrize(
    "line",
    [
        b"GET / HTTP/9.9", b"GET /\0 HTTP/1.1", b"\x16\x03\x01\x02\x00", b"NONSENSE", b"GET  / HTTP/1.1",
        b"GET /%00 HTTP/1.1", b"GET /?q=%00 HTTP/1.1", b"GET /?q=\xff HTTP/1.1", b"GET /\xff\xfe HTTP/1.1",
        b"GET /%ff%fe/ HTTP/1.1", b"GET /%ed%a0%80/ HTTP/1.1", b"GET http://evil.test/ HTTP/1.1",
        b"GET //evil.test/%2e%2e HTTP/1.1", b"GET /" + b"x" * 9000 + b" HTTP/1.1", b"CONNECT / HTTP/1.1",
        b"TRACE / HTTP/1.1", b"BREW / HTTP/1.1", b"OPTIONS * HTTP/1.1", b"GET /live/%00 HTTP/1.1",
        b"POST /live/ HTTP/1.1", b"GET /live/?x=\xff HTTP/1.1", b"GET /..%2f..%2fetc/passwd HTTP/1.1",
        b"GET /static/..%2f..%2fmanage.py HTTP/1.1", b"GET /static/%00 HTTP/1.1",
    ],
)  # fmt: skip
def test_a_hostile_request_line_is_answered_or_closed(web: WebProcess, line: bytes) -> None:
    got = send(web, line + b"\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert all(status < 500 for status in statuses(got)), got[:400]
    assert b"root:" not in got and b"DJANGO_SETTINGS" not in got
    is_well(web)


@pytest.mark.parametrize(
    "header",
    [
        b'Cookie: sessionid="aaaaaaaaaaaa\\000"', b"Cookie: sessionid=" + b"x" * 8000, b"Cookie: \xff\xfe=\xff",
        b"Cookie: ;;;=;=\x01", b"Cookie: csrftoken=%00; sessionid=%00%00%00%00%00", b"Authorization: Bearer \xff\xff",
        b"Authorization: Bearer " + b"x" * 10_000, b"Authorization: Basic AAAA", b"Accept: \xff; q=x, ////",
        b"Accept-Language: \xff" + b"x," * 500, b"X-Forwarded-For: \xff, ::1, ' OR 1=1", b"HX-Request: true\r\nHX-Current-URL: http://[::1",
        b"If-Modified-Since: Thu, 99 Foo 99999 99:99:99 GMT", b"If-None-Match: \xff", b"Range: bytes=-99999999999999999999",
        b"Referer: javascript:alert(1)", b"Last-Event-ID: 99999999999999999999", b"Expect: 100-continue",
        b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
        b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\nConnection: Upgrade, HTTP2-Settings",
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "path", [b"/", b"/api/v1/incidents/", b"/live/", b"/static/firebreak/app.css", b"/admin/login/"]
)
def test_a_hostile_header_is_no_500(web: WebProcess, path: bytes, header: bytes) -> None:
    got = send(
        web, b"GET " + path + b" HTTP/1.1\r\nHost: localhost\r\n" + header + b"\r\nConnection: close\r\n\r\n"
    )
    assert all(status < 500 for status in statuses(got)), got[:400]


def test_underscores_in_a_header_name_pass_for_nothing(web: WebProcess, token: str) -> None:
    line = f"GET /api/v1/incidents/ HTTP/1.1\r\nHost: localhost\r\n_: x\r\nauthorization_: y\r\nX_Authorization: Bearer {token}"
    assert statuses(send(web, line.encode() + b"\r\nConnection: close\r\n\r\n")) == [401]


def test_ten_mebibytes_are_refused_without_being_kept(web: WebProcess, token: str) -> None:
    before = web.resident_bytes()
    for headers in (["Content-Length: 104857600"], ["Transfer-Encoding: chunked"]):
        chunk = b"x" * 65536
        framed = chunk if headers[0].startswith("Content") else b"10000\r\n" + chunk + b"\r\n"
        got = send(web, post(token, *headers), *([framed] * 1600))
        assert statuses(got) in ([413], []), got[:200]  # a reset is seen when the kernel was faster
        is_well(web)
    assert web.resident_bytes() - before < 20 * MEBIBYTE
    assert not Incident.objects.exists()


def test_slow_senders_do_not_keep_others_waiting(web: WebProcess, token: str) -> None:
    """More dawdling bodies than Django has threads, and as many headers that never end."""
    links = [socket.create_connection(("127.0.0.1", web.port), 5) for _ in range(60)]
    try:
        for number, link in enumerate(links):
            link.sendall(
                post(token, "Content-Length: 45")[: None if number % 2 else -2] + b"{" * (number % 2)
            )
        for _ in range(5):
            started = time.monotonic()
            is_well(web)
            assert time.monotonic() - started < 10
    finally:
        for link in links:
            link.close()
    assert not Incident.objects.exists()


def test_a_refusal_is_a_problem_with_every_header(web: WebProcess, token: str) -> None:
    got = send(web, post(token, f"Content-Length: {10 * MEBIBYTE}"), b"{")
    head, _, body = got.partition(b"\r\n\r\n")
    said: dict[str, Any] = json.loads(body)
    assert (said["status"], said["code"]) == (413, "too_large")
    for line in (
        b"application/problem+json",
        b"x-content-type-options: nosniff",
        b"default-src 'none'",
        b"connection: close",
    ):
        assert line in head.lower(), head


def test_the_same_process_answered_all_of_it(web: WebProcess) -> None:
    log = web.log.read_text()
    assert "Traceback" not in log and "panicked" not in log, log[-3000:]
    assert web.process is not None and web.process.poll() is None
