"""HTTP on loopback: the server that the storefront's parts are, sending JSON, and asking another server."""

from __future__ import annotations

import http.client
import json
import sys
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class LoopbackServer(ThreadingHTTPServer):
    """A thread for each connection; a client that left before its answer is nothing to complain about."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def send_json(handler: BaseHTTPRequestHandler, value: Mapping[str, Any], status: int = 200) -> None:
    _send(handler, status, "application/json", json.dumps(value) + "\n")


def send_text(handler: BaseHTTPRequestHandler, text: str) -> None:
    """In the format that Prometheus reads."""
    _send(handler, 200, "text/plain; version=0.0.4", text)


def _send(handler: BaseHTTPRequestHandler, status: int, media_type: str, text: str) -> None:
    body = text.encode()
    handler.send_response(status)
    handler.send_header("Content-Type", media_type)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def get_json(port: int, path: str, *, timeout_seconds: float = 2.0) -> dict[str, Any] | None:
    """The JSON object a loopback server answers with, or None where it does not answer well."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_seconds)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        body = response.read()
        value = json.loads(body) if response.status == 200 else None
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()
    return value if isinstance(value, dict) else None
