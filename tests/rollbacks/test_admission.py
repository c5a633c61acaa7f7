"""When automation may start a rollback: every refusal with its code and its words, one by one."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollbacks.rules.admission import Limits, Reason, Situation, refusals
from rollbacks.rules.spans import span

NOON = dt.datetime(2026, 11, 23, 12, tzinfo=dt.UTC)
MINUTE = dt.timedelta(minutes=1)
LIMITS = Limits()
CLEAR = Situation(
    armed=True,
    auto_rollback=True,
    live_rollback=None,
    live_version="2.0.0",
    live_deployed_at=NOON - 60 * MINUTE,
    target_version="1.9.0",
    reached_by_rollback=False,
    tried_before=False,
    metric="error_rate",
    has_symptom=False,
    services=40,
)

# What is known -> the one reason against it.
REFUSALS: list[tuple[dict[str, Any], str, str]] = [
    ({"armed": False}, "disarmed", "automation is disarmed"),
    ({"auto_rollback": False}, "auto_rollback_off", "automatic rollback is off for this service"),
    ({"live_rollback": "RB-1"}, "rollback_under_way", "RB-1 is under way"),
    (
        {"maintenance": "maintenance until 14:00 UTC: moving"},
        "maintenance",
        "maintenance until 14:00 UTC: moving",
    ),
    ({"live_version": None}, "no_live_release", "no live release is recorded"),
    (
        {"reached_by_rollback": True},
        "reached_by_rollback",
        "2.0.0 was itself reached by a rollback; a person decides",
    ),
    ({"tried_before": True}, "tried_before", "leaving 2.0.0 was tried before; a person decides"),
    ({"target_version": None}, "no_target", "no verified good release to return to"),
    ({"target_failed": "RB-0"}, "target_failed", "RB-0 to 1.9.0 did not succeed; a person decides"),
    (
        {"passed_over": "1.9.5"},
        "target_quarantined",
        "1.9.5 is quarantined; a person decides whether to go further back",
    ),
    ({"freeze": "the monitoring itself is out"}, "monitoring_outage", "the monitoring itself is out"),
    (
        {"false_positives": 2},
        "monitor_distrusted",
        "2 rollbacks that this monitor of error rate started within 30 days were judged false positives",
    ),
    (
        {"last_rollback": "RB-0", "last_ended_at": NOON - 4 * MINUTE},
        "cooling_down",
        "RB-0 ended 4 minutes ago, and automation waits 30 minutes after a rollback",
    ),
    (
        {"started_today": 2},
        "daily_budget",
        "2 automatic rollbacks of this service in 24 hours are the limit",
    ),
    (
        {"running": 4},
        "too_many_at_once",
        "4 automatic rollbacks run already, and 4 at once are the limit",
    ),
    (
        {"running": 1, "services": 3},
        "too_many_at_once",
        "1 automatic rollbacks run already, and 1 at once is the limit",
    ),
    (
        {"started_lately": 5},
        "too_many_starts",
        "5 automatic rollbacks started in ten minutes, which is the limit",
    ),
    ({"live_deployed_at": NOON - dt.timedelta(days=9)}, "old_release", "the live release is 9 days old"),
    ({"live_deployed_at": None}, "old_release", "nobody knows since when the release is live"),
    (
        {"by_itself": False, "metric": "memory_usage", "live_deployed_at": NOON - dt.timedelta(days=9)},
        "no_symptom",
        "memory usage alone, without errors, latency or a recent release",
    ),
]

# What does not hold it back.
ADMITTED: list[dict[str, Any]] = [
    {},
    {"live_deployed_at": NOON - dt.timedelta(hours=24)},  # just young enough
    {"last_rollback": "RB-0", "last_ended_at": NOON - 30 * MINUTE},
    {"started_today": 1, "running": 3, "started_lately": 4, "false_positives": 1},
    {"running": 0, "services": 1},
    {"metric": "cpu_usage"},  # alone, but of a recent release
    # A person is asked, so what automation does by itself is not the question.
    {"by_itself": False, "started_today": 9, "running": 9, "started_lately": 9},
    {"by_itself": False, "last_rollback": "RB-0", "last_ended_at": NOON},
    {"by_itself": False, "live_deployed_at": NOON - dt.timedelta(days=9)},
    {"by_itself": False, "metric": "cpu_usage", "has_symptom": True, "live_deployed_at": None},
    # A configuration goes back however old the release is.
    {"returns": "configuration", "live_deployed_at": NOON - dt.timedelta(days=9)},
]


@pytest.mark.parametrize(("known", "code", "text"), REFUSALS, ids=[code for _known, code, _text in REFUSALS])
def test_each_refusal_has_its_code_and_its_words(known: dict[str, Any], code: str, text: str) -> None:
    assert refusals(replace(CLEAR, **known), LIMITS, now=NOON) == (Reason(code, text),)


@pytest.mark.parametrize("known", ADMITTED)
def test_what_holds_automation_back_is_nothing_else(known: dict[str, Any]) -> None:
    assert refusals(replace(CLEAR, **known), LIMITS, now=NOON) == ()


@given(st.sets(st.sampled_from(range(len(REFUSALS)))), st.booleans())
def test_every_doubt_is_told_and_one_is_enough(chosen: set[int], by_itself: bool) -> None:
    """Whatever comes together: nothing starts that one reason alone would hold back."""
    known = [REFUSALS[number] for number in chosen]
    situation = CLEAR
    for change, _code, _text in known:
        situation = replace(situation, **change)
    found = {reason.code for reason in refusals(situation, LIMITS, now=NOON)}
    if situation.by_itself:
        assert bool(found) is bool(known)
    assert found <= {code for _change, code, _text in REFUSALS}


@given(st.integers(0, 10_000), st.floats(0, 1), st.integers(0, 200))
def test_the_brake_lets_one_run_and_never_more_than_its_share(
    services: int, share: float, running: int
) -> None:
    limits = replace(LIMITS, share_of_services=share)
    assert 1 <= limits.at_once(services) <= max(1, services)
    codes = {r.code for r in refusals(replace(CLEAR, services=services, running=running), limits, now=NOON)}
    assert ("too_many_at_once" in codes) is (running >= max(1, int(share * services + 1e-9)))


def test_a_tenth_is_a_tenth_in_spite_of_floats() -> None:
    assert [LIMITS.at_once(services) for services in (0, 9, 10, 29, 30, 70, 1000)] == [1, 1, 1, 2, 3, 7, 100]
    assert replace(LIMITS, share_of_services=0.29).at_once(100) == 29


@given(st.floats(0, 10**8))
def test_a_span_never_says_more_than_has_passed(seconds: float) -> None:
    count, unit = span(seconds).split()
    size = {"day": 86_400, "hour": 3600, "minute": 60, "second": 1}[unit.removesuffix("s")]
    assert int(count) * size <= seconds < (int(count) + 1) * size


def test_spans_are_said_as_people_do() -> None:
    said = [span(seconds) for seconds in (0, 1, 59, 60, 90, 240, 3600, 90_000, 172_800, 9 * 86_400)]
    assert said == [
        "0 seconds", "1 second", "59 seconds", "1 minute", "90 seconds", "4 minutes", "1 hour", "25 hours",
        "2 days", "9 days",
    ]  # fmt: skip
