"""Commands that do not want to end, multiply, or talk without end; and people who stop them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from core.actors import Actor
from core.clock import utcnow
from core.errors import Conflict
from incidents.models import Incident
from rollbacks.models import Rollback, StepOutput
from rollbacks.services.requests import cancel_rollback
from rollbacks.states import END_STATES
from tests.faults.world import World
from tests.rollbacks.workshop import step

pytestmark = pytest.mark.django_db(transaction=True)


def _is_gone(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


@pytest.mark.faults
def test_one_that_hangs_and_ignores_term_is_killed_with_its_tree(
    world: World, incident: Incident, commander: Actor, tmp_path: Path
) -> None:
    pids = tmp_path / "pids"
    child = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
    world.one_change(
        "import signal, subprocess; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        f"p = subprocess.Popen([sys.executable, '-c', {child!r}], start_new_session=True)\n"
        f"open({str(pids)!r}, 'w').write(f'{{os.getpid()}} {{p.pid}}'); time.sleep(600)",
    )
    world.workshop.commands["switch_version"]["timeout"] = "2s"
    rollback = world.asked(incident, commander)
    world.worker()
    world.until_rest(rollback)
    world.check(rollback)
    assert (rollback.state, step(rollback, "change").state) == ("needs_attention", "timed_out")
    assert all(_is_gone(int(pid)) for pid in pids.read_text().split())


def test_a_daemon_left_behind_does_not_hold_the_rollback_up(
    world: World, incident: Incident, commander: Actor, tmp_path: Path
) -> None:
    pid = tmp_path / "pid"
    world.one_change(
        "if os.fork() == 0:\n os.setsid()\n if os.fork() == 0:\n"
        f"  open({str(pid)!r}, 'w').write(str(os.getpid())); time.sleep(600)\n os._exit(0)\n"
        "os.wait(); time.sleep(0.5)",
    )
    rollback = world.asked(incident, commander)
    world.worker()
    world.until_rest(rollback)
    world.check(rollback)
    assert rollback.state == "succeeded"
    assert _is_gone(int(pid.read_text()))


@pytest.mark.faults
def test_a_fork_bomb_is_held_by_its_limit_and_ended(
    world: World, incident: Incident, commander: Actor
) -> None:
    world.one_change("while True:\n try: os.fork()\n except OSError: time.sleep(0.05)")
    world.workshop.commands["switch_version"] |= {"timeout": "3s", "limits": {"processes": 30}}
    rollback = world.asked(incident, commander)
    world.worker()
    world.until_rest(rollback)
    world.check(rollback)
    assert (rollback.state, step(rollback, "change").state) == ("needs_attention", "timed_out")


def _flood(world: World, incident: Incident, actor: Actor, megabytes: int) -> None:
    line = "x" * 1023 + "\\n"
    world.one_change(f"for _ in range({megabytes} * 16): sys.stdout.write('{line}' * 64)")
    world.workshop.commands["switch_version"]["timeout"] = "10m"
    rollback = world.asked(incident, actor)
    worker = psutil.Process(world.worker().pid)
    most = 0

    def rests() -> bool:
        nonlocal most
        most = max(most, worker.memory_info().rss)
        rollback.refresh_from_db()
        return rollback.due_at is None

    world.until(rests, "the end of the flood", 600)
    kept = sum(len(text) for text in StepOutput.objects.values_list("text", flat=True))
    assert kept < 2**20, "less than a MiB of it is kept"
    assert most < 300 * 2**20
    (run_dir,) = world.run_dirs(rollback)
    assert (run_dir / "output").stat().st_size < 2**20
    world.check(rollback)
    assert rollback.state == "succeeded"


@pytest.mark.faults
def test_fifty_megabytes_of_output_neither_block_nor_fill_anything(
    world: World, incident: Incident, commander: Actor
) -> None:
    _flood(world, incident, commander, 50)


@pytest.mark.faults
def test_a_gigabyte_of_output_neither_blocks_nor_fills_anything(
    world: World, incident: Incident, commander: Actor
) -> None:
    _flood(world, incident, commander, 1024)


def _cancel(rollback: Rollback, actor: Actor) -> Rollback:
    return cancel_rollback(rollback_id=rollback.pk, reason="changed my mind", actor=actor, now=utcnow())


def _long(world: World, phase: str) -> None:
    """Two changes; whatever the phase names takes half a minute, or five seconds where it changes something."""
    change: dict[str, Any] = {"mutating": True, "verify_after": "traffic_is_back"}
    world.workshop.only(
        {"key": "first", "command": "switch_version", **change},
        {"key": "rest", "kind": "wait", "duration": "30s" if phase == "waiting" else "100ms"},
        {"key": "second", "command": "update_config", **change},
    )
    for name, key, seconds in (
        ("health_check", "validating", 30), ("switch_version", "executing", 3), ("smoke_tests", "verifying", 30),
    ):  # fmt: skip
        world.workshop.command(name, f"time.sleep({seconds if key == phase else 0})")


@pytest.mark.parametrize(
    ("phase", "began", "end"),
    [
        ("approved", None, "cancelled"),
        ("executing", "switch_version", "needs_attention"),
        pytest.param("validating", "health_check", "cancelled", marks=pytest.mark.faults),
        pytest.param("waiting", "switch_version", "needs_attention", marks=pytest.mark.faults),
        pytest.param("verifying", "smoke_tests", "needs_attention", marks=pytest.mark.faults),
    ],
)
def test_cancelled_in_every_state_it_stops_and_says_whether_something_was_changed(
    phase: str, began: str | None, end: str, world: World, incident: Incident, commander: Actor
) -> None:
    _long(world, phase)
    rollback = world.asked(incident, commander)
    if began is not None:
        world.worker()
        world.until_ran(began)
        if phase == "waiting":
            world.until(lambda: step(rollback, "rest").state == "waiting", "the wait")
    _cancel(rollback, commander)
    world.until_rest(rollback, 25)
    world.check(rollback)
    assert rollback.state == end
    assert "update_config" not in world.workshop.ran or phase == "verifying"
    with pytest.raises(Conflict):
        _cancel(rollback, commander)


@pytest.mark.faults
@pytest.mark.parametrize("phase", ["validating", "executing"])
def test_cancelled_with_all_workers_dead_it_is_honoured_by_the_next_one(
    phase: str, world: World, incident: Incident, commander: Actor
) -> None:
    _long(world, phase)
    rollback = world.asked(incident, commander)
    worker = world.worker()
    world.until_ran("health_check" if phase == "validating" else "switch_version")
    worker.kill()
    worker.wait()
    _cancel(rollback, commander)
    time.sleep(1)
    rollback.refresh_from_db()
    assert rollback.state not in END_STATES, "nobody is there to stop it"
    world.worker()
    world.until_rest(rollback, 40)
    world.check(rollback)
    assert rollback.state == ("cancelled" if phase == "validating" else "needs_attention")
    assert "update_config" not in world.workshop.ran
