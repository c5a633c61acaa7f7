"""The playbook's procedures, as people and programs outside may see them: without commands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from core.playbook import get_playbook
from rollbacks import policy
from rollbacks.playbook import Parameter
from rollbacks.states import Phase


@dataclass(frozen=True)
class ProcedureStep:
    """One declared step."""

    phase: Phase
    key: str
    name: str
    kind: str
    mutating: bool


@dataclass(frozen=True)
class ProcedureRecord:
    """A procedure with its digest, which a rollback pins."""

    key: str
    name: str
    description: str
    digest: str
    expected_duration_seconds: float
    expected_impact: str
    parameters: Mapping[str, Parameter]
    steps: tuple[ProcedureStep, ...]


def list_procedures() -> list[ProcedureRecord]:
    """All procedures, by key."""
    return [_record(key) for key in sorted(get_playbook()["procedures"])]


def _record(key: str) -> ProcedureRecord:
    declared = policy.procedure(key)
    return ProcedureRecord(
        key=key,
        name=declared.name,
        description=declared.description,
        digest=policy.digest(key),
        expected_duration_seconds=declared.expected_duration,
        expected_impact=declared.expected_impact,
        parameters=declared.parameters,
        steps=tuple(
            ProcedureStep(phase, step.key, step.name, step.kind, step.mutating)
            for phase, step in declared.steps()
        ),
    )
