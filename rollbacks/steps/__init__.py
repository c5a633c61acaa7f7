"""What a step can do: one module per kind, each knows neither the ORM nor its neighbours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from rollbacks.facts import ActingStep, Invocation, Report, StepResult
from rollbacks.steps import command, http


class Run(Protocol):
    """Does the work of one step; it reports about twice a second and ends soon after `should_stop`."""

    def __call__(
        self, invocation: Invocation, *, report: Report, should_stop: Callable[[], bool]
    ) -> StepResult: ...


@dataclass(frozen=True)
class Kind:
    """A kind of step: its part of the playbook, and what does it.

    `resumes` says that `run`, called again for the same attempt after a worker died, takes up or harvests
    what was begun, and never begins it twice.
    """

    model: type[ActingStep]
    run: Run
    resumes: bool = False


STEPS: Mapping[str, Kind] = {
    "command": Kind(command.CommandStep, command.run, resumes=True),
    "http": Kind(http.HttpStep, http.run),
}
