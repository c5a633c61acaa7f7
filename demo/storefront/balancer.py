"""The load balancer: a small proxy that sends every request to the active slot and measures it."""

from __future__ import annotations

import http.client
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any

from demo.storefront.app import SECURITY_EVENT_HEADER
from demo.storefront.edge import Edge
from demo.storefront.json_http import LoopbackServer, get_json, send_json, send_text
from demo.storefront.restrictions import Restrictions
from demo.storefront.site import Site
from demo.storefront.traffic_window import TrafficWindow
from demo.storefront.watched import WatchedJson

UPSTREAM_TIMEOUT_SECONDS = 10.0
LARGEST_BODY_BYTES = 64 * 1024
REQUEST_HEADERS = ("Accept", "Content-Type", "Cookie", "User-Agent")
ANSWER_HEADERS = ("Content-Type", "Location", "Set-Cookie")


@dataclass(frozen=True)
class Upstream:
    """The active slot; `port` and `pid` are None while no app server listens in it."""

    slot: str
    version: str
    port: int | None
    pid: int | None


@dataclass(frozen=True)
class Answer:
    status: int
    headers: list[tuple[str, str]]
    body: bytes
    is_security_event: bool = False


class LoadBalancer(LoopbackServer):
    """Listens on loopback; which slot is active stands in the site's `lb.json`."""

    def __init__(self, site: Site, port: int, *, window_seconds: float) -> None:
        super().__init__(("127.0.0.1", port), BalancerHandler)
        self.window = TrafficWindow(window_seconds)
        # An app server has answered since this started. Before, the slot's file may name one of the last run.
        self.serving = False
        self.restrictions = Restrictions(site)
        self.edge = Edge(site)
        self._site = site
        self._switch = WatchedJson(site.balancer_switch)
        self._slots: dict[str, WatchedJson] = {}

    def upstream(self) -> Upstream:
        """Where requests go now; starts a new window when that is another process than before."""
        switch = self._switch.read() or {}
        slot = str(switch.get("active", "blue"))
        watched = self._slots.setdefault(slot, WatchedJson(self._site.slot_state(slot)))
        state = watched.read() or {}
        upstream = Upstream(
            slot=slot,
            version=str(state.get("version") or switch.get("version")),
            port=state.get("port"),
            pid=state.get("pid"),
        )
        self.window.begin((slot, upstream.pid))
        return upstream

    def ask(self, upstream: Upstream, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        """`forward`, remembering whether anybody has answered yet."""
        answer = forward(upstream, method, path, headers, body)
        self.serving = self.serving or answer.status != HTTPStatus.BAD_GATEWAY
        return answer

    def metrics(self) -> dict[str, Any]:
        """Figures of requests really served, since the last switch or restart at the earliest."""
        upstream = self.upstream()
        measured = self.window.measure()
        health = get_json(upstream.port, "/health", timeout_seconds=1.0) if upstream.port else None
        return {
            "version": upstream.version,
            "slot": upstream.slot,
            "window_seconds": self.window.seconds,
            "requests": measured.requests,
            "error_rate": measured.error_rate,
            "response_time_ms": measured.response_time_ms,
            "memory_usage": health["memory_usage"] if health else None,
            "security_events": measured.security_events,
        }


def exposition(figures: Mapping[str, Any]) -> str:
    """The same figures in Prometheus' text format; what is not known is left out."""
    about = f'{{version="{figures["version"]}",slot="{figures["slot"]}"}}'
    named = ("requests", "error_rate", "response_time_ms", "memory_usage", "security_events")
    lines = [f"storefront_{name} {figures[name]}" for name in named if figures[name] is not None]
    return "\n".join([*lines, f"storefront_release{about} 1", ""])


class BalancerHandler(BaseHTTPRequestHandler):
    server: LoadBalancer
    timeout = 15

    def do_GET(self) -> None:
        if self.path == "/metrics.json":
            send_json(self, self.server.metrics())
        elif self.path == "/metrics":
            send_text(self, exposition(self.server.metrics()))
        elif self.path == "/health":
            self._send(self.server.ask(self.server.upstream(), self.command, self.path, {}, b""))
        else:
            self._proxy(b"")

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "0")
        if not length.isdecimal() or int(length) > LARGEST_BODY_BYTES:
            self.send_error(413)
            return
        self._proxy(self.rfile.read(int(length)))

    def log_message(self, format: str, *args: Any) -> None:
        """Twenty lines a second would fill the disk; the figures are in `metrics.json`."""

    def _proxy(self, body: bytes) -> None:
        if refusal := self._refusal():
            self._send(refusal)
            return
        kept = self.server.edge.get(self.path) if self.command == "GET" else None
        if kept is not None:
            self._send(Answer(200, [("Content-Type", "application/json"), ("X-Cache", "HIT")], kept))
            return
        upstream = self.server.upstream()
        window = self.server.window
        headers = {name: self.headers[name] for name in REQUEST_HEADERS if name in self.headers}
        started_at = time.monotonic()
        answer = self.server.ask(upstream, self.command, self.path, headers, body)
        if self.server.serving:
            window.record(
                (upstream.slot, upstream.pid),
                failed=answer.status >= 500,
                duration_ms=(time.monotonic() - started_at) * 1000,
            )
        if answer.is_security_event:
            window.record_security_event()
        if self.command == "GET" and answer.status == 200:
            self.server.edge.put(self.path, answer.body)
        self._send(answer)

    def _refusal(self) -> Answer | None:
        """The answer to whom an emergency shuts out; it is no failure of the shop, so nobody measures it."""
        restrictions, address = self.server.restrictions, self._client_address()
        if restrictions.refuses_address(address):
            restrictions.note_denied(address, self.path)
            return Answer(403, [("Content-Type", "text/plain; charset=utf-8")], b"This address is blocked.\n")
        if restrictions.isolates(address):
            headers = [("Content-Type", "text/plain; charset=utf-8"), ("Retry-After", "300")]
            return Answer(503, headers, b"The shop is closed for a moment.\n")
        return None

    def _client_address(self) -> str:
        """The nearest proxy's word for it: only a proxy on this machine can reach a loopback port."""
        forwarded = self.headers.get("X-Forwarded-For", "").rpartition(",")[2].strip()
        return forwarded or str(self.client_address[0])

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)


def forward(upstream: Upstream, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
    """What the app server answers, or 502 where it cannot be reached."""
    if upstream.port is None:
        return _unreachable(upstream)
    connection = http.client.HTTPConnection("127.0.0.1", upstream.port, timeout=UPSTREAM_TIMEOUT_SECONDS)
    try:
        connection.request(method, path, body=body or None, headers=headers)
        response = connection.getresponse()
        return Answer(
            status=response.status,
            headers=[(name, value) for name, value in response.getheaders() if name in ANSWER_HEADERS],
            body=response.read(),
            is_security_event=response.getheader(SECURITY_EVENT_HEADER) is not None,
        )
    except (OSError, http.client.HTTPException):
        return _unreachable(upstream)
    finally:
        connection.close()


def _unreachable(upstream: Upstream) -> Answer:
    text = f"The {upstream.slot} app server does not answer.\n"
    return Answer(502, [("Content-Type", "text/plain; charset=utf-8")], text.encode())
