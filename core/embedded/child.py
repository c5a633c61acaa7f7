"""One supervised process: how it is declared, started, read, ended, and when it may start again."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from core.embedded.processes import die_with_parent, kill_session

FIRST_DELAY_SECONDS = 0.5
LONGEST_DELAY_SECONDS = 30.0
# What ran this long before it ended had started well: the next delay is the first one again.
HEALTHY_AFTER_SECONDS = 30.0
READ_BYTES = 1024 * 1024  # more than a pipe holds: one read empties it


@dataclass(frozen=True)
class Child:
    """A process to keep running.

    `stop_signal` asks its main process to end, which it has to do within `grace_seconds`.
    `death_signal` is what the kernel sends it when the supervisor itself was killed and nobody
    waits any more. `env` replaces the supervisor's own environment.
    """

    name: str
    argv: Sequence[str]
    stop_signal: signal.Signals = signal.SIGTERM
    grace_seconds: float = 10.0
    death_signal: signal.Signals = signal.SIGTERM
    env: Mapping[str, str] | None = None
    cwd: Path | None = None


class Backoff:
    """How long to wait before the next start: 0.5 s after one failure, doubled to at most 30 s."""

    def __init__(self) -> None:
        self._failures = 0
        self._due = 0.0

    def failed(self, now: float) -> float:
        """Note a failure at `now` (monotonic seconds); return the seconds to wait."""
        healthy = now - self._due > HEALTHY_AFTER_SECONDS
        self._failures = 1 if healthy else self._failures + 1
        delay = min(FIRST_DELAY_SECONDS * 2.0 ** (self._failures - 1), LONGEST_DELAY_SECONDS)
        self._due = now + delay
        return delay

    def is_over(self, now: float) -> bool:
        """Whether it may start at `now`."""
        return now >= self._due


class RunningChild:
    """The process of a Child through its starts and ends."""

    def __init__(self, child: Child, selector: selectors.BaseSelector) -> None:
        self.child = child
        self.backoff = Backoff()
        self._selector = selector
        self._process: subprocess.Popen[bytes] | None = None
        self._output = -1
        self._partial_line = b""
        self._started_at = 0.0

    def start(self) -> None:
        """Start the process in a session of its own; raises OSError when there is no program."""
        env = os.environ if self.child.env is None else self.child.env
        self._output, theirs = os.pipe()
        try:
            self._process = subprocess.Popen(
                self.child.argv,
                stdin=subprocess.DEVNULL,
                stdout=theirs,
                stderr=theirs,
                env={**env, "PYTHONUNBUFFERED": "1"},
                cwd=self.child.cwd,
                start_new_session=True,
                preexec_fn=die_with_parent(self.child.death_signal),
            )
        except OSError:
            os.close(self._output)
            raise
        finally:
            os.close(theirs)
        os.set_blocking(self._output, False)
        self._selector.register(self._output, selectors.EVENT_READ, self)
        self._started_at = time.monotonic()

    @property
    def started(self) -> bool:
        """Whether there is a process: it runs, or ended and was not cleared away yet."""
        return self._process is not None

    def alive(self) -> bool:
        """Whether its main process runs."""
        return self._process is not None and self._process.poll() is None

    def send_stop_signal(self) -> None:
        """Ask the main process, and it alone, to end."""
        if self._process is not None:
            self._process.send_signal(self.child.stop_signal)

    def read_lines(self) -> list[str]:
        """The complete lines it has written since the last call; never waits."""
        try:
            chunk = os.read(self._output, READ_BYTES)
        except BlockingIOError:
            chunk = b""
        if not chunk:  # the end, when the selector called it readable
            self._stop_listening()
        *lines, self._partial_line = (self._partial_line + chunk).split(b"\n")
        if len(self._partial_line) > READ_BYTES:
            lines.append(self._partial_line)
            self._partial_line = b""
        return [line.decode(errors="replace").rstrip("\r") for line in lines]

    def last_lines(self) -> list[str]:
        """What it had still to say; closes its output."""
        lines = self.read_lines()
        if self._partial_line:
            lines.append(self._partial_line.decode(errors="replace"))
            self._partial_line = b""
        self._stop_listening()
        os.close(self._output)
        return lines

    def clear_away(self) -> tuple[str, int]:
        """End what is left of it, also processes its main process left behind.

        Returns how it ended, for people, and how many processes had to be killed.
        """
        process, self._process = self._process, None
        if process is None:
            raise ValueError(f"{self.child.name} was not started")
        killed = kill_session(process.pid)
        status = process.wait()
        how = f"ended with {status}" if status >= 0 else f"killed by {_signal_name(-status)}"
        ran = time.monotonic() - self._started_at
        return f"{self.child.name} {how} after {ran:.1f} s", killed

    def _stop_listening(self) -> None:
        if self._output in self._selector.get_map():
            self._selector.unregister(self._output)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"signal {number}"
