"""A command: an argv without a shell, under a supervisor that outlives the worker."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from typing import Literal

from pydantic import Field

from core.playbook.schema import Key, PositiveSeconds
from rollbacks import supervisor
from rollbacks.facts import ActingStep, Command, Ending, Invocation, Report, StepResult, Work
from rollbacks.supervisor import Life, recording
from rollbacks.supervisor.program import failpoint

# Most read-backs are over in a moment: it looks often at first, then ever less.
FIRST_POLL_SECONDS, POLL_SECONDS = 0.01, 0.1
REPORT_SECONDS = 0.4
SHOWN_BYTES = 8_192
STARTS = 3
MEBIBYTE = 1_048_576


class CommandStep(ActingStep):
    """Run a program of commands.yaml."""

    kind: Literal["command"] = Field(default="command", description="A program; this is the usual kind.")
    command: Key = Field(description="Which command of commands.yaml.")
    timeout: PositiveSeconds | None = Field(
        default=None, description="Instead of the timeout of the command in commands.yaml."
    )

    def work(self, commands: Mapping[str, Command]) -> Work:
        return work_of(commands[self.command], timeout=self.timeout)


def work_of(command: Command, *, timeout: float | None = None) -> Work:
    """What running a command of commands.yaml is."""
    limits = command.limits
    options = {
        "no_output_timeout_seconds": command.no_output_timeout,
        "limits": {
            "processes": limits.processes,
            "open_files": limits.open_files,
            "memory_bytes": limits.memory_mib and limits.memory_mib * MEBIBYTE,
            "file_size_bytes": limits.file_size_mib and limits.file_size_mib * MEBIBYTE,
        },
    }
    return Work(command.argv, timeout or command.timeout, command.directory or "", options=options)


def run(invocation: Invocation, *, report: Report, should_stop: Callable[[], bool]) -> StepResult:
    """Begin the command, or take up what another worker began, and wait for its end.

    A program that cannot be started counts as exit code 127 with the reason as its output.
    """
    if invocation.resumed and not invocation.run_dir.exists():
        return StepResult(Ending.UNKNOWN, None, "", note="the folder of the attempt is gone")
    starts = 0
    started: subprocess.Popen[bytes] | None = None
    reported_at = time.monotonic()
    pause = FIRST_POLL_SECONDS
    while True:
        life = supervisor.look(invocation.run_dir)
        if life is Life.ENDED:
            return _harvest(invocation)
        if life is Life.LOST:
            return _lost(invocation)
        if life is Life.UNCLAIMED and (started is None or started.poll() is not None):
            if starts == STARTS and supervisor.forbid(invocation.run_dir):
                return StepResult(Ending.EXITED, 127, "", note="its supervisor does not start")
            started, starts = supervisor.start(invocation.run_dir, _job(invocation)), starts + 1
            failpoint("worker.spawned")
        if time.monotonic() - reported_at >= REPORT_SECONDS:
            reported_at = time.monotonic()
            report(recording.tail(invocation.run_dir / "output", SHOWN_BYTES))
            if should_stop():
                supervisor.ask_to_stop(invocation.run_dir)
        time.sleep(pause)
        pause = min(pause * 1.3, POLL_SECONDS)


def _job(invocation: Invocation) -> supervisor.Job:
    return supervisor.Job(
        program=_program(invocation),
        argv=invocation.words,
        directory=str(invocation.directory),
        environment=invocation.environment,
        timeout_seconds=invocation.timeout_seconds,
        no_output_timeout_seconds=invocation.options["no_output_timeout_seconds"],
        limits=invocation.options["limits"],
    )


def _program(invocation: Invocation) -> str:
    """A relative path counts from Firebreak's folder; a bare name is looked up in the command's PATH."""
    program = invocation.words[0]
    if "/" in program:
        return os.path.join(invocation.home, program)
    return shutil.which(program, path=invocation.environment["PATH"]) or program


def _harvest(invocation: Invocation) -> StepResult:
    end = supervisor.ended(invocation.run_dir)
    said = recording.tail(invocation.run_dir / "output")
    if end.survivors:
        note = f"{end.survivors} of its processes could not be ended"
        return StepResult(Ending.UNKNOWN, end.exit_code, said, note=note)
    if end.ending == "cancelled":
        return StepResult(Ending.CANCELLED, end.exit_code, said)
    if end.ending == "silent":
        return StepResult(Ending.TIMED_OUT, end.exit_code, said, note="said nothing for too long")
    if end.ending == "timed_out":
        return StepResult(Ending.TIMED_OUT, end.exit_code, said)
    return StepResult(Ending.EXITED, end.exit_code, said)


def _lost(invocation: Invocation) -> StepResult:
    """Begun, and nobody can say how it ended: nothing of it may go on while that is found out."""
    left = supervisor.end_leftovers(invocation.run_dir)
    note = "its supervisor died" + (f"; {left} processes of it were ended" if left else "")
    return StepResult(Ending.UNKNOWN, None, recording.tail(invocation.run_dir / "output"), note=note)
