"""A command: an argv without a shell, in a session of its own, with a timeout and captured output."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field

from core.playbook.schema import Key
from rollbacks.facts import ActingStep, Command, Ending, Invocation, Report, StepResult, Work

TAIL_BYTES = 65_536
POLL_SECONDS = 0.1
REPORT_SECONDS = 0.7
GRACE_SECONDS = 5.0
_TERMINAL_CODES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")


class CommandStep(ActingStep):
    """Run a program of commands.yaml."""

    kind: Literal["command"] = Field(default="command", description="A program; this is the usual kind.")
    command: Key = Field(description="Which command of commands.yaml.")

    def work(self, commands: Mapping[str, Command]) -> Work:
        command = commands[self.command]
        return Work(command.argv, command.timeout, command.directory or "")


def run(invocation: Invocation, *, report: Report, should_stop: Callable[[], bool]) -> StepResult:
    """Run to the end, the timeout or a stop; kills the whole session on the latter two.

    Output goes to a file, so neither its length nor our own death can block the command. A program
    that cannot be started counts as exit code 127 with the reason as its output.
    """
    invocation.output_file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with invocation.output_file.open("wb") as output:
        try:
            process = subprocess.Popen(
                (_program(invocation), *invocation.words[1:]),
                cwd=invocation.directory,
                env=invocation.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                close_fds=True,
            )
        except OSError as error:
            return StepResult(Ending.EXITED, 127, f"cannot start {invocation.words[0]}: {error.strerror}")
    ending = _wait(process, invocation, report, should_stop)
    return StepResult(ending, process.returncode, tail(invocation.output_file))


def _program(invocation: Invocation) -> str:
    """A relative path counts from Firebreak's folder; a bare name is looked up in PATH."""
    program = invocation.words[0]
    return str(invocation.home / program) if "/" in program else program


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
