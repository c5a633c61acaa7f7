"""What commands leave behind is forgotten some time after the end of their rollback, and not before."""

from __future__ import annotations

import datetime as dt

import pytest
from django.conf import settings

from core.actors import Actor
from core.clock import utcnow
from core.retention import forget_old
from incidents.models import Incident
from rollbacks.executor import run_due
from rollbacks.executor.folders import forget_folders
from rollbacks.models import Rollback, StepOutput
from tests.rollbacks.workshop import Workshop, ask, run

pytestmark = pytest.mark.django_db(transaction=True)


def _ended(rollback: Rollback, days: float) -> None:
    Rollback.objects.filter(pk=rollback.pk).update(completed_at=utcnow() - dt.timedelta(days=days))


def test_output_and_folders_go_and_the_end_of_the_output_stays(
    workshop: Workshop, incident: Incident, commander: Actor
) -> None:
    workshop.command("health_check", "print('all is well')")
    with workshop.open():
        rollback = run(ask(incident, commander))
    folder = settings.VAR_DIR / "runs" / rollback.ref
    stranger = settings.VAR_DIR / "runs" / "RB-1999-01-01-0001"
    stranger.mkdir()
    for days, kept in ((1, (True, True)), (8, (True, False)), (91, (False, False))):
        _ended(rollback, days)
        forget_old(now=utcnow())
        forget_folders(now=utcnow())
        assert (StepOutput.objects.exists(), folder.exists()) == kept
    assert rollback.steps.get(position=1).output_tail == "all is well\n"
    assert stranger.exists(), "what the database does not know is not ours to remove"


def test_of_a_rollback_that_still_runs_nothing_is_forgotten(
    workshop: Workshop, incident: Incident, commander: Actor
) -> None:
    workshop.only({"key": "rest", "kind": "wait", "duration": "1h"})
    workshop.command("health_check", "print('all is well')")
    with workshop.open():
        rollback = ask(incident, commander)
        run_due(now=utcnow())
        later = utcnow() + dt.timedelta(days=400)
        forget_old(now=later)
        assert forget_folders(now=later) == 0
    assert StepOutput.objects.exists()
    assert (settings.VAR_DIR / "runs" / rollback.ref).exists()
