"""Whether this process has been asked to stop, for work that can stop between two of its steps."""

import threading

_requested = threading.Event()


def request() -> None:
    """Called by the process's signal handling."""
    _requested.set()


def requested() -> bool:
    return _requested.is_set()


def wait(seconds: float) -> bool:
    """Sleep, but not beyond the request to stop; returns whether it came."""
    return _requested.wait(seconds)
