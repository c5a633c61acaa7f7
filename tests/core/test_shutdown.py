"""A process that is asked to stop, at the worst of moments."""

from __future__ import annotations

import subprocess
import sys

import pytest

# The main thread holds the event's lock, as it does for an instant at the start and end of each wait.
AT_THE_WORST_OF_MOMENTS = """
import os, signal, threading
{made}
with event._cond:
    os.kill(os.getpid(), signal.SIGTERM)
    for _ in range(1000):
        pass
print(event.wait(10))
"""
HANDLERS = {
    "core": "from core import shutdown\nevent = shutdown._requested\n"
    "signal.signal(signal.SIGTERM, lambda *_: shutdown.request())",
    "the demo": "from demo.storefront.signals import set_on\nevent = threading.Event()\nset_on(event, signal.SIGTERM)",
}


@pytest.mark.parametrize("made", HANDLERS.values(), ids=HANDLERS)
def test_a_signal_that_comes_in_the_middle_of_a_wait_is_heard(made: str) -> None:
    code = AT_THE_WORST_OF_MOMENTS.format(made=made)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=20, check=False
    )
    assert (done.stdout, done.stderr) == ("True\n", "")
