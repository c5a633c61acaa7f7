"""From a step to what really runs: words, folder and environment, read from this worker's playbook."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from django.conf import settings

from rollbacks import policy
from rollbacks.facts import PLACEHOLDER, ActingStep, Invocation, Work
from rollbacks.models import Rollback, RollbackStep


def prepare(rollback: Rollback, step: RollbackStep) -> Invocation:
    """The invocation of a step that acts.

    Raises policy.ProcedureChanged when this worker's playbook is not the one of the request.
    """
    check_playbook(rollback)
    work = _declared_work(rollback, step)
    values = _values(rollback)
    return Invocation(
        words=tuple(_fill(word, values) for word in work.words),
        home=settings.BASE_DIR,
        directory=settings.BASE_DIR / work.directory,
        environment=_environment(rollback, step),
        timeout_seconds=work.timeout_seconds,
        run_dir=run_dir(rollback, step),
    )


def check_playbook(rollback: Rollback) -> None:
    """Refuse to run a procedure that is not word for word the one that was requested."""
    if policy.digest(rollback.procedure) != rollback.procedure_digest:
        raise policy.ProcedureChanged(
            f"The procedure {rollback.procedure} on {settings.HOST_NAME} differs from the one requested."
        )


def run_dir(rollback: Rollback, step: RollbackStep) -> Path:
    folder: Path = settings.VAR_DIR / "runs" / rollback.ref
    return folder / f"{step.position:02d}-{step.key}.{step.attempt}"


def _declared_work(rollback: Rollback, step: RollbackStep) -> Work:
    _phase, declared = policy.steps_of(rollback.procedure)[step.position - 1]
    assert isinstance(declared, ActingStep)
    return declared.work(policy.commands())


def _values(rollback: Rollback) -> dict[str, str]:
    return {
        "service": rollback.service.slug,
        "environment": rollback.service.environment,
        "from_version": rollback.from_version,
        "target_version": rollback.target_version,
        "var_dir": str(settings.VAR_DIR),
        "python": sys.executable,
        **rollback.parameters,
    }


def _fill(word: str, values: dict[str, str]) -> str:
    """Replace placeholders in one pass: a value is never itself read for placeholders."""
    filled = PLACEHOLDER.sub(lambda match: values[match[1]], word)
    if word.startswith("{") and filled.startswith("-"):
        raise policy.ProcedureChanged(f"The value for {word} begins with a hyphen.")
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
