"""The edge: a CDN in small, which keeps the public catalogue for an hour, whatever release made it.

As with a real one, a rollback does not reach it: until it is purged, the catalogue of the bad release is
handed out by the good one.
"""

from __future__ import annotations

import time

from demo.storefront.site import Site, read_json, write_json

PATHS = {"/catalogue.json": "catalogue"}
LIFETIME_SECONDS = 3600.0


class Edge:
    """What is kept of answers to GET, by path."""

    def __init__(self, site: Site) -> None:
        self._folder = site.edge

    def get(self, path: str) -> bytes | None:
        name = PATHS.get(path)
        entry = read_json(self._folder / f"{name}.json") if name else None
        if entry is None or time.time() - entry["kept_at"] > LIFETIME_SECONDS:
            return None
        return str(entry["body"]).encode()

    def put(self, path: str, body: bytes) -> None:
        if name := PATHS.get(path):
            write_json(self._folder / f"{name}.json", {"kept_at": time.time(), "body": body.decode()})


def purge(site: Site) -> int:
    """Forget everything the edge keeps; the number of answers."""
    kept = list(site.edge.glob("*.json"))
    for answer in kept:
        answer.unlink(missing_ok=True)
    return len(kept)
