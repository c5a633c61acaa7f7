"""Real processes for the tests of the embedded servers: short folders, programs, waiting."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from core.embedded.folders import socket_dir

BASE_DIR = Path(__file__).resolve().parents[3]

Eventually = Callable[[Callable[[], object]], None]


@pytest.fixture(autouse=True)
def _not_as_root() -> None:
    if os.geteuid() == 0:
        pytest.fail("servers refuse root: run pytest through core.embedded.unprivileged")


@pytest.fixture
def var_dir() -> Iterator[Path]:
    """An empty folder with a path short enough for sockets, removed with its sockets."""
    folder = Path(tempfile.mkdtemp(prefix="fb-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)
    shutil.rmtree(socket_dir(folder), ignore_errors=True)


@pytest.fixture
def eventually() -> Eventually:
    """Waits until a condition holds; fails after a deadline generous for a busy machine."""

    def wait(condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < deadline, "did not happen within a minute"
            time.sleep(0.05)

    return wait


class Program:
    """A Python program in a process of its own, its output read from a file."""

    def __init__(self, source: str, folder: Path) -> None:
        self._output = folder / "output"
        with self._output.open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-c", textwrap.dedent(source)],
                cwd=BASE_DIR,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=os.environ | {"PYTHONUNBUFFERED": "1"},
            )
        self._seen: dict[int, psutil.Process] = {}

    def output(self) -> str:
        return self._output.read_text()

    def below(self) -> list[psutil.Process]:
        """Every living process that was ever seen below it."""
        if self.process.poll() is None:
            for child in psutil.Process(self.process.pid).children(recursive=True):
                self._seen[child.pid] = child
        return [process for process in self._seen.values() if is_running(process)]

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self) -> None:
        for process in self.below():
            process.kill()
        self.process.kill()
        self.process.wait()


def is_running(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Callable[[str], Program]]:
    """Starts Python programs; whatever they leave is ended after the test."""
    started: list[Program] = []

    def start(source: str) -> Program:
        folder = tmp_path / f"program{len(started)}"
        folder.mkdir()
        started.append(Program(source, folder))
        return started[-1]

    yield start
    for one in started:
        one.end()
