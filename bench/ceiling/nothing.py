"""What stands behind a server of files alone: nothing is here."""

from core.bridge import Receive, Scope, Send


async def application(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 404, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})
