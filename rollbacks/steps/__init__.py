"""What a step can do: one module per kind, each knows neither the ORM nor its neighbours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from rollbacks.facts import ActingStep, Invocation, Report, StepResult
from rollbacks.steps import command


class Run(Protocol):
    """Does the work of one step; it reports about once a second and ends soon after `should_stop`."""

    def __call__(
        self, invocation: Invocation, *, report: Report, should_stop: Callable[[], bool]
    ) -> StepResult: ...


STEPS: Mapping[str, tuple[type[ActingStep], Run]] = {
    "command": (command.CommandStep, command.run),
}
