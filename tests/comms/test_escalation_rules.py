"""The rule of the ladder, whatever happens in whatever order, and however late somebody looks."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comms.rules.escalation import (
    Climb,
    Ladder,
    Situation,
    climb_of,
    counts_from,
    due_at,
    moved_by_hand,
    next_step,
    stepped,
)
from comms.states import ClockKind

START = dt.datetime(2026, 11, 20, 10, tzinfo=dt.UTC)
RUNGS = ("a", "b", "c")


def minutes(number: float) -> dt.datetime:
    return START + dt.timedelta(minutes=number)


ladders = st.builds(
    lambda rungs, wait, pause, rounds: Ladder(
        "P0", tuple((name,) for name in RUNGS[:rungs]), wait * 60.0, pause * 60.0, rounds
    ),
    st.integers(1, 3),
    st.integers(0, 30),
    st.integers(1, 20),
    st.integers(1, 4),
)


@dataclass
class Watched:
    """What a sweep does with the rule, and every page that came of it."""

    ladder: Ladder
    since: dt.datetime = START
    climb: Climb | None = None
    empty: frozenset[int] = frozenset()
    asked_at: dt.datetime | None = None
    told: frozenset[int] = frozenset()
    pages: list[tuple[dt.datetime, int]] = field(default_factory=list)

    def look(self, now: dt.datetime) -> None:
        climb = climb_of(self.climb, since=self.since, ladder=self.ladder)
        due = due_at(climb, self.ladder)
        if due is not None and due <= now:
            climb = moved_by_hand(climb, self.ladder, asked_at=self.asked_at, told=self.told)
            due, step = due_at(climb, self.ladder), next_step(climb, self.ladder, empty=self.empty)
            if due is not None and due <= now and step is not None:
                self.pages.append((now, step % len(self.ladder.rungs)))
                climb = stepped(climb, step, now)
        self.climb = climb


looks = st.lists(st.integers(0, 500), max_size=60).map(sorted)


@given(ladders, looks, st.sets(st.integers(0, 2)))
def test_in_order_with_pauses_and_not_too_often(ladder: Ladder, times: list[int], empty: set[int]) -> None:
    watched = Watched(ladder, empty=frozenset(e for e in empty if e < len(ladder.rungs)))
    for time in times:
        watched.look(minutes(time))
    n = len(ladder.rungs)
    left_out = watched.empty if len(watched.empty) < n else frozenset()
    expected = [rung for _round in range(ladder.rounds) for rung in range(n) if rung not in left_out]
    assert [rung for _at, rung in watched.pages] == expected[: len(watched.pages)]
    for at, _rung in watched.pages[:1]:
        assert at >= START + dt.timedelta(seconds=ladder.wait)
    for (before, _), (after, _) in zip(watched.pages, watched.pages[1:], strict=False):
        assert after - before >= dt.timedelta(seconds=ladder.pause)


@given(ladders)
def test_looked_at_every_minute_every_rung_is_paged_on_time(ladder: Ladder) -> None:
    watched = Watched(ladder)
    for time in range(600):
        watched.look(minutes(time))
    expected = [
        (minutes((ladder.wait + ladder.pause * step) / 60), step % len(ladder.rungs))
        for step in range(ladder.steps)
    ]
    assert watched.pages == expected


@given(ladders, st.lists(st.tuples(st.integers(0, 300), st.sampled_from("lsh")), max_size=40), st.data())
def test_nobody_is_paged_twice_within_a_pause_whatever_happens(
    ladder: Ladder, happens: list[tuple[int, str]], data: st.DataObject
) -> None:
    """Looks, starts from another moment, and escalations by hand, in any order."""
    watched = Watched(ladder)
    by_hand: list[tuple[dt.datetime, frozenset[int]]] = []
    for time, what in sorted(happens):
        now = minutes(time)
        if what == "s":
            watched.since = now
        elif what == "h":
            rungs = st.frozensets(st.integers(0, len(ladder.rungs) - 1))
            watched.asked_at, watched.told = now, data.draw(rungs)
            by_hand.append((now, watched.told))
        watched.look(now)
    pause = dt.timedelta(seconds=ladder.pause)
    for (before, _), (after, _) in zip(watched.pages, watched.pages[1:], strict=False):
        assert after - before >= pause
    ends = [asked_at for asked_at, _told in by_hand[1:]] + [minutes(1000)]
    for (asked_at, told), end in zip(by_hand, ends, strict=False):
        soon = {rung for at, rung in watched.pages if asked_at < at < min(asked_at + pause, end)}
        assert not soon & told


@given(st.booleans(), st.booleans(), st.integers(0, 100), st.integers(0, 100))
def test_which_clocks_run(is_open: bool, acknowledged: bool, active: int, update: int) -> None:
    situation = Situation(
        is_open=is_open,
        response_due_at=minutes(15),
        acknowledged_at=minutes(10) if acknowledged else None,
        active_at=minutes(active),
        next_update_due_at=minutes(update),
    )
    running = {kind for kind in ClockKind if counts_from(kind, situation) is not None}
    if not is_open:
        assert running == set()
    else:
        first = ClockKind.SILENCE if acknowledged else ClockKind.RESPONSE
        assert running == {first, ClockKind.UPDATE}
    if ClockKind.SILENCE in running:
        assert counts_from(ClockKind.SILENCE, situation) == minutes(max(10, active))


def test_another_ladder_is_climbed_from_its_foot_after_a_pause() -> None:
    old = Ladder("P2", (("a",), ("b",)), 0, 3600, 1)
    new = replace(old, name="P0", pause=300)
    climb = stepped(climb_of(None, since=START, ladder=old), 0, START)
    moved = climb_of(climb, since=START, ladder=new)
    assert (moved.done, due_at(moved, new)) == (0, minutes(5))


@pytest.mark.parametrize(
    ("done", "asked", "told", "left"),
    [
        (0, 4, {1}, 2),  # the second rung heard it: the third is next
        (1, 4, {0}, 1),  # only one below: nothing moves
        (1, 4, {0, 1, 2}, 3),  # all of them: the next round
        (0, 4, set(), 0),
        (0, -30, {1}, 0),  # long ago
    ],
)
def test_by_hand(done: int, asked: int, told: set[int], left: int) -> None:
    ladder = Ladder("P0", (("a",), ("b",), ("c",)), 0, 300, 2)
    last = minutes(0) if done else None
    climb = Climb(START, "P0", done, last)
    after = moved_by_hand(climb, ladder, asked_at=minutes(asked), told=told)
    assert after.done == left
    if left != done:
        assert due_at(after, ladder) == minutes(asked + 5)
