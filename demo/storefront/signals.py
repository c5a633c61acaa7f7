"""Being asked to end."""

from __future__ import annotations

import _thread
import signal
import threading


def set_on(event: threading.Event, *numbers: signal.Signals) -> None:
    """Set `event` when one of these signals comes.

    By a thread of its own: the handler runs between two steps of the main thread, which may just then hold
    the event's own lock, and would wait for itself forever.
    """
    for number in numbers:
        signal.signal(number, lambda *_: _thread.start_new_thread(event.set, ()))
