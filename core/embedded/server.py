"""What the embedded servers have in common: private folders, a foreground child, start and stop."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

from core.embedded.folders import private_dir, socket_dir
from core.embedded.processes import die_with_parent

# How long a predecessor that was told to stop may take to write its last data.
DYING_SECONDS = 30.0


class ServerFailed(RuntimeError):
    """An embedded server cannot start; the message says why and where to look."""


class EmbeddedServer(ABC):
    """One server of ours below `var_dir`, reachable by Unix socket only, in no other hands.

    `durable=False` trades safety against speed, for tests. It ends with this process, however
    this process ends (on Linux).
    """

    name: ClassVar[str]
    stop_signal: ClassVar[signal.Signals]
    force_signal: ClassVar[signal.Signals]

    def __init__(self, var_dir: Path, *, durable: bool = True) -> None:
        self.var_dir = var_dir.resolve()
        self.durable = durable
        self.data = self.var_dir / self.name
        self.log = self.var_dir / "log" / f"{self.name}.log"
        self.sockets = socket_dir(self.var_dir)
        self._process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def prepare(self) -> None:
        """Make the data ready and clear what a killed predecessor left; raises ServerFailed."""

    @abstractmethod
    def command(self) -> list[str]:
        """The argv of the server in the foreground."""

    @abstractmethod
    def is_ready(self) -> bool:
        """Whether it answers on its socket."""

    @property
    def pid(self) -> int | None:
        """The process id of the running server, None when it does not run."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def alive(self) -> bool:
        """Whether the process that `start` launched still runs."""
        return self.pid is not None

    def start(self, timeout_seconds: float = 120.0) -> None:
        """Start and wait until it answers; also after a crash of the former one.

        Raises ServerFailed, and NotPrivate for folders in other hands.
        """
        if os.geteuid() == 0:
            raise ServerFailed(
                f"{self.name} does not run as root: start through"
                " `python -m core.embedded.unprivileged`, as `make run` does."
            )
        for folder in (self.sockets, self.log.parent):
            private_dir(folder)
        self.prepare()
        self._process = self.launch(self.command())
        deadline = time.monotonic() + timeout_seconds
        while not self.is_ready():
            if self._process.poll() is not None:
                raise ServerFailed(f"{self.name} ended with {self._process.returncode}: see {self.log}")
            if time.monotonic() > deadline:
                self.stop()
                raise ServerFailed(f"{self.name} does not answer: see {self.log}")
            time.sleep(0.05)

    def launch(self, argv: list[str]) -> subprocess.Popen[bytes]:
        """Run `argv` beside us, its output in the log, ending when we end."""
        with open(self.log, "ab", opener=_private) as log:
            return subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                umask=0o077,
                start_new_session=True,  # Ctrl-C in the terminal is the supervisor's to hear
                preexec_fn=die_with_parent(self.stop_signal),
            )

    def stop(self, timeout_seconds: float = 30.0) -> None:
        """Stop in order; by force when that takes longer than `timeout_seconds`."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(self.stop_signal)
        try:
            self._process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            self._process.send_signal(self.force_signal)
            self._process.wait(timeout_seconds)


def package_dir(package: str) -> Path:
    """The folder of an installed package, found without importing it."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ServerFailed(f"{package} is not installed: run `make install`.")
    return Path(next(iter(spec.submodule_search_locations)))


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
