"""JSON over HTTP on loopback: sending an answer from a handler, and asking another server."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler
from typing import Any


def send_json(handler: BaseHTTPRequestHandler, value: Mapping[str, Any], status: int = 200) -> None:
    body = (json.dumps(value) + "\n").encode()
    handler.send_response(status)
    handler.send_header("Content-Type", "application/json")
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
