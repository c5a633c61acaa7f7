"""Whether this process has been asked to stop, for work that can stop between two of its steps."""

import _thread
import threading

# How long whoever stops a process waits for a step of a rollback that has begun: `make run`, and the
# units and the compose file in deploy/ (a test compares them). No command may take longer.
STEP_GRACE_SECONDS = 900.0

_requested = threading.Event()


def request() -> None:
    """Called by the process's signal handling.

    Not set right here: a handler runs between two steps of the main thread, which may just then hold the
    event's own lock in `wait`, and would wait for itself forever.
    """
    _thread.start_new_thread(_requested.set, ())


def requested() -> bool:
    return _requested.is_set()


def wait(seconds: float) -> bool:
    """Sleep, but not beyond the request to stop; returns whether it came."""
    return _requested.wait(seconds)
