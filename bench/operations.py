"""What is asked of Firebreak, and what the ceiling is asked beside it."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import quote

API = "/api/v1/incidents/"


@dataclass(frozen=True)
class Operation:
    """One kind of request. `paths` gives the address of each next one.

    `beside` names the operation whose ceiling it is compared with; a page is signed in by session,
    everything else by token.
    """

    name: str
    paths: Callable[[], Iterator[str]]
    beside: str
    method: str = "GET"
    expected: int = 200
    page: bool = False

    @property
    def is_core(self) -> bool:
        return self.name == self.beside


@dataclass(frozen=True)
class History:
    """What the requests ask for: references of stored incidents, a long timeline, a deep cursor."""

    refs: Sequence[str]
    trace: str
    long_ref: str
    deep: str


def operations(history: History) -> list[Operation]:
    """Reading first and creating last, so that what is created does not change what is read."""

    def fixed(path: str) -> Callable[[], Iterator[str]]:
        return lambda: itertools.repeat(path)

    def any_incident(prefix: str) -> Callable[[], Iterator[str]]:
        choose = random.Random(1)
        return lambda: (f"{prefix}{choose.choice(history.refs)}/" for _ in itertools.count())

    lists = {
        "list": "",
        "list ?service": "?service=service-3",
        "list ?severity": "?severity=P0",
        "list ?kind": "?kind=security",
        "list ?open": "?open=true",
        "list ?declared_after": "?declared_after=2020-01-01T00:00:00Z",
        "list ?drill": "?drill=true",
        "list, deep page": f"?cursor={quote(history.deep)}",
        "search, common word": "?search=checkout",
        "search, rare word": f"?search={history.trace}",
    }
    return [
        *(Operation(name, fixed(API + query), "list") for name, query in lists.items()),
        Operation("detail", any_incident(API), "detail"),
        Operation("timeline, long", fixed(f"{API}{history.long_ref}/timeline/"), "list"),
        Operation("samples", fixed("/api/v1/monitors/1/samples/"), "list"),
        Operation("rollbacks", fixed("/api/v1/rollbacks/"), "list"),
        Operation("page Now", fixed("/"), "list", page=True),
        Operation("page Incidents", fixed("/incidents/"), "list", page=True),
        Operation("page of an incident", any_incident("/incidents/"), "list", page=True),
        Operation("page, long timeline", fixed(f"/incidents/{history.long_ref}/"), "list", page=True),
        Operation("page of a service", fixed("/services/service-3/"), "list", page=True),
        Operation("create", fixed(API), "create", method="POST", expected=201),
    ]


def new_incident(number: int) -> bytes:
    """The body of a create, no two alike."""
    return json.dumps(
        {
            "title": f"Checkout answers with errors, seen by probe {number}",
            "severity": f"P{number % 4}",
            "description": "The error rate rose within two minutes. " * 6,
            "services": [f"service-{1 + number % 20}"],
        }
    ).encode()


def requests(operation: Operation, *, token: str, cookie: str) -> Callable[[], bytes]:
    """The bytes of each next request."""
    paths, numbers = operation.paths(), itertools.count()
    login = f"Cookie: {cookie}" if operation.page else f"Authorization: Bearer {token}"

    def make() -> bytes:
        head = f"{operation.method} {next(paths)} HTTP/1.1\r\nHost: 127.0.0.1\r\n{login}\r\n"
        if operation.method == "GET":
            return f"{head}\r\n".encode()
        body = new_incident(next(numbers))
        return f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body

    return make
