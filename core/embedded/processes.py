"""Processes that end with us, and finding and ending what others left behind."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

LINUX = sys.platform.startswith("linux")
# Loaded before any fork: between fork and exec nothing may import.
_LIBC = ctypes.CDLL(None, use_errno=True) if LINUX else None
_PR_SET_PDEATHSIG = 1


def die_with_parent(death_signal: signal.Signals) -> Callable[[], None]:
    """A `preexec_fn` by which the kernel sends `death_signal` when we die, even of SIGKILL.

    Linux only, elsewhere it does nothing. Start the child from a thread that lives as long as the
    process: the kernel watches the thread.
    """
    parent = os.getpid()

    def ask_kernel() -> None:
        if _LIBC is None:
            return
        _LIBC.prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
        if os.getppid() != parent:  # it died between fork and prctl: nobody would tell us
            os._exit(1)

    return ask_kernel


def processes_in(folder: Path, program: str) -> Iterator[psutil.Process]:
    """The live processes called `program` whose working directory is `folder`."""
    for process in psutil.process_iter():
        try:
            if process.name() != program or process.status() == psutil.STATUS_ZOMBIE:
                continue
            # The link and not its text: in another mount namespace the text can differ.
            where = f"/proc/{process.pid}/cwd" if LINUX else process.cwd()
            if os.path.samefile(where, folder):
                yield process
        except (psutil.Error, OSError):
            continue


def wait_until_gone(folder: Path, program: str, seconds: float) -> list[psutil.Process]:
    """Wait for every `program` at work in `folder` to end; return those still there at the end."""
    deadline = time.monotonic() + seconds
    while (left := list(processes_in(folder, program))) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left


def kill_session(leader: int, seconds: float = 5.0) -> int:
    """SIGKILL what lives in the session or below the process `leader`; return how many that were.

    Goes on until nothing is left, because a process may fork while it is being looked for.
    """
    killed: set[int] = set()
    deadline = time.monotonic() + seconds
    while (left := _session_and_descendants(leader)) and time.monotonic() < deadline:
        for process in left:
            try:
                process.kill()
            except psutil.Error:
                continue
            killed.add(process.pid)
        time.sleep(0.02)
    return len(killed)


def _session_and_descendants(leader: int) -> list[psutil.Process]:
    found: dict[int, psutil.Process] = {}
    with contextlib.suppress(psutil.NoSuchProcess):  # gone: only its session is left to see
        found |= {p.pid: p for p in psutil.Process(leader).children(recursive=True)}
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == leader:
                found[process.pid] = process
        except OSError:
            continue
    return [process for process in found.values() if _is_alive(process)]


def _is_alive(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False
