"""Who is paged next, and when, while nobody answers. Pure.

Three clocks run on an open incident: until somebody acknowledges (`response`), until somebody who has does
something again (`silence`), and until the next update (`update`). When one runs out, its ladder is climbed.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass, replace

from comms.states import ClockKind

LOOK_AGAIN_SECONDS = 3600.0  # at a ladder that was climbed to its end


@dataclass(frozen=True)
class Ladder:
    """Whom a clock that ran out pages, one rung after the other. `name` tells one ladder from another.

    The first rung is due `wait` seconds after what the clock counts from, each further one `pause`
    seconds after the one before; all of it `rounds` times.
    """

    name: str
    rungs: tuple[tuple[str, ...], ...]
    wait: float
    pause: float
    rounds: int

    @property
    def steps(self) -> int:
        """How many rungs are paged before it ends."""
        return len(self.rungs) * self.rounds


@dataclass(frozen=True)
class Climb:
    """How far a clock has come: `done` steps of the ladder since `counts_from`, the last at `last_at`."""

    counts_from: dt.datetime
    ladder: str
    done: int = 0
    last_at: dt.datetime | None = None


@dataclass(frozen=True)
class Situation:
    """What the clocks look at. `active_at` is when somebody last did something on the incident."""

    is_open: bool
    response_due_at: dt.datetime
    acknowledged_at: dt.datetime | None = None
    active_at: dt.datetime | None = None
    next_update_due_at: dt.datetime | None = None


def counts_from(kind: ClockKind, situation: Situation) -> dt.datetime | None:
    """What a clock counts from; None while it does not run."""
    if not situation.is_open:
        return None
    if kind is ClockKind.UPDATE:
        return situation.next_update_due_at
    acknowledged = situation.acknowledged_at
    if kind is ClockKind.RESPONSE:
        return situation.response_due_at if acknowledged is None else None
    return None if acknowledged is None else max(acknowledged, situation.active_at or acknowledged)


def climb_of(before: Climb | None, *, since: dt.datetime, ladder: Ladder) -> Climb:
    """Where the clock stands: where it stood, or at the foot when it counts from another moment now, or
    another ladder leans there. That somebody was paged a moment ago is not forgotten."""
    if before is not None and (before.counts_from, before.ladder) == (since, ladder.name):
        return before
    return Climb(since, ladder.name, last_at=before.last_at if before else None)


def due_at(climb: Climb, ladder: Ladder) -> dt.datetime | None:
    """When the next rung is paged; None when the ladder has been climbed to its end.

    Counted from the last page, not from when that was due: after an outage the rungs do not follow
    each other within seconds.
    """
    if climb.done >= ladder.steps:
        return None
    first = climb.counts_from + dt.timedelta(seconds=ladder.wait)
    if climb.last_at is None:
        return first
    return max(first, climb.last_at + dt.timedelta(seconds=ladder.pause))


def look_again_at(climb: Climb, ladder: Ladder, now: dt.datetime) -> dt.datetime:
    """When the clock is looked at next: at its next rung, or, at the end of the ladder, no later than
    a first rung could be due again."""
    due = due_at(climb, ladder)
    return due if due is not None else now + dt.timedelta(seconds=ladder.wait or LOOK_AGAIN_SECONDS)


def moved_by_hand(
    climb: Climb, ladder: Ladder, *, asked_at: dt.datetime | None, told: Collection[int]
) -> Climb:
    """The climb after somebody escalated by hand at `asked_at`, which told the people of the rungs `told`.

    They are not paged again within a pause: the ladder goes on above the highest of them.
    """
    due = due_at(climb, ladder)
    if asked_at is None or due is None or due >= asked_at + dt.timedelta(seconds=ladder.pause):
        return climb
    if climb.last_at is not None and asked_at <= climb.last_at:
        return climb
    at = climb.done % len(ladder.rungs)
    above = [rung for rung in told if rung >= at]
    return replace(climb, done=climb.done + max(above) - at + 1, last_at=asked_at) if above else climb


def next_step(climb: Climb, ladder: Ladder, *, empty: Collection[int]) -> int | None:
    """The number of the next step, from 0; rungs with nobody on them (`empty`) are left out.

    None at the end. When nobody is on any rung, none is left out: it must not look as if all were well.
    """
    left_out = empty if len(set(empty)) < len(ladder.rungs) else ()
    steps = range(climb.done, ladder.steps)
    return next((step for step in steps if step % len(ladder.rungs) not in left_out), None)


def stepped(climb: Climb, step: int, now: dt.datetime) -> Climb:
    """The climb after that step was paged."""
    return replace(climb, done=step + 1, last_at=now)
