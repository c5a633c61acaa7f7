"""One whole Firebreak for the stories that do not break it."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.flows.stack import Firebreak


@contextlib.contextmanager
def launching(folder: Path) -> Iterator[Callable[..., Firebreak]]:
    """`launch(NAME=value…)` starts a Firebreak in this folder; it is stopped at the end, the folder gone."""
    started: list[Firebreak] = []

    def start(**environment: str) -> Firebreak:
        firebreak = Firebreak(folder / f"var{len(started)}", **environment)
        started.append(firebreak)
        firebreak.start()
        return firebreak

    yield start
    for firebreak in started:
        if firebreak.process is not None and firebreak.process.poll() is None:
            firebreak.process.terminate()
            try:
                firebreak.process.wait(60)
            finally:
                if firebreak.process.poll() is None:
                    firebreak.process.kill()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Callable[..., Firebreak]]:
    """`launch(NAME=value…)` starts a Firebreak of the test's own; it is stopped at the end."""
    with launching(tmp_path) as start:
        yield start
