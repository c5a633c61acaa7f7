"""Every invariant seen failing once: what no fault does is done here by hand."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import pytest
from django.db import connection

from comms.models import Message
from core.actors import Actor
from core.clock import utcnow
from core.outbox import deliver_pending
from incidents.models import Incident
from rollbacks.models import Rollback
from tests.conftest import run_as_owner
from tests.faults.world import SECRET, World
from tests.rollbacks.workshop import run

pytestmark = pytest.mark.django_db(transaction=True)
Forge = Callable[[World, Rollback], None]
Cleanup = list[Callable[[], None]]


def _sql(*statements: str) -> None:
    def execute() -> None:
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    run_as_owner(execute)


def _as_if_no_trigger(statement: str) -> None:
    """By somebody who may switch the database's own guards off."""
    guards = ("ended_rollback_stays_ended", "fence_only_rises")
    off = [f"ALTER TABLE rollbacks_rollback DISABLE TRIGGER {guard}" for guard in guards]
    on = [f"ALTER TABLE rollbacks_rollback ENABLE TRIGGER {guard}" for guard in guards]
    _sql(*off, statement, *on)


def _ran_twice(world: World, rollback: Rollback) -> None:
    with world.workshop.ledger.open("a") as ledger:
        ledger.write(f"{rollback.ref} switch_version\n")


def _said_to_be_done(world: World, rollback: Rollback) -> None:
    world.workshop.ledger.write_text("")


def _left_an_end(world: World, rollback: Rollback) -> None:
    _as_if_no_trigger("UPDATE rollbacks_rollback SET state = 'verifying', version = version + 1")


def _came_to_no_rest(world: World, rollback: Rollback) -> None:
    _sql("UPDATE rollbacks_rollbackstep SET state = 'running' WHERE key = 'after'")


def _took_a_way_that_is_none(world: World, rollback: Rollback) -> None:
    _sql("UPDATE rollbacks_rollbackstep SET state = 'skipped' WHERE key = 'after'")


def _told_nobody_of_a_change(world: World, rollback: Rollback) -> None:
    _as_if_no_trigger("UPDATE rollbacks_rollback SET state = 'approved', version = version + 1")
    _sql(
        "UPDATE rollbacks_rollback SET state = 'failed', version = version + 1",
        "DELETE FROM faults_moves WHERE became->>'state' = 'approved' AND was->>'state' = 'succeeded'",
    )


def _sank(what: str) -> Forge:
    def forge(world: World, rollback: Rollback) -> None:
        _as_if_no_trigger(f"UPDATE rollbacks_rollback SET {what} = {what} - 1")

    return forge


def _lived_beside_another(world: World, rollback: Rollback) -> None:
    _sql(
        'INSERT INTO faults_moves (thing, xid, became) SELECT thing, xid, became || \'{"id": 0, "ref": "RB-0"}\''
        " FROM faults_moves WHERE thing = 'rollbacks_rollback' AND became->>'state' = 'executing' LIMIT 1",
        "UPDATE faults_moves SET id = id + 1000 WHERE became->>'state' = 'succeeded' AND thing = 'rollbacks_rollback'",
    )


def _is_not_live(world: World, rollback: Rollback) -> None:
    (world.site / "live").write_text(rollback.from_version)


def _rewrote_the_timeline(world: World, rollback: Rollback) -> None:
    _sql(
        "ALTER TABLE core_event DISABLE TRIGGER USER",
        "UPDATE core_event SET summary = 'nothing happened' WHERE kind = 'rollback.started'",
        "ALTER TABLE core_event ENABLE TRIGGER USER",
    )


def _shows_a_secret(world: World, rollback: Rollback) -> None:
    _sql(f"UPDATE rollbacks_rollbackstep SET output_tail = 'password={SECRET}'")


def _logs_a_secret(world: World, rollback: Rollback) -> None:
    world.log.write_text(SECRET)


def rare(*values: object) -> object:
    """A row for `make faults`: it takes seconds, and what it looks at hardly changes."""
    return pytest.param(*values, marks=pytest.mark.faults)


@pytest.mark.parametrize(
    ("forge", "said"),
    [
        (_ran_twice, "ran 2 times"),
        rare(_said_to_be_done, "did not run"),
        rare(_left_an_end, "is still verifying"),
        (_came_to_no_rest, "does not"),
        rare(_took_a_way_that_is_none, "moved from succeeded to skipped"),
        rare(_told_nobody_of_a_change, "the timeline does not say so"),
        rare(_sank("fence"), "the fence of"),
        rare(_sank("version"), "the version of"),
        rare(_lived_beside_another, "lived beside another one"),
        rare(_is_not_live, "is on the site"),
        rare(_rewrote_the_timeline, "not what was written"),
        (_shows_a_secret, "shows a secret"),
        rare(_logs_a_secret, "logs a secret"),
    ],
    ids=lambda value: getattr(value, "__name__", "").strip("_") or None,
)
def test_it_is_noticed_that_it(
    forge: Forge,
    said: str,
    world: World,
    incident: Incident,
    commander: Actor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rollback = _succeeded(world, incident, commander, monkeypatch)
    world.check(rollback)
    forge(world, rollback)
    with pytest.raises(AssertionError, match=said):
        world.check(rollback)


def test_it_is_noticed_that_an_end_was_left_and_reached_again(
    world: World, incident: Incident, commander: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    rollback = _succeeded(world, incident, commander, monkeypatch)
    _left_an_end(world, rollback)
    _sql("UPDATE rollbacks_rollback SET state = 'succeeded', version = version + 1")
    with pytest.raises(AssertionError, match="moved from succeeded to verifying"):
        world.check(rollback)


def test_it_is_noticed_that_something_runs_on(
    world: World, incident: Incident, commander: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    rollback = _succeeded(world, incident, commander, monkeypatch)
    named = os.environ | {"FIREBREAK_ROLLBACK": rollback.ref}
    left = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], env=named)
    try:
        with pytest.raises(AssertionError, match="run on"):
            world.check(rollback)
    finally:
        left.kill()
        left.wait()


def test_it_is_noticed_that_nobody_was_paged_or_too_late(
    world: World, incident: Incident, commander: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.faults import invariants

    monkeypatch.setenv("HOME", str(world.var_dir.parent))
    world.one_change("sys.exit(1)")
    rollback = world.asked(incident, commander)
    with world.workshop.open():
        assert run(rollback).state == "needs_attention"
    assert invariants.unpaged()
    with pytest.raises(AssertionError, match="nobody was told"):
        invariants.people_are_paged_in_time()
    with world.workshop.open():
        deliver_pending(now=utcnow())
    world.check(rollback)
    Message.objects.update(created_at=utcnow() + invariants.PAGED_WITHIN * 2)
    with pytest.raises(AssertionError, match=r"told .* later"):
        world.check(rollback)


def _succeeded(world: World, incident: Incident, actor: Actor, monkeypatch: pytest.MonkeyPatch) -> Rollback:
    """Run in the test itself: no fault, no worker."""
    monkeypatch.setenv("HOME", str(world.var_dir.parent))
    world.one_change()
    rollback = world.asked(incident, actor)
    with world.workshop.open():
        assert run(rollback).state == "succeeded"
    return rollback
