"""What a request, a row or another playbook would smuggle into a command: it never gets there."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction

from core.actors import Actor
from core.clock import utcnow
from core.errors import Invalid
from incidents.models import Incident, Release, Service
from incidents.services.services import record_release
from rollbacks.executor import presence, run_due
from rollbacks.models import Rollback
from rollbacks.services.requests import TargetUnverified
from rollbacks.services.runners import look_after_queues
from rollbacks.states import RunnerKind
from tests.rollbacks.workshop import Workshop, ask, run

pytestmark = pytest.mark.django_db(transaction=True)

CORPUS = [
    "; touch {canary}",
    "$(touch {canary})",
    "`touch {canary}`",
    "| touch {canary}",
    "&& touch {canary}",
    "> {canary}",
    "--upload-pack=touch {canary}",
    "-o ProxyCommand=touch {canary}",
    "--opt",
    "-",
    "a\0b",
    "a\nb",
    "a\rb",
    "../../etc/passwd",
    "{{target_version}}",
    "{python}",
    "{nothing}",
    "%s%n",
    "'; DROP TABLE x; --",
    "\u202e",
    "x" * 10_000,
    " ",
    "",
]
# The whole list is for `make faults`: each of them is a rollback.
HOSTILE = [
    word if number % 6 == 0 else pytest.param(word, marks=pytest.mark.faults)
    for number, word in enumerate(CORPUS)
]
VERSIONS = [
    word if number % 8 == 0 else pytest.param(word, marks=pytest.mark.faults)
    for number, word in enumerate(CORPUS)
    if word.strip() and len(word) < 100 and "\0" not in word
]


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    return tmp_path / "canary"


@pytest.fixture
def echoing(workshop: Workshop, tmp_path: Path) -> Workshop:
    """A command that writes down its whole argv, one parameter of which anybody may choose freely."""
    workshop.only({"key": "echo", "command": "backup_config"})
    workshop.procedure["parameters"] = {"word": {"pattern": "^.*$"}}
    code = f"import json, sys; open({str(tmp_path / 'argv')!r}, 'w').write(json.dumps(sys.argv[1:]))"
    workshop.commands["backup_config"] = {
        "argv": ["{python}", "-c", code, "{word}", "{target_version}"],
        "timeout": "9s",
    }
    return workshop


@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_parameter_is_one_word_of_the_argv_or_refused(
    hostile: str, echoing: Workshop, incident: Incident, commander: Actor, canary: Path, tmp_path: Path
) -> None:
    """With the widest pattern there is: what is not refused arrives as it is, as one word."""
    word = hostile.replace("{canary}", str(canary))
    with echoing.open():
        try:
            rollback = ask(incident, commander, parameters={"word": word})
        except Invalid as error:
            refused = list(error.fields)
        else:
            refused = []
    if refused:
        assert refused == ["parameters/word"]
        assert not Rollback.objects.exists(), "nothing is stored"
        return
    with echoing.open():
        rollback = run(rollback)
    assert rollback.state == "succeeded"
    assert json.loads((tmp_path / "argv").read_text()) == [word, "1.9.0"]
    assert not canary.exists()


def test_what_must_be_refused_is(echoing: Workshop, incident: Incident, commander: Actor) -> None:
    with echoing.open():
        for word in ("--opt", "-", "a\0b", "a\nb", "\u202e", "", "x" * 10_000):
            with pytest.raises(Invalid):
                ask(incident, commander, parameters={"word": word})


@pytest.mark.parametrize("version", VERSIONS)
def test_a_version_with_a_hostile_name_reaches_no_shell(
    version: str,
    echoing: Workshop,
    incident: Incident,
    commander: Actor,
    shop: Service,
    canary: Path,
    tmp_path: Path,
) -> None:
    """A pipeline records it as a release; it is good, and somebody rolls back to it."""
    name = version.replace("{canary}", str(canary))[:100]
    Release.objects.filter(service=shop, version="1.9.0").update(version=name)
    rollback: Rollback | None = None
    with echoing.open(), contextlib.suppress(Invalid, TargetUnverified):
        rollback = run(ask(incident, commander, parameters={"word": "x"}))
    if rollback is not None and rollback.state == "succeeded":
        assert json.loads((tmp_path / "argv").read_text()) == ["x", name]
        assert not name.startswith("-")
    else:
        assert not (tmp_path / "argv").exists()
    assert not canary.exists()


@pytest.mark.parametrize(
    "change",
    [
        {"parameters": {"word": "--force"}},
        {"parameters": {"word": "other"}},
        {"parameters": {"word": "x", "python": "/bin/sh"}},
        {"target_version": "0.0.1"},
        {"plan_digest": "0" * 64},
    ],
)
def test_a_row_edited_by_sql_does_not_run(
    change: dict[str, Any], echoing: Workshop, incident: Incident, commander: Actor, tmp_path: Path
) -> None:
    """Whoever owns the database still runs no command that was not approved."""
    with echoing.open():
        rollback = ask(incident, commander, parameters={"word": "x"})
        Rollback.objects.filter(pk=rollback.pk).update(**change)
        rollback = run(rollback)
    assert rollback.state == "failed"
    assert not (tmp_path / "argv").exists()


def _refused_by_the_runners(rollback: Rollback) -> Rollback:
    """What becomes of it when every runner has another procedure than the approved one."""
    long_ago = utcnow() - dt.timedelta(minutes=1)
    Rollback.objects.filter(pk=rollback.pk).update(due_at=long_ago)
    rollback.steps.filter(state="waiting").update(due_at=long_ago)
    assert run_due(now=utcnow()) == 0
    presence.report(RunnerKind.RUNNER)
    assert look_after_queues(now=utcnow()) == 1
    rollback.refresh_from_db()
    return rollback


def test_another_procedure_than_the_runners_have_does_not_run(
    echoing: Workshop, incident: Incident, commander: Actor, tmp_path: Path
) -> None:
    with echoing.open():
        rollback = ask(incident, commander, parameters={"word": "x"})
        Rollback.objects.filter(pk=rollback.pk).update(procedure_digest="0" * 64)
        rollback = _refused_by_the_runners(rollback)
    assert rollback.state == "failed"
    assert not (tmp_path / "argv").exists()


def test_a_procedure_edited_in_flight_stops_before_its_next_step(
    workshop: Workshop, incident: Incident, commander: Actor
) -> None:
    """The one that runs is the one that was approved, word for word, up to its last step."""
    workshop.only(
        {"key": "change", "command": "switch_version", "mutating": True, "verify_after": "release_is_back"},
        {"key": "pause", "kind": "wait", "duration": "1h"},
        {"key": "second", "command": "update_config", "mutating": True, "verify_after": "traffic_is_back"},
    )
    with workshop.open():
        rollback = ask(incident, commander)
        run_due(now=utcnow())
    workshop.command("update_config", "print('something else')")
    with workshop.open():
        rollback = _refused_by_the_runners(rollback)
    assert rollback.state == "needs_attention"
    assert "was approved with" in rollback.attention
    assert workshop.ran == ["health_check", "switch_version"]


@pytest.mark.parametrize("state", ["succeeded", "cancelled", "failed", "resolved_by_hand"])
def test_the_database_refuses_to_leave_an_end(
    state: str, workshop: Workshop, incident: Incident, commander: Actor
) -> None:
    with workshop.open():
        rollback = ask(incident, commander)
    Rollback.objects.filter(pk=rollback.pk).update(state=state)
    with pytest.raises(IntegrityError, match="cannot become"), transaction.atomic():
        Rollback.objects.filter(pk=rollback.pk).update(state="approved")
    with (
        pytest.raises(IntegrityError, match="the fence only rises"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute("UPDATE rollbacks_rollback SET fence = 7; UPDATE rollbacks_rollback SET fence = 3")


def test_a_release_recorded_meanwhile_is_not_rolled_away(
    workshop: Workshop, incident: Incident, commander: Actor, shop: Service
) -> None:
    """Approved for leaving 2.0.0; before it ran, somebody deployed a fix."""
    with workshop.open():
        rollback = ask(incident, commander)
        record_release(service_id=shop.pk, version="2.0.1", actor=commander, now=utcnow())
        rollback = run(rollback)
    assert rollback.state == "failed"
    assert "2.0.0 is no longer live" in rollback.outcome
    assert workshop.ran == []
