"""A source of measurements that misbehaves in every way a server can, and keeps a record of who asked.

One server on the loopback address; the first word of the path is the manner in which it answers, or a name whose
manner is set in `manners` and may change while it runs.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import functools
import gzip
import json
import socket
import struct
import threading
import time
import zlib
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from tests.certificates import make_server_context

GIGABYTE = 1_000_000_000
DRIP_SECONDS = 0.1
CHUNK = b"0" * 65_536

# What stands where the number should: as JSON, in either kind of document.
NUMBERS = {
    "value": "0.001",
    "bad_value": "0.9",
    "nan": "NaN",
    "infinite": "-Infinity",
    "beyond_floats": "1e999",
    "four_hundred_digits": "1" * 400,
    "five_thousand_digits": "1" * 5_000,
    "null": "null",
    "word": '"much"',
    "list": "[1]",
    "object": "{}",
}
# Whole bodies that are no such document.
BODIES = {
    "empty": b"",
    "html": b"<!doctype html><title>Sign in</title>",
    "nested": b"[" * 100_000,
    "nested_closed": b'{"x":' * 50_000 + b"1" + b"}" * 50_000,
    "not_utf8": b'{"x": "\xff\xfe"}',
    "half": b'{"x": 0.0',
    "bare_list": b"[0.001]",
    "bare_string": b'"0.001"',
}


@functools.cache
def bomb() -> bytes:
    """A hundred megabytes in half of one."""
    packer = zlib.compressobj(1, wbits=zlib.MAX_WBITS | 16)
    return b"".join(packer.compress(CHUNK) for _ in range(100_000_000 // len(CHUNK))) + packer.flush()


class Exchange:
    """One request, and the connection to answer on."""

    def __init__(
        self, source: HostileSource, name: str, is_prometheus: bool, link: asyncio.StreamWriter
    ) -> None:
        self.source, self.name, self.is_prometheus, self.link = source, name, is_prometheus, link

    async def send(self, data: bytes) -> None:
        self.link.write(data)
        await self.link.drain()
        self.source.sent[self.name] += len(data)

    async def answer(self, body: bytes, status: str = "200 OK", *headers: str) -> None:
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
        await self.send("\r\n".join(lines).encode() + body)

    def document(self, number: str) -> bytes:
        if not self.is_prometheus:
            return f'{{"x": {number}}}'.encode()
        series = f'[{{"metric": {{}}, "value": [1, {number}]}}]'
        return f'{{"status": "success", "data": {{"resultType": "vector", "result": {series}}}}}'.encode()

    def cut_off(self) -> None:
        """RST instead of an orderly end."""
        link: socket.socket = self.link.get_extra_info("socket")
        link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.link.transport.abort()


async def _hang(_to: Exchange) -> None:
    await asyncio.sleep(3600)


async def _drip_head(to: Exchange) -> None:
    for byte in b"HTTP/1.1 200 OK\r\n" + b"X-Slow: yes\r\n" * 1000:
        await to.send(bytes([byte]))
        await asyncio.sleep(DRIP_SECONDS)


async def _drip_body(to: Exchange) -> None:
    await to.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n")
    for byte in b" " * 10_000:
        await to.send(bytes([byte]))
        await asyncio.sleep(DRIP_SECONDS)


async def _endless_head(to: Exchange) -> None:
    await to.send(b"HTTP/1.1 200 OK\r\n")
    while True:
        await to.send(b"X-More: " + CHUNK[:1000] + b"\r\n")


async def _only_interim(to: Exchange) -> None:
    while True:
        await to.send(b"HTTP/1.1 103 Early Hints\r\n\r\n")
        await asyncio.sleep(DRIP_SECONDS / 10)


async def _gigabyte(to: Exchange) -> None:
    await to.send(f"HTTP/1.1 200 OK\r\nContent-Length: {GIGABYTE}\r\n\r\n".encode())
    for _ in range(GIGABYTE // len(CHUNK)):
        await to.send(CHUNK)


async def _endless(to: Exchange) -> None:
    await to.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
    while True:
        await to.send(CHUNK)


async def _endless_chunks(to: Exchange) -> None:
    await to.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        await to.send(f"{len(CHUNK):x}\r\n".encode() + CHUNK + b"\r\n")


async def _bomb(to: Exchange) -> None:
    await to.answer(bomb(), "200 OK", "Content-Encoding: gzip")


async def _bomb_twice(to: Exchange) -> None:
    await to.answer(gzip.compress(bomb()), "200 OK", "Content-Encoding: gzip, gzip")


async def _not_gzip(to: Exchange) -> None:
    await to.answer(to.document("0.001"), "200 OK", "Content-Encoding: gzip")


async def _redirect(to: Exchange) -> None:
    await to.answer(b"", "302 Found", f"Location: /{to.name}")


async def _status_500(to: Exchange) -> None:
    await to.answer(b"oops", "500 Internal Server Error")


async def _reset_at_once(to: Exchange) -> None:
    to.cut_off()


async def _reset_in_the_middle(to: Exchange) -> None:
    await to.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{")
    await asyncio.sleep(0.05)
    to.cut_off()


async def _too_short(to: Exchange) -> None:
    await to.send(b'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{"x": 0.001}')
    to.link.close()


async def _not_http(to: Exchange) -> None:
    await to.send(b"220 mail.example ESMTP\r\n")
    to.link.close()


async def _says_what_cannot_be_stored(to: Exchange) -> None:
    """An error in Prometheus' own form, with characters that no database takes."""
    error = {"status": "error", "errorType": "bad_data", "error": "a\0b\ud800c\x1b[2J"}
    await to.answer(json.dumps(error).encode(), "400 Bad Request")


