"""Reading a JSON file on every request without reading it every time."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from demo.storefront.site import read_json


class WatchedJson:
    """A JSON file that is replaced in one step, read again only when it was."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[tuple[int, int], dict[str, Any] | None] | None = None

    def read(self) -> dict[str, Any] | None:
        try:
            stat = os.stat(self._path)
        except FileNotFoundError:
            return None
        identity = (stat.st_ino, stat.st_mtime_ns)
        seen = self._seen
        if seen is None or seen[0] != identity:
            seen = (identity, read_json(self._path))
            self._seen = seen
        return seen[1]
