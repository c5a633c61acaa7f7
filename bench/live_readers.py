"""`python -m bench.live_readers`: many open pages in one process, each with its stream and what it then asks for.

Reads one line of JSON: port, cookie, pages [(address, panels, topic)], sessions, count, seconds. Prints "open"
when all streams are, and at the end `[[change, page, time], …]`: when each page first had each change.
A page does what static/firebreak/live.js does: it gathers for 40 ms and as long as the event asks it to
wait, asks for its panels once, and asks again when more came meanwhile.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import sys
import time
from typing import Any

GATHER_SECONDS = 0.04
_CHANGE = re.compile(rb"Change (\d+) ")
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_DIGEST = re.compile(rb'"digest":"([0-9a-f]+)"')


class Reader:
    """One open page."""

    def __init__(self, task: dict[str, Any], index: int, found: list[tuple[int, int, float]]) -> None:
        self.port, self.index, self.found = task["port"], index, found
        self.address, self.panels, self.topic = task["pages"][index % len(task["pages"])]
        session = task["sessions"][index % len(task["sessions"])]
        self.headers = f"Host: 127.0.0.1\r\nCookie: {task['cookie']}={session}\r\n\r\n"
        self.newest = 0
        self.seen: set[int] = set()
        self.have = ""
        self.news = asyncio.Event()
        self.spread = 0.0
        self.failures = 0

    async def listen(self, opened: asyncio.Semaphore) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(f"GET /live/?since= HTTP/1.1\r\n{self.headers}".encode())
        status = await reader.readline()
        if b" 200 " not in status:
            raise RuntimeError(f"the stream is refused: {status!r}")
        opened.release()
        async for line in reader:
            if not line.startswith(b"data: "):
                continue
            said = json.loads(line[6:])
            if self.topic in said["topics"] or "resync" in said["topics"]:
                if said.get("change"):
                    self.seen.add(said["change"])
                self.spread = said.get("spread", 0) / 1000
                self.news.set()

    async def fetch(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        while True:
            await self.news.wait()
            await asyncio.sleep(GATHER_SECONDS + random.uniform(0, self.spread))
            self.news.clear()
            seen, self.seen = ",".join(map(str, self.seen)), set()
            query = f"panels={self.panels}" + (f"&have={self.have}" if self.have else "")
            query += f"&seen={seen}" if seen else ""
            writer.write(f"GET {self.address}?{query} HTTP/1.1\r\n{self.headers}".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            length = _LENGTH.search(head)
            body = await reader.readexactly(int(length[1])) if length else b""
            if b" 200 " not in head.split(b"\r\n", 1)[0]:
                self.failures += 1
                continue
            self.have = b",".join(_DIGEST.findall(body)).decode()
            now = time.time()
            newest = max((int(number) for number in _CHANGE.findall(body)), default=self.newest)
            for change in range(self.newest + 1, newest + 1):
                self.found.append((change, self.index, now))
            self.newest = max(newest, self.newest)


async def read(task: dict[str, Any]) -> None:
    found: list[tuple[int, int, float]] = []
    opened = asyncio.Semaphore(0)
    readers = [Reader(task, index, found) for index in range(task["count"])]
    running = []
    for each in readers:
        running += [asyncio.create_task(each.listen(opened)), asyncio.create_task(each.fetch())]
        await asyncio.sleep(0.002)
    for _each in readers:
        await asyncio.wait_for(opened.acquire(), 60)
    sys.stdout.write("open\n")
    sys.stdout.flush()
    began = time.process_time()
    await asyncio.to_thread(sys.stdin.readline)
    for one in running:
        if one.done() and one.exception():
            raise RuntimeError("a reader ended") from one.exception()
        one.cancel()
    failures = sum(each.failures for each in readers)
    said = {"found": found, "failures": failures, "own_seconds": time.process_time() - began}
    sys.stdout.write(json.dumps(said) + "\n")


if __name__ == "__main__":
    asyncio.run(read(json.loads(sys.stdin.readline())))
