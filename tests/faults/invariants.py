"""What must hold after every fault, whatever was broken (ARCHITECTURE.md, A rollback)."""

from __future__ import annotations

import datetime as dt
import json
from collections import Counter

from django.core import serializers
from django.db.models import Model

from comms.models import Delivery, Message
from core.models import Event
from core.verification import verify_streams
from incidents.models import Release
from rollbacks.models import Rollback, RollbackStep, StepOutput
from rollbacks.selectors.progress import has_switched
from rollbacks.states import END_STATES, LIVE_STATES, MOVES, STEP_MOVES, RollbackState, StepState
from tests.faults import recorder
from tests.faults.recorder import Move
from tests.faults.world import SECRET, World

PAGED_WITHIN = dt.timedelta(seconds=60)
KNOWN_BY_PROOF = ("took effect", "marked done")


def check(world: World, *rollbacks: Rollback) -> None:
    """Every promise at once; the workers page whom they have to page, and are then stopped."""
    world.until(lambda: not unpaged(), "the pages of who must decide", PAGED_WITHIN.total_seconds())
    world.stop()
    for rollback in rollbacks:
        rollback.refresh_from_db()
        is_at_rest(rollback)
        commands_ran_at_most_once(world, rollback)
        success_is_proved(world, rollback)
        nothing_of_it_runs(world, rollback)
    moved = recorder.moves(recorder.ROLLBACK)
    only_allowed_moves(moved, recorder.moves(recorder.STEP))
    fences_and_versions_only_rise(moved)
    one_at_a_time(moved)
    every_change_is_on_the_timeline(moved, recorder.moves(recorder.EVENT))
    people_are_paged_in_time()
    no_secret_is_shown(world)
    assert verify_streams()[1] == [], "the timeline is not what was written"


def is_at_rest(rollback: Rollback) -> None:
    """It has ended, or a person knows that it waits."""
    waits = (RollbackState.NEEDS_ATTENTION, RollbackState.AWAITING_APPROVAL)
    assert rollback.state in (*END_STATES, *waits), f"{rollback.ref} is still {rollback.state}"
    busy = rollback.steps.filter(state__in=("starting", "running", "waiting"))
    assert not busy.exists(), f"{rollback.ref} rests, but {list(busy)} does not"


def commands_ran_at_most_once(world: World, rollback: Rollback) -> None:
    """By the ledger that the commands sign themselves; and what is said to be done was done."""
    ran = Counter(world.workshop.runs)
    for step in rollback.steps.filter(kind="command", mutating=True):
        said = world.workshop.declared(step.key)
        times = ran[(rollback.ref, str(said["command"]))]
        assert times <= 1 or said.get("repeatable"), f"{step.key} of {rollback.ref} ran {times} times"
        proved = any(word in step.note for word in KNOWN_BY_PROOF)
        if step.state == StepState.SUCCEEDED and not proved:
            assert times >= 1, f"{step.key} of {rollback.ref} is said to be done, and did not run"


def success_is_proved(world: World, rollback: Rollback) -> None:
    """What is called back is back: on the site, and in the ledger of releases."""
    if rollback.state != RollbackState.SUCCEEDED:
        return
    assert not rollback.steps.exclude(state__in=("succeeded", "skipped", "rehearsed")).exists()
    if has_switched(rollback):
        live = Release.objects.get(service=rollback.service, state="live")
        assert live.version == rollback.target_version, f"{rollback.ref}: {live.version} is called live"
    if rollback.steps.filter(key="change").exists():
        found = (world.site / "live").read_text()
        assert found == rollback.target_version, f"{rollback.ref} succeeded, and {found} is on the site"


def nothing_of_it_runs(world: World, rollback: Rollback) -> None:
    assert not (left := world.left_of(rollback)), f"{left} of {rollback.ref} run on"


def only_allowed_moves(rollbacks: list[Move], steps: list[Move]) -> None:
    """No move that the tables do not name; none at all out of an end."""
    for move in rollbacks:
        if move.was is not None and move.changed("state"):
            was, became = RollbackState(move.was["state"]), RollbackState(move.became["state"])
            assert became in MOVES[was], f"{move.became['ref']} moved from {was} to {became}"
    for move in steps:
        if move.was is not None and move.changed("state"):
            before, after = StepState(move.was["state"]), StepState(move.became["state"])
            assert after in STEP_MOVES[before], f"{move.became['key']} moved from {before} to {after}"


def fences_and_versions_only_rise(rollbacks: list[Move]) -> None:
    for move in rollbacks:
        for name in ("fence", "version"):
            low = move.was is not None and move.became[name] < move.was[name]
            assert not low, f"the {name} of {move.became['ref']} sank to {move.became[name]}"
        same = move.was is not None and move.changed("state") and not move.changed("version")
        assert not same, f"{move.became['ref']} became {move.became['state']} with its old version"


def one_at_a_time(rollbacks: list[Move]) -> None:
    """At no moment two live rollbacks of a service."""
    live: dict[tuple[int, bool], int] = {}
    for move in rollbacks:
        subject = (move.became["service_id"], move.became["drill"])
        if move.became["state"] in LIVE_STATES:
            other = live.setdefault(subject, move.became["id"])
            assert other == move.became["id"], f"{move.became['ref']} lived beside another one"
        elif live.get(subject) == move.became["id"]:
            del live[subject]


def every_change_is_on_the_timeline(rollbacks: list[Move], events: list[Move]) -> None:
    """Written in the very transaction that made the change."""
    told = {(move.xid, move.became["data"].get("rollback")) for move in events}
    for move in rollbacks:
        if move.changed("state"):
            ref, state = move.became["ref"], move.became["state"]
            assert (move.xid, ref) in told, f"{ref} became {state}, and the timeline does not say so"
    for ref in {move.became["ref"] for move in rollbacks}:
        ends = [m for m in events if _is_end(m) and m.became["data"].get("rollback") == ref]
        assert len(ends) <= 1, f"{ref} ended {len(ends)} times"


def _is_end(move: Move) -> bool:
    return move.became["kind"] in {f"rollback.{end}" for end in END_STATES}


def unpaged() -> list[Event]:
    """Calls for a person that have reached nobody's address."""
    asked = Event.objects.filter(kind="rollback.needs_attention")
    return [event for event in asked if not Delivery.objects.filter(event=event, channel="email").exists()]


def people_are_paged_in_time() -> None:
    for event in Event.objects.filter(kind="rollback.needs_attention"):
        page = Delivery.objects.filter(event=event, channel="email").select_related("message").first()
        assert page is not None, f"nobody was told: {event.summary}"
        late = page.message.created_at - event.recorded_at
        assert late <= PAGED_WITHIN, f"told {late} later: {event.summary}"


def no_secret_is_shown(world: World) -> None:
    """Neither to people, on whatever page, nor in a log."""
    shown: list[type[Model]] = [Rollback, RollbackStep, StepOutput, Event, Message]
    for model in shown:
        text = serializers.serialize("json", model._default_manager.all())
        assert SECRET not in text, f"{model.__name__} shows a secret"
    assert SECRET not in json.dumps([m.became for m in recorder.moves(recorder.EVENT)])
    assert not world.log.exists() or SECRET not in world.log.read_text(), "a worker logs a secret"
