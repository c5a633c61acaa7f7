"""A command: an argv without a shell, in a session of its own, with a timeout and captured output."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from rollbacks.facts import CommandResult, Ending, Invocation, Report

TAIL_BYTES = 65_536
POLL_SECONDS = 0.1
REPORT_SECONDS = 0.7
GRACE_SECONDS = 5.0
_TERMINAL_CODES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")


def run(invocation: Invocation, *, report: Report, should_stop: Callable[[], bool]) -> CommandResult:
    """Run to the end, the timeout or a stop; kills the whole session on the latter two.

    Output goes to a file, so neither its length nor our own death can block the command. A program
    that cannot be started counts as exit code 127 with the reason as its output.
    """
    invocation.output_file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with invocation.output_file.open("wb") as output:
        try:
            process = subprocess.Popen(
                invocation.argv,
                cwd=invocation.directory,
                env=invocation.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                close_fds=True,
            )
        except OSError as error:
            return CommandResult(Ending.EXITED, 127, f"cannot start {invocation.argv[0]}: {error.strerror}")
    ending = _wait(process, invocation, report, should_stop)
    return CommandResult(ending, process.returncode, tail(invocation.output_file))


def _wait(
    process: subprocess.Popen[bytes],
    invocation: Invocation,
    report: Report,
    should_stop: Callable[[], bool],
) -> Ending:
    deadline = time.monotonic() + invocation.timeout_seconds
    reported_at = time.monotonic()
    while True:
        try:
            process.wait(POLL_SECONDS)
            _kill_session(process.pid, signal.SIGKILL)  # what it left behind in its session
            return Ending.EXITED
        except subprocess.TimeoutExpired:
            pass
        if time.monotonic() >= deadline:
            _stop(process)
            return Ending.TIMED_OUT
        if time.monotonic() - reported_at >= REPORT_SECONDS:
            reported_at = time.monotonic()
            report(tail(invocation.output_file))
            if should_stop():
                _stop(process)
                return Ending.CANCELLED


def _stop(process: subprocess.Popen[bytes]) -> None:
    _kill_session(process.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(GRACE_SECONDS)
    _kill_session(process.pid, signal.SIGKILL)
    process.wait()


def _kill_session(session: int, signal_number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(session, signal_number)


def tail(output_file: Path) -> str:
    """The last 64 KiB of the output as clean text: no NUL, no terminal codes, bad UTF-8 marked."""
    with output_file.open("rb") as output:
        size = output.seek(0, os.SEEK_END)
        output.seek(max(0, size - TAIL_BYTES))
        raw = output.read()
    text = _TERMINAL_CODES.sub("", raw.decode("utf-8", "replace")).replace("\0", "\N{REPLACEMENT CHARACTER}")
    return f"… {size - TAIL_BYTES} bytes before this\n{text}" if size > TAIL_BYTES else text
