"""A receiver of webhooks that keeps each as one JSON line, to show what really left Firebreak."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from demo.storefront.json_http import LoopbackServer, send_json

KEPT_HEADERS = ("webhook-id", "webhook-timestamp", "webhook-signature")
LARGEST_BODY_BYTES = 1024 * 1024


class WebhookReceiver(LoopbackServer):
    """Listens on loopback; a 204 means that the line is in the file."""

    def __init__(self, port: int, file: Path) -> None:
        super().__init__(("127.0.0.1", port), WebhookHandler)
        self._file = file
        self._lock = threading.Lock()

    def keep(self, webhook: dict[str, Any]) -> None:
        line = json.dumps(webhook) + "\n"
        with self._lock, self._file.open("a", encoding="utf-8") as file:
            file.write(line)


class WebhookHandler(BaseHTTPRequestHandler):
    server: WebhookReceiver
    timeout = 10

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > LARGEST_BODY_BYTES:
            send_json(self, {"error": "a body of at most 1 MB with its length is needed"}, 413)
            return
        try:
            body = self.rfile.read(int(length)).decode()
            json.loads(body)
        except ValueError:
            send_json(self, {"error": "the body is not JSON"}, 400)
            return
        self.server.keep(
            {
                "received_at": datetime.now(UTC).isoformat(),
                "path": self.path,
                "headers": {name: self.headers.get(name) for name in KEPT_HEADERS},
                "body": body,  # as it was signed, byte for byte
            }
        )
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """The file is the log."""
