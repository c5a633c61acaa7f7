"""`python -m bench.source PORT`: what monitors ask, as a process of its own that takes little of the machine.

`/m.json?n=17` is a service that is well; with `&from=…&until=…` (seconds since 1970) it is not in between.
`/api/v1/query` answers as Prometheus does: one number, or one for each query of a joined question.
"""

from __future__ import annotations

import asyncio
import re
import sys
import time
from urllib.parse import parse_qs

WELL, BAD = 0.004, 0.2
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_MARK = re.compile(r'"firebreak_query", "(\d+)"')


class Source(asyncio.Protocol):
    """One keep-alive connection."""

    def __init__(self) -> None:
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            length = _LENGTH.search(self.buffer, 0, end)
            whole = end + 4 + (int(length[1]) if length else 0)
            if len(self.buffer) < whole:
                return
            line = self.buffer.split(b" ", 2)
            sent, self.buffer = self.buffer[end + 4 : whole], self.buffer[whole:]
            body = answer(line[1].decode(), sent.decode()).encode()
            self.transport.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
                % (len(body), body)
            )


def answer(target: str, form: str) -> str:
    """The body for a request of `target` that sent `form`."""
    path, _, query = target.partition("?")
    if path != "/api/v1/query":
        return f'{{"value": {_value(query)}}}'
    marks = _MARK.findall(parse_qs(form)["query"][0])
    series = ",".join(
        f'{{"metric": {{{mark}}}, "value": [{time.time():.3f}, "{WELL}"]}}'
        for mark in ([f'"firebreak_query": "{number}"' for number in marks] or [""])
    )
    return f'{{"status": "success", "data": {{"resultType": "vector", "result": [{series}]}}}}'


def _value(query: str) -> float:
    if "from=" not in query:
        return WELL
    said = parse_qs(query)
    return BAD if float(said["from"][0]) <= time.time() < float(said["until"][0]) else WELL


async def serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Source, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
