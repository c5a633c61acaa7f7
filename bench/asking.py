"""`python -m bench.asking PORT KIND SECONDS`: the ceiling of checks, the same HTTP client and nothing around it.

As many requests are under way as the poller allows, over pools as small as its own. Nobody judges an
address, watches a deadline, reads the answer or writes anything. Prints how many monitors that would have
been, and the seconds it took.
"""

from __future__ import annotations

import asyncio
import itertools
import ssl
import sys
import time
from urllib.parse import urlencode

import httpx2

UNDER_WAY = 400
POOL = 10
JOINED = 50
KINDS = ("http_json", "prometheus", "both")
_HEADERS = {"Content-Type": "application/x-www-form-urlencoded"}


async def ask(port: int, kind: str, seconds: float) -> tuple[int, float]:
    trusted = httpx2.create_ssl_context(trust_env=False)  # of no use here, and dear to make for each pool
    began = time.perf_counter()
    counts = await asyncio.gather(
        *(_pool(port, kind, began + seconds, number, trusted) for number in range(UNDER_WAY // POOL))
    )
    return sum(counts), time.perf_counter() - began


async def _pool(port: int, kind: str, deadline: float, number: int, trusted: ssl.SSLContext) -> int:
    form = urlencode({"query": joined(), "timeout": "8s"}).encode()
    base = f"http://127.0.0.1:{port}"

    turns = itertools.count()

    async def one(client: httpx2.AsyncClient, numbered: int) -> int:
        count = 0
        while time.perf_counter() < deadline:
            # With both kinds as many of either: after fifty plain ones a joined one.
            if kind == "prometheus" or (kind == "both" and next(turns) % (JOINED + 1) == JOINED):
                await client.post(f"{base}/api/v1/query", content=form, headers=_HEADERS)
                count += JOINED
            else:
                await client.get(f"{base}/m.json?n={numbered}")
                count += 1
        return count

    async with httpx2.AsyncClient(verify=trusted, trust_env=False, timeout=30) as client:
        return sum(await asyncio.gather(*(one(client, number * POOL + n) for n in range(POOL))))


def joined() -> str:
    """A question as the poller joins it."""
    return " or ".join(
        f'label_replace(\n{query(n)}\n, "firebreak_query", "{n}", "", "")' for n in range(JOINED)
    )


def query(number: int) -> str:
    """What one monitor asks of Prometheus."""
    return f'sum(rate(http_requests_total{{service="service-{number}",code=~"5.."}}[1m]))'


if __name__ == "__main__":
    found = asyncio.run(ask(int(sys.argv[1]), sys.argv[2], float(sys.argv[3])))
    sys.stdout.write(f"{found[0]} {found[1]}\n")
