"""`python -m bench.taker HTTP SMTP SECONDS FILE`: Slack, Twilio, a webhook's receiver and a mail server in one.

It takes every message, answers after SECONDS, and writes a line for each at the moment it had it whole: when, by
which channel, to whom, about which incident.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import sys
import time
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import parse_qs

from aiosmtpd.smtp import SMTP, Envelope, Session

_REF = re.compile(r"INC-\d{4}-\d\d-\d\d-\d{4,}")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_SID = f"SM{0:032x}"


class Taker:
    """What every message comes to, by whichever door."""

    def __init__(self, seconds: float, out: TextIO) -> None:
        self.seconds, self.out = seconds, out

    async def take(self, channel: str, recipient: str, text: str) -> None:
        found = _REF.search(text)
        self.out.write(f"{time.time():.6f}\t{channel}\t{recipient}\t{found[0] if found else '-'}\n")
        await asyncio.sleep(self.seconds)

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        """As aiosmtpd calls it."""
        content = envelope.content or b""
        text = content if isinstance(content, str) else content.decode("utf-8", "replace")
        await self.take("email", ",".join(envelope.rcpt_tos), text.replace("=\r\n", ""))
        return "250 taken"

    async def http(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = _LENGTH.search(head)
                body = (await reader.readexactly(int(length[1]) if length else 0)).decode("utf-8", "replace")
                said = json.dumps(await self._answer(head.split(b" ", 2)[1].decode(), body)).encode()
                writer.write(
                    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
                    % (len(said), said)
                )
                await writer.drain()
        writer.close()

    async def _answer(self, path: str, body: str) -> dict[str, Any]:
        """Slack posts JSON or a form, Twilio a form, a webhook JSON."""
        if path.endswith("/Messages.json"):
            said = parse_qs(body)
            await self.take("sms", said["To"][0], said["Body"][0])
            return {"sid": _SID}
        if path.endswith("/chat.postMessage"):
            to = json.loads(body)["channel"] if body.startswith("{") else parse_qs(body)["channel"][0]
            await self.take("room" if to.startswith("#") else "chat", to, body)
            return {"ok": True, "ts": "1.1", "channel": to}
        await self.take("webhook", "-", body)
        return {}


async def serve(http: int, smtp: int, taker: Taker) -> None:
    loop = asyncio.get_running_loop()
    web = await asyncio.start_server(taker.http, "127.0.0.1", http, backlog=1024)
    mail = await loop.create_server(lambda: SMTP(taker, loop=loop), "127.0.0.1", smtp, backlog=1024)
    async with web, mail:
        await asyncio.gather(web.serve_forever(), mail.serve_forever())


if __name__ == "__main__":
    with Path(sys.argv[4]).open("a", buffering=1) as out:  # each line at once
        asyncio.run(serve(int(sys.argv[1]), int(sys.argv[2]), Taker(float(sys.argv[3]), out)))
