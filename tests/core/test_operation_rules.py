"""What is wrong with Firebreak itself: the rules, as a pure function of facts."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.operation.facts import MarkFacts, ProcessFacts, SweepFacts, SystemFacts, Trouble, WorkFacts
from core.operation.rules import SILENT_AFTER_SECONDS, judge, span

NAMES = ("web", "checks", "comms", "runner", "beat", "watchdog")


def process(
    name: str, number: int = 1, *, age: float = 3.0, host: str = "alpha", **more: object
) -> ProcessFacts:
    facts = ProcessFacts(number, name, host, 100 + number, "1", "abc", age, 900.0, 1.0, 0.01, 0.5)
    return replace(facts, **more)  # type: ignore[arg-type]


def well() -> SystemFacts:
    """Everything as it should be."""
    return SystemFacts(
        expected=NAMES,
        processes=tuple(process(name, number) for number, name in enumerate(NAMES)),
        sweeps=(SweepFacts("sweep.one", 2.0, 1.0, 0.01),),
        marks={("web.asked", "alpha"): MarkFacts(4.0), ("web.answered", "alpha"): MarkFacts(4.0)},
        work=(WorkFacts("deliveries", "Messages", 0, 0.0, 120.0),),
    )


def only(facts: SystemFacts) -> Trouble:
    (trouble,) = judge(facts)
    return trouble


def with_process(facts: SystemFacts, name: str, **more: object) -> SystemFacts:
    changed = (replace(p, **more) if p.name == name else p for p in facts.processes)  # type: ignore[arg-type]
    return replace(facts, processes=tuple(changed))


def test_nothing_is_wrong_when_all_is_well() -> None:
    assert judge(well()) == ()


@pytest.mark.parametrize("name", NAMES)
def test_each_missing_or_silent_process_is_critical_and_silences(name: str) -> None:
    missing = replace(well(), processes=tuple(p for p in well().processes if p.name != name))
    for facts, words in (
        (missing, "is not running"),
        (with_process(well(), name, age_seconds=31.0), "silent"),
    ):
        trouble = next(t for t in judge(facts) if t.key == f"process.{name}")
        assert (trouble.level, trouble.silences, trouble.runbook) == ("critical", True, "workers-stopped")
        assert words in trouble.text


def test_one_silent_process_of_two_is_a_warning_and_the_work_goes_on() -> None:
    facts = replace(well(), processes=(*well().processes, process("comms", 9, host="beta", age=40.0)))
    trouble = only(facts)
    assert (trouble.level, trouble.silences) == ("warning", False)
    assert "beta" in trouble.text


def test_a_web_process_that_lives_but_does_not_answer_is_found() -> None:
    marks = {("web.asked", "alpha"): MarkFacts(2.0), ("web.answered", "alpha"): MarkFacts(45.0)}
    assert only(replace(well(), marks=marks)).key == "web.answers"
    del marks["web.answered", "alpha"]
    assert only(replace(well(), marks=marks)).silences
    assert judge(with_process(replace(well(), marks=marks), "web", uptime_seconds=9.0)) == ()
    # A watchdog that asks no web process, or on a host without one, says nothing about it.
    assert judge(replace(well(), marks={})) == ()
    assert judge(replace(well(), marks={("web.asked", "beta"): MarkFacts(2.0)})) == ()


@given(age=st.floats(0, 10_000), count=st.integers(0, 5), limit=st.floats(1, 1000))
def test_due_work_is_judged_by_its_limit_alone(age: float, count: int, limit: float) -> None:
    found = judge(replace(well(), work=(WorkFacts("deliveries", "Messages", count, age, limit),)))
    if count == 0 or age <= limit / 2:
        assert found == ()
    else:
        assert (found[0].level, found[0].silences) == (
            ("critical", True) if age > limit else ("warning", False)
        )


@given(age=st.floats(0, 10_000))
def test_silence_begins_after_three_missed_signs(age: float) -> None:
    assert bool(judge(with_process(well(), "beat", age_seconds=age))) == (age > SILENT_AFTER_SECONDS)


def test_late_sweeps_are_the_watchdogs_while_there_is_one() -> None:
    late = replace(well(), sweeps=(SweepFacts("sweep.one", 2.0, 60.0, None),))
    assert (only(late).key, only(late).level, only(late).silences) == ("watchdog.rescue", "warning", False)
    alone = replace(late, expected=(), processes=())
    assert (only(alone).key, only(alone).level, only(alone).silences) == ("sweeps", "critical", True)


@pytest.mark.parametrize(("uptime", "keys"), [(590.0, []), (2_399.0, []), (2_401.0, ["watchdog.rescue"])])
def test_a_sweep_that_never_ran_is_late_only_when_somebody_waited_for_it(
    uptime: float, keys: list[str]
) -> None:
    """beat runs a sweep first after a whole interval: a fresh installation is not late."""
    facts = replace(well(), sweeps=(SweepFacts("core.sweep_retention", 600.0, None, None),))
    aged = tuple(replace(p, uptime_seconds=uptime if p.name == "web" else 9.0) for p in facts.processes)
    assert [trouble.key for trouble in judge(replace(facts, processes=aged))] == keys


def test_what_does_not_stop_the_work_does_not_silence() -> None:
    for facts, key in (
        (replace(well(), parked=2), "parked"),
        (replace(well(), broker_away="It cannot be reached"), "broker"),
        (replace(well(), unapplied_migrations=1), "migrations"),
        (with_process(well(), "runner", playbook="other"), "playbook.runner.alpha"),
        (with_process(well(), "runner", version="2"), "versions"),
        (with_process(well(), "runner", skew_seconds=-5.0), "clock.alpha"),
        (with_process(well(), "runner", disk_free_ratio=0.02), "disk.alpha"),
    ):
        trouble = only(facts)
        assert (trouble.key, trouble.silences) == (key, False)


def test_the_worst_comes_first() -> None:
    facts = replace(with_process(well(), "runner", version="2"), parked=1)
    assert [trouble.level for trouble in judge(facts)] == ["critical", "warning"]


@pytest.mark.parametrize(
    ("seconds", "words"), [(5, "5 s"), (119, "119 s"), (600, "10 min"), (7200, "2 h"), (3e5, "3 d")]
)
def test_spans_read_well(seconds: float, words: str) -> None:
    assert span(seconds) == words
