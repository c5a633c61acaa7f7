"""The gate before Django and the live stream: a request is whole, small and unambiguous, or refused here.

Bodies are read here, on the event loop: a sender that dawdles costs a coroutine, not one of the few
threads that Django has, and a body over the cap is refused before it is in memory.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterable
from typing import Any

from django.conf import settings

from core import logs
from core.body_limits import body_limit, upload_limit
from core.headers import bare_headers
from core.live_stream import Receive, Scope, Send
from core.problem import CONTENT_TYPE, problem

logger = logging.getLogger(__name__)

BODY_SECONDS = 20.0
UPLOAD_SECONDS = 60.0  # ten times the bytes, often from a telephone
MAX_HEADER_BYTES = 32_768
_WITHOUT_BODY = ("GET", "HEAD")
_ONCE = (b"host", b"authorization", b"content-length", b"content-type", b"idempotency-key")

Headers = list[tuple[bytes, bytes]]


class _Refused(Exception):
    def __init__(self, status: int, code: str, detail: str, *, retry_after: int = 0) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail, self.retry_after = status, code, detail, retry_after


class Gate:
    """Wraps an ASGI application; see docs/hostile-input.md for what it refuses."""

    def __init__(self, application: Any) -> None:
        self.application = application
        self.uploads = 0  # bodies over the ordinary limit that are in memory now

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.application(scope, receive, send)
            return
        try:
            headers = [(bytes(name).lower(), bytes(value)) for name, value in scope["headers"]]
            _look(scope, headers)
            if scope["method"] == "POST" and self._is_upload(scope["path"], headers):
                await self._take_upload(scope, headers, receive, send)
                return
            body = await _read_body(scope["method"], headers, receive, body_limit(scope["path"]))
        except _Refused as refusal:
            await _refuse(scope, send, refusal)
            return
        await self._pass_on(scope, headers, body, receive, send)

    async def _pass_on(
        self, scope: Scope, headers: Headers, body: bytes, receive: Receive, send: Send
    ) -> None:
        passed = _passed_on(headers, len(body))
        await self.application({**scope, "headers": passed}, _replaying(body, receive), send)

    def _is_upload(self, path: str, headers: Headers) -> bool:
        """Whether it may hold more than others, and says that it does, or does not say how much it holds."""
        found = dict(headers)
        length = found.get(b"content-length", b"")
        small = length.isdigit() and len(length) < 19 and int(length) <= body_limit(path)
        return not small and upload_limit(path, _content_type(headers)) > 0

    async def _take_upload(self, scope: Scope, headers: Headers, receive: Receive, send: Send) -> None:
        """A large body has one of few places until its answer: strangers fill no memory with them.

        Who shows neither a session nor a token is told to sign in before anything is read.
        """
        if not {b"cookie", b"authorization"} & dict(headers).keys():
            raise _Refused(401, "not_authenticated", "Sign in, or send a token, before a large file.")
        if self.uploads >= settings.UPLOADS_AT_ONCE:
            raise _Refused(503, "busy", "Other files are arriving; try again in a moment.", retry_after=5)
        limit = body_limit(scope["path"], _content_type(headers))
        self.uploads += 1
        try:
            body = await _read_body(scope["method"], headers, receive, limit, UPLOAD_SECONDS)
            await self._pass_on(scope, headers, body, receive, send)
        finally:
            self.uploads -= 1


def with_bare_headers(send: Send) -> Send:
    """A `send` that adds to an answer the security headers that it does not have."""

    async def sending(message: Any) -> None:
        if message["type"] == "http.response.start":
            given = {bytes(name).lower() for name, _value in message.get("headers", [])}
            missing = [pair for pair in _bare() if pair[0] not in given]
            message = {**message, "headers": [*message.get("headers", []), *missing]}
        await send(message)

    return sending


def _look(scope: Scope, headers: Headers) -> None:
    """What can be told without the body."""
    if scope["method"] in ("TRACE", "CONNECT", "TRACK"):
        raise _Refused(405, "method_not_allowed", "There is no such method here.")
    address = str(scope["path"])
    if any(byte < 0x21 or byte > 0x7E for byte in bytes(scope["query_string"])):
        raise _Refused(400, "invalid", "The query holds bytes that must be percent-encoded.")
    if "\0" in address or any("\ud800" <= character <= "\udfff" for character in address):
        raise _Refused(400, "invalid", "The address holds a character that no address has.")
    names = [name for name, _value in headers]
    if twice := next((name for name in _ONCE if names.count(name) > 1), None):
        raise _Refused(400, "invalid", f"The header {twice.decode()} was sent twice.")
    if b"transfer-encoding" in names and b"content-length" in names:
        raise _Refused(400, "invalid", "Send Content-Length or Transfer-Encoding, not both.")
    if sum(len(name) + len(value) for name, value in headers) > MAX_HEADER_BYTES:
        raise _Refused(431, "headers_too_large", f"Headers hold at most {MAX_HEADER_BYTES} bytes.")
    if any(b"\0" in value for _name, value in headers):
        raise _Refused(400, "invalid", "A header contains a NUL character.")


def _content_type(headers: Headers) -> str:
    return dict(headers).get(b"content-type", b"").decode("latin-1")


async def _read_body(
    method: str, headers: Headers, receive: Receive, limit: int, seconds: float | None = None
) -> bytes:
    """The whole body, of the length that was announced."""
    found = dict(headers)
    length = found.get(b"content-length")
    if length is None and b"transfer-encoding" not in found and method in _WITHOUT_BODY:
        return b""
    if length is not None and not (length.isdigit() and len(length) < 19):
        raise _Refused(400, "invalid", "Content-Length is no number.")
    if length is not None and int(length) > limit:
        raise _too_large(limit)
    body, seconds = bytearray(), seconds or BODY_SECONDS
    try:
        async with asyncio.timeout(seconds):
            while True:
                message = await receive()
                if message["type"] != "http.request":  # the sender has gone, or its chunks are none
                    raise _Refused(400, "malformed", "The body ended early or is malformed.")
                body += message.get("body", b"")
                if len(body) > limit:
                    raise _too_large(limit)
                if not message.get("more_body", False):
                    break
    except TimeoutError as error:
        raise _Refused(408, "too_slow", f"The body did not arrive within {seconds:.0f} s.") from error
    if length is not None and len(body) != int(length):
        raise _Refused(400, "malformed", "The body is not as long as Content-Length says.")
    return bytes(body)


def _too_large(limit: int) -> _Refused:
    return _Refused(413, "too_large", f"A request holds at most {limit} bytes.")


def _passed_on(headers: Headers, length: int) -> Headers:
    """The headers with the length that was counted, without those that could pass for another.

    WSGI has one name for `x_forwarded_proto` and `x-forwarded-proto`: a proxy sets only the second.
    """
    kept = [
        (name, value)
        for name, value in headers
        if b"_" not in name and name not in (b"content-length", b"transfer-encoding")
    ]
    counted = length or any(name in (b"content-length", b"transfer-encoding") for name, _value in headers)
    return [*kept, (b"content-length", str(length).encode())] if counted else kept


def _replaying(body: bytes, receive: Receive) -> Receive:
    waiting: list[dict[str, Any]] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Any:
        return waiting.pop() if waiting else await receive()

    return replay


async def _refuse(scope: Scope, send: Send, refusal: _Refused) -> None:
    given = {bytes(name).lower(): bytes(value) for name, value in scope["headers"]}
    request_id = logs.id_from(given.get(logs.HEADER.lower().encode(), b"").decode("latin-1"))
    with logs.about(request_id=request_id):
        logger.info(
            "refused at the gate: %s %.200r: %s %s",
            scope["method"],
            scope["path"],
            refusal.status,
            refusal.detail,
        )
        body = json.dumps(problem(refusal.status, refusal.code, refusal.detail)).encode()
    headers: Iterable[tuple[bytes, bytes]] = (
        (b"content-type", CONTENT_TYPE.encode()),
        (b"content-length", str(len(body)).encode()),
        (logs.HEADER.lower().encode(), request_id.encode()),
        (b"connection", b"close"),  # what is left of the body is nobody's next request
        *([(b"retry-after", str(refusal.retry_after).encode())] if refusal.retry_after else []),
    )
    send = with_bare_headers(send)
    await send({"type": "http.response.start", "status": refusal.status, "headers": list(headers)})
    await send({"type": "http.response.body", "body": body})


def _bare() -> Headers:
    return bare_headers(hsts_seconds=settings.SECURE_HSTS_SECONDS)