MANNERS: dict[str, Callable[[Exchange], Awaitable[None]]] = {
    "hang": _hang,
    "drip_head": _drip_head,
    "drip_body": _drip_body,
    "endless_head": _endless_head,
    "only_interim": _only_interim,
    "gigabyte": _gigabyte,
    "endless": _endless,
    "endless_chunks": _endless_chunks,
    "bomb": _bomb,
    "bomb_twice": _bomb_twice,
    "not_gzip": _not_gzip,
    "redirect": _redirect,
    "status_500": _status_500,
    "reset_at_once": _reset_at_once,
    "reset_in_the_middle": _reset_in_the_middle,
    "too_short": _too_short,
    "not_http": _not_http,
    "not_storable": _says_what_cannot_be_stored,
}
# Where no server answers, or none that can be believed.
ADDRESSES = ("refused", "unresolved", "untrusted", "plain_behind_https", "silent_behind_https")


class HostileSource:
    """`url("drip_body")` drips; `url("shop")` answers a value until `manners["shop"]` says otherwise.

    `asked` has the moments of requests by name, `sent` how many bytes were taken from it.
    """

    def __init__(self, folder: Path) -> None:
        self.manners: dict[str, str] = {}
        self.asked: dict[str, list[float]] = defaultdict(list)
        self.sent: Counter[str] = Counter()
        self._folder = folder
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="hostile source", daemon=True)
        self._servers: list[asyncio.Server] = []
        self._links: set[asyncio.StreamWriter] = set()
        self._refused = socket.socket()  # bound, so that nobody else takes the port, and not listening
        self._refused.bind(("127.0.0.1", 0))
        self._port = self._tls_port = self._silent_port = 0

    def __enter__(self) -> HostileSource:
        bomb()  # not while somebody measures time and memory
        self._thread.start()
        self.start()
        return self

    def __exit__(self, *_details: object) -> None:
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._refused.close()

    def url(self, name: str) -> str:
        match name:
            case "refused":
                return f"http://127.0.0.1:{self._refused.getsockname()[1]}/x"
            case "unresolved":
                return "http://no-such-host.invalid/x"
            case "untrusted":
                return f"https://localhost:{self._tls_port}/value"
            case "plain_behind_https" | "silent_behind_https":
                port = self._port if name == "plain_behind_https" else self._silent_port
                return f"https://127.0.0.1:{port}/value"
        return f"http://127.0.0.1:{self._port}/{name}"

    def start(self) -> None:
        """Listen, after a stop on the same ports."""
        self._run(self._start())

    def stop(self) -> None:
        """As a server that died: nobody listens, and what was open is cut."""
        self._run(self._stop())

    def _run(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _start(self) -> None:
        context, _authority = make_server_context(
            self._folder, host="localhost", ends=dt.datetime.now(dt.UTC) + dt.timedelta(days=9)
        )
        listen = asyncio.start_server
        plain = await listen(self._serve, "127.0.0.1", self._port, backlog=1000)
        secured = await listen(self._serve, "127.0.0.1", self._tls_port, ssl=context)
        silent = await listen(self._say_nothing, "127.0.0.1", self._silent_port)
        self._servers = [plain, secured, silent]
        self._port, self._tls_port, self._silent_port = (
            server.sockets[0].getsockname()[1] for server in self._servers
        )

    async def _stop(self) -> None:
        for server in self._servers:
            server.close()
        for link in list(self._links):
            link.transport.abort()
        await asyncio.sleep(0)
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _say_nothing(self, _asked: asyncio.StreamReader, link: asyncio.StreamWriter) -> None:
        self._links.add(link)
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(3600)

    async def _serve(self, asked: asyncio.StreamReader, link: asyncio.StreamWriter) -> None:
        self._links.add(link)
        try:
            with contextlib.suppress(OSError, EOFError, asyncio.LimitOverrunError, asyncio.CancelledError):
                while not link.is_closing():
                    await self._exchange(asked, link)
        finally:
            self._links.discard(link)
            link.close()

    async def _exchange(self, asked: asyncio.StreamReader, link: asyncio.StreamWriter) -> None:
        if await asked.readexactly(1) == b"\x16":  # a handshake of TLS
            link.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
            link.close()
            return
        head = (await asked.readuntil(b"\r\n\r\n")).decode("latin-1")
        path = head.split(" ")[1]
        for line in head.split("\r\n"):
            if line.lower().startswith("content-length:"):
                await asked.readexactly(int(line.split(":")[1]))
        name = path.strip("/").split("/")[0]
        self.asked[name].append(time.time())
        manner = self.manners.get(name, name)
        to = Exchange(self, name, path.endswith("/api/v1/query"), link)
        if manner in BODIES:
            await to.answer(BODIES[manner])
        elif manner in MANNERS:
            await MANNERS[manner](to)
        else:
            await to.answer(to.document(NUMBERS.get(manner, NUMBERS["value"])))


def of_kind(kind: str, url: str) -> dict[str, str]:
    """A monitor's source of this kind at this address."""
    match kind:
        case "http_json":
            return {"type": kind, "url": url, "path": "x"}
        case "prometheus":
            return {"type": kind, "url": url, "query": "up"}
    return {"type": kind, "url": url}
