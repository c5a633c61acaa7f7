"""`manage.py rollback REF`: how one rollback stands; with --run, run it with PostgreSQL alone."""

import signal
import sys
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from core import shutdown
from core.playbook import PlaybookError, get_playbook
from rollbacks.executor import commands, foreground
from rollbacks.facts import ActingStep
from rollbacks.models import Rollback, RollbackStep
from rollbacks.states import RollbackState, StepState

SUCCEEDED, ENDED_OTHERWISE, NEEDS_ATTENTION = 0, 1, 3


class Command(BaseCommand):
    help = (
        "Show how a rollback stands and what would happen. With --run, run an approved one to its end here,"
        " whatever its queue and without a broker. Ends with 0 when it succeeded, 3 when it needs a person,"
        " else 1."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("ref", help="Such as RB-2026-07-29-0001.")
        parser.add_argument("--run", action="store_true", help="Run it in this process.")

    def handle(self, *args: Any, ref: str, run: bool, **options: Any) -> None:
        try:
            get_playbook()
        except PlaybookError as error:
            raise CommandError(str(error)) from error
        rollback = Rollback.objects.select_related("incident", "service").filter(ref=ref).first()
        if rollback is None:
            raise CommandError(f"There is no rollback {ref}.")
        refusal = foreground.why_not_run(rollback)
        if run and refusal:
            raise CommandError(
                refusal,
                returncode=NEEDS_ATTENTION
                if rollback.state == RollbackState.NEEDS_ATTENTION
                else ENDED_OTHERWISE,
            )
        self._show(rollback, refusal)
        if run:
            self._run(rollback)

    def _show(self, rollback: Rollback, refusal: str) -> None:
        self._say(f"{rollback.ref} of {rollback.service} for {rollback.incident.ref}")
        self._say(f"{rollback.from_version} → {rollback.target_version} by {rollback.procedure}")
        self._say(f"{rollback.get_state_display()}" + (" (a drill)" if rollback.drill else ""))
        for text in (rollback.attention, rollback.outcome, refusal):
            if text:
                self._say(text)
        for step in rollback.steps.order_by("position"):
            state = str(StepState(step.state).label).lower()
            self._say(
                f"  {step.position:2} {step.phase:8} {step.name}: {state}{_would(rollback, step, refusal)}"
            )
        if not refusal:
            self._say(f"It can be run on {settings.HOST_NAME}: manage.py rollback {rollback.ref} --run")

    def _run(self, rollback: Rollback) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: shutdown.request())
        self._say(f"Running on {settings.HOST_NAME}. Ctrl-C stops between two steps.")
        state = foreground.run_to_the_end(rollback.pk, tell=self._say)
        rollback.refresh_from_db()
        if state is RollbackState.NEEDS_ATTENTION:
            self._say(
                f"{rollback.attention}\nA person decides: {settings.PUBLIC_URL}/rollbacks/{rollback.ref}/"
            )
            sys.exit(NEEDS_ATTENTION)
        self._say(
            rollback.outcome if state in foreground.OVER else "Stopped before its end; run it again to go on."
        )
        sys.exit(SUCCEEDED if state is RollbackState.SUCCEEDED else ENDED_OTHERWISE)

    def _say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()


def _would(rollback: Rollback, step: RollbackStep, refusal: str) -> str:
    """What a step that has not begun would do, where this host's playbook can say it."""
    if refusal or step.state != StepState.PENDING:
        return ""
    if not isinstance(commands.declared(rollback, step), ActingStep):
        return f" ({step.kind})"
    return f" $ {commands.text_for_reading(rollback, step)}"
