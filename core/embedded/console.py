"""What `make run` prints: one line at a time, the time and the source in front."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Iterable
from typing import TextIO

# The source of what the supervisor itself has to say.
SYSTEM = "system"
_COLOURS = (36, 32, 33, 35, 34, 96, 92, 93)
# Logs quote strangers: their escape sequences must not reach the terminal.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class Console:
    """Prints `source | line` with aligned sources; in colour on a terminal unless NO_COLOR is set.

    It never raises when the terminal is gone: a lost terminal must not end a shutdown.
    """

    def __init__(self, sources: Iterable[str], stream: TextIO = sys.stdout) -> None:
        self._stream = stream
        self._sources = list(sources)
        self._width = max(len(name) for name in (SYSTEM, *self._sources))
        self._colour = stream.isatty() and not os.environ.get("NO_COLOR")

    def __call__(self, source: str, line: str) -> None:
        """Print one line of `source`."""
        prefix = f"{time.strftime('%H:%M:%S')} {source:<{self._width}} |"
        if self._colour:
            prefix = f"\x1b[{self._colour_of(source)}m{prefix}\x1b[0m"
        try:
            self._stream.write(f"{prefix} {_CONTROL.sub('?', line)}\n")
            self._stream.flush()
        except (OSError, ValueError):
            self._stream = open(os.devnull, "w")  # noqa: SIM115

    def _colour_of(self, source: str) -> int:
        if source not in self._sources:
            return 1
        return _COLOURS[self._sources.index(source) % len(_COLOURS)]
