"""Runs the processes of a Procfile: starts in order, restarts after a crash, stops in reverse."""

from __future__ import annotations

import os
import selectors
import shlex
import signal
import string
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Protocol

from core.embedded.child import Backoff, Child, RunningChild
from core.embedded.console import SYSTEM

Say = Callable[[str, str], None]
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# One Ctrl-C or hang-up may arrive twice (from the terminal, from make, from the shell).
SAME_REQUEST_SECONDS = 1.0
REMIND_EVERY_SECONDS = 5.0


class ProcfileInvalid(ValueError):
    """A line of a Procfile cannot be read; the message names file and line."""


class Server(Protocol):
    """Something the children need that is started again when it has died."""

    @property
    def name(self) -> str:
        """What it is called in messages."""

    def alive(self) -> bool:
        """Whether it runs."""

    def start(self) -> None:
        """Start it and wait until it answers; raises OSError or RuntimeError."""


class Supervisor:
    """Keeps `children` running until SIGINT, SIGTERM or SIGHUP.

    The first signal stops them one after the other, the last first: each main process gets its
    stop signal (never the group: Celery would lose its running tasks) and its grace period. A
    second Ctrl-C or TERM kills what is left with its whole session. Output arrives at
    `say(source, line)`.
    """

    def __init__(self, children: Sequence[Child], say: Say, servers: Sequence[Server] = ()) -> None:
        self._say = say
        self._selector = selectors.DefaultSelector()
        self._children = [RunningChild(child, self._selector) for child in children]
        self._servers = [(server, Backoff()) for server in servers]
        self._stop_requested_at: float | None = None
        self._forced = False

    def run(self) -> int:
        """Run until told to stop; 0 when everything ended by itself, 1 when one was killed."""
        with self._listening_for_signals():
            while self._stop_requested_at is None:
                for child in self._children:
                    self._keep_running(child)
                self._tend(0.2)
            self._say(SYSTEM, "stopping: what runs may finish; Ctrl-C again stops it now")
            # A list: all() alone would leave the others running after the first that was killed.
            stopped = [self._stop(child) for child in reversed(self._children) if child.started]
            return 0 if all(stopped) else 1

    def _keep_running(self, child: RunningChild) -> None:
        now = time.monotonic()
        if child.started and not child.alive():
            ending = self._clear_away(child)
            self._say(SYSTEM, f"{ending}; starting again in {child.backoff.failed(now):.1f} s")
        elif not child.started and child.backoff.is_over(now) and self._stop_requested_at is None:
            try:
                child.start()
            except OSError as error:
                delay = child.backoff.failed(now)
                name = child.child.name
                self._say(SYSTEM, f"{name} cannot start: {error}; trying again in {delay:.1f} s")

    def _tend(self, seconds: float) -> None:
        """Wait for output at most `seconds` and pass it on; see to the servers underneath."""
        for key, _ in self._selector.select(seconds):
            child: RunningChild = key.data
            for line in child.read_lines():
                self._say(child.child.name, line)
        now = time.monotonic()
        for server, backoff in self._servers:
            if not server.alive() and backoff.is_over(now):
                delay = backoff.failed(now)
                self._say(SYSTEM, f"{server.name} died: starting it again")
                try:
                    server.start()
                except (OSError, RuntimeError) as error:
                    self._say(SYSTEM, f"{error} Trying again in {delay:.1f} s.")

    def _stop(self, child: RunningChild) -> bool:
        """Stop one child; whether it ended by itself."""
        name, grace = child.child.name, child.child.grace_seconds
        began = reminded = time.monotonic()
        child.send_stop_signal()
        while child.alive() and not self._forced:
            now = time.monotonic()
            if now - began > grace:
                self._say(SYSTEM, f"{name} did not end within {grace:g} s")
                break
            if now - reminded >= REMIND_EVERY_SECONDS:
                reminded = now
                self._say(SYSTEM, f"waiting for {name} since {now - began:.0f} s")
            self._tend(0.1)
        by_itself = not child.alive()
        self._say(SYSTEM, self._clear_away(child))
        return by_itself

    def _clear_away(self, child: RunningChild) -> str:
        ending, killed = child.clear_away()
        for line in child.last_lines():
            self._say(child.child.name, line)
        return f"{ending} ({killed} processes of it killed)" if killed else ending

    @contextmanager
    def _listening_for_signals(self) -> Iterator[None]:
        before = {number: signal.signal(number, self._on_signal) for number in STOP_SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        now = time.monotonic()
        if self._stop_requested_at is None:
            self._stop_requested_at = now
        elif number != signal.SIGHUP and now - self._stop_requested_at > SAME_REQUEST_SECONDS:
            self._forced = True  # a lost terminal alone never costs a running step


def parse_procfile(path: Path, env: Mapping[str, str] = os.environ) -> dict[str, list[str]]:
    """The argv of each process by its name, in the file's order.

    `$NAME` and `${NAME}` come from `env`; `python` as first word is the running interpreter.
    Raises ProcfileInvalid.
    """
    processes: dict[str, list[str]] = {}
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, colon, command = line.partition(":")
        name = name.strip()
        try:
            # Split before expanding: a value with a space stays one argument.
            argv = [string.Template(word).substitute(env) for word in shlex.split(command)]
        except (ValueError, KeyError) as error:
            raise ProcfileInvalid(f"{path}:{number}: {error!r}") from error
        if not (name and colon and argv) or name in processes:
            raise ProcfileInvalid(f"{path}:{number}: expected a new `name: command`")
        processes[name] = [sys.executable, *argv[1:]] if argv[0] == "python" else argv
    return processes
