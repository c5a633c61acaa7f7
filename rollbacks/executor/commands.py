"""From a step to what really runs: words, folder and environment, read from this worker's playbook."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from django.conf import settings

from incidents.models import Release
from rollbacks import policy
from rollbacks.facts import PLACEHOLDER, ActingStep, Invocation, Work
from rollbacks.models import Rollback, RollbackStep
from rollbacks.playbook import AnyStep
from rollbacks.steps.command import work_of
from rollbacks.supervisor import recording


def declared(rollback: Rollback, step: RollbackStep) -> AnyStep:
    """What the playbook says about the step."""
    return policy.steps_of(rollback.procedure)[step.position - 1][1]


def acting(rollback: Rollback, step: RollbackStep) -> ActingStep:
    """What the playbook says about a step that acts."""
    found = declared(rollback, step)
    assert isinstance(found, ActingStep)
    return found


def prepare(
    rollback: Rollback, step: RollbackStep, *, resumed: bool = False, begun: bool = False
) -> Invocation:
    """The invocation of a step's attempt: of its work, or of its compensation while it is being undone.

    Raises policy.ProcedureChanged when this worker's playbook or the row's plan is not the one of the
    request; what has `begun` is only waited for, so nothing is refused any more.
    """
    if not begun:
        check_plan(rollback)
    said = acting(rollback, step)
    if step.compensating:
        assert said.compensate_with is not None
        work = work_of(policy.commands()[said.compensate_with])
    else:
        work = said.work(policy.commands())
    return _invocation(rollback, step, work, run_dir(rollback, step), resumed=resumed)


def probe(rollback: Rollback, step: RollbackStep, command: str) -> Invocation:
    """The invocation of a command that stands beside the step's work; each probe has its own folder."""
    check_plan(rollback)
    beside = run_dir(rollback, step)
    number = sum(1 for _ in beside.glob(f"{command}.*")) + 1
    return _invocation(rollback, step, work_of(policy.commands()[command]), beside / f"{command}.{number}")


def check_playbook(rollback: Rollback) -> None:
    """Refuse to run a procedure that is not word for word the one that was requested."""
    if policy.digests().get(rollback.procedure) != rollback.procedure_digest:
        raise policy.ProcedureChanged(
            f"The procedure {rollback.procedure} on {settings.HOST_NAME} differs from the one requested."
        )


def check_plan(rollback: Rollback) -> None:
    """Refuse to run anything but what was approved, whoever has edited playbook or row meanwhile."""
    check_playbook(rollback)
    if why := why_not_as_requested(rollback):
        raise policy.ProcedureChanged(f"Not a step further: {why}.")


def why_not_as_requested(rollback: Rollback) -> str:
    """Whether the row's target and parameters are those that its digest was made of."""
    digest = policy.plan_digest(
        procedure_digest=rollback.procedure_digest,
        service=rollback.service.slug,
        target_version=rollback.target_version,
        parameters=rollback.parameters,
    )
    return "" if digest == rollback.plan_digest else "the plan was edited after it was requested"


def run_dir(rollback: Rollback, step: RollbackStep) -> Path:
    """The folder of the step's present attempt."""
    folder: Path = settings.VAR_DIR / "runs" / rollback.ref
    return folder / f"{step.position:02d}-{step.key}.{step.attempt}"


def text_for_reading(rollback: Rollback, step: RollbackStep) -> str:
    """The words that would run, as one line for people: without anything that looks like a secret."""
    values = _values(rollback)
    words = [_fill(word, values) for word in acting(rollback, step).work(policy.commands()).words]
    return recording.clean(shlex.join(words).encode())


def _invocation(
    rollback: Rollback, step: RollbackStep, work: Work, folder: Path, *, resumed: bool = False
) -> Invocation:
    values = _values(rollback)
    encoded = {name: quote(value, safe="") for name, value in values.items()}
    return Invocation(
        words=tuple(
            _fill(word, encoded if index in work.encoded else values) for index, word in enumerate(work.words)
        ),
        home=settings.BASE_DIR,
        directory=settings.BASE_DIR / work.directory,
        environment=_environment(rollback, step),
        timeout_seconds=work.timeout_seconds,
        run_dir=folder,
        key=f"{rollback.ref}:{step.position}" + (":undo" if step.compensating else ""),
        resumed=resumed,
        options=work.options,
        memory=step.memory,
    )


def _values(rollback: Rollback) -> dict[str, str]:
    target = Release.objects.filter(service=rollback.service, version=rollback.target_version).first()
    return {
        "service": rollback.service.slug,
        "environment": rollback.service.environment,
        "from_version": rollback.from_version,
        "target_version": rollback.target_version,
        "commit": target.commit if target else "",
        "artifact": target.artifact if target else "",
        "incident": rollback.incident.ref,
        "rollback": rollback.ref,
        "var_dir": str(settings.VAR_DIR),
        "python": sys.executable,
        **rollback.parameters,
    }


def _fill(word: str, values: Mapping[str, str]) -> str:
    """Replace placeholders in one pass: a value is never itself read for placeholders."""
    filled = PLACEHOLDER.sub(lambda match: values[match[1]], word)
    if word.startswith("{") and filled.startswith("-"):
        raise policy.ProcedureChanged(f"The value for {word} begins with a hyphen.")
    if "\0" in filled:
        raise policy.ProcedureChanged(f"The value for {word} has a NUL in it.")
    return filled


def _environment(rollback: Rollback, step: RollbackStep) -> dict[str, str]:
    """Six variables and no more: no secret of Firebreak's reaches a command."""
    return {
        "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
        "HOME": os.environ.get("HOME", "/"),
        "LANG": "C.UTF-8",
        "FIREBREAK_ROLLBACK": rollback.ref,
        "FIREBREAK_STEP": step.key,
        "FIREBREAK_FENCE": str(rollback.fence),
    }
