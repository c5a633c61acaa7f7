"""The app server of one slot: the shop over HTTP on a loopback port, in a process of its own."""

from __future__ import annotations

import logging
import os
import resource
import signal
import sys
import threading
from http import HTTPStatus
from http.cookies import SimpleCookie
from http.server import BaseHTTPRequestHandler
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from demo.storefront.json_http import LoopbackServer, send_json
from demo.storefront.sessions import Session, SessionForged
from demo.storefront.shop import Request, Response, Shop
from demo.storefront.signals import set_on
from demo.storefront.site import Site, write_json

SECURITY_EVENT_HEADER = "X-Security-Event"
SESSION_COOKIE = "session"

log = logging.getLogger("storefront.app")


class AppServer(LoopbackServer):
    """Finishes the requests it has begun before it closes."""

    daemon_threads = False

    def __init__(self, shop: Shop) -> None:
        super().__init__(("127.0.0.1", 0), AppHandler)
        self.shop = shop


class AppHandler(BaseHTTPRequestHandler):
    server: AppServer
    timeout = 5

    def do_GET(self) -> None:
        if self.path == "/health":
            send_json(self, health(self.server.shop))
        else:
            self._serve_page()

    def do_POST(self) -> None:
        self._serve_page()

    def log_message(self, format: str, *args: Any) -> None:
        """One line for each request would drown the errors that the log is for."""

    def _serve_page(self) -> None:
        shop = self.server.shop
        form = self._read_form()
        try:
            request = Request(self.command, urlsplit(self.path).path, self._session(), form)
            response = shop.answer(request)
        except SessionForged:
            log.warning("refused a forged session on %s %s", self.command, self.path)
            response = Response("This session is not valid.\n", HTTPStatus.FORBIDDEN)
            self._send(response, {SECURITY_EVENT_HEADER: "forged-session"})
            return
        except Exception:
            log.exception("release %s failed on %s %s", shop.version, self.command, self.path)
            response = Response("Something went wrong.\n", HTTPStatus.INTERNAL_SERVER_ERROR)
        self._send(response)

    def _session(self) -> Session:
        cookie = SimpleCookie(self.headers.get("Cookie", "")).get(SESSION_COOKIE)
        return self.server.shop.open_session(cookie.value) if cookie else Session()

    def _read_form(self) -> dict[str, str]:
        # The load balancer in front has refused a length that is wrong or too large.
        length = int(self.headers.get("Content-Length") or 0)
        return dict(parse_qsl(self.rfile.read(length).decode("utf-8", "replace")))

    def _send(self, response: Response, headers: dict[str, str] | None = None) -> None:
        body = response.body.encode()
        self.send_response(response.status)
        self.send_header("Content-Type", response.content_type)
        self.send_header("Content-Length", str(len(body)))
        if response.session is not None:
            sealed = self.server.shop.seal_session(response.session)
            self.send_header("Set-Cookie", f"{SESSION_COOKIE}={sealed}; Path=/; HttpOnly; SameSite=Lax")
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def health(shop: Shop) -> dict[str, Any]:
    """What `GET /health` says; `memory_usage` is the share of the configured limit, 0..1."""
    return {
        "ok": True,
        "version": shop.version,
        "config_hash": shop.config_hash,
        "performance_mode": shop.is_in_performance_mode,
        "memory_usage": round(_resident_bytes() / shop.memory_limit_bytes, 4),
    }


def run_app_server(site: Site, slot: str) -> None:
    """Serve `current` in `slot` until TERM, or until the process that started this one is gone."""
    _log_to(site.log / f"{slot}.log")
    _die_with_parent()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    # Ctrl-C reaches the whole terminal; the parent decides when its servers stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        server = AppServer(Shop(site))
    except Exception:
        log.exception("the %s slot could not start", slot)
        raise SystemExit(1) from None
    with server:
        write_json(
            site.slot_state(slot),
            {
                "pid": os.getpid(),
                "port": server.server_port,
                "version": server.shop.version,
                "config_hash": server.shop.config_hash,
            },
        )
        log.info("release %s listens in the %s slot", server.shop.version, slot)
        _end_on_term(server)
        server.serve_forever(poll_interval=0.1)


def _end_on_term(server: AppServer) -> None:
    """From now on TERM ends the loop between two requests: an exit in the middle of one would break it."""
    asked = threading.Event()

    def end() -> None:
        asked.wait()
        server.shutdown()

    threading.Thread(target=end, daemon=True).start()
    set_on(asked, signal.SIGTERM)


def _log_to(path: Path) -> None:
    handler = RotatingFileHandler(path, maxBytes=1_000_000, backupCount=1, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False


def _die_with_parent() -> None:
    # The parent holds the other end of our standard input: however it dies, the pipe closes.
    # Not through sys.stdin, whose lock held by a waiting thread aborts the interpreter's exit.
    def wait_for_end() -> None:
        os.read(0, 1)
        os._exit(1)

    threading.Thread(target=wait_for_end, daemon=True).start()


def _resident_bytes() -> int:
    try:
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
        return int(pages) * resource.getpagesize()
    except FileNotFoundError:
        # Without /proc only the peak is known (kilobytes on Linux, bytes on macOS).
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
