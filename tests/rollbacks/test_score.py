"""The performance score: what each of the policy's thresholds does to it, and when there is none."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incidents import policy as incident_policy
from incidents.playbook import Limits
from rollbacks.rules.score import Score, performance_score

LIMITS = {
    "response_time": Limits(warning=2000, critical=5000, catastrophic=20_000, min_volume=20),
    "error_rate": Limits(warning=0.01, critical=0.05, catastrophic=0.5, min_volume=20),
    "memory_usage": Limits(warning=0.7, critical=0.9),
    "cpu_usage": Limits(warning=0.8, critical=0.95),
}
WELL = {"response_time": 120.0, "error_rate": 0.0, "memory_usage": 0.4, "cpu_usage": 0.2}

some_value = st.one_of(st.none(), st.floats(min_value=0, max_value=20_000))
some_values = st.fixed_dictionaries(dict.fromkeys(LIMITS, some_value))
limit = st.floats(min_value=0, max_value=10_000)
some_limits = st.lists(limit, min_size=1, max_size=3).map(
    lambda found: Limits(**dict(zip(("warning", "high", "critical"), sorted(found), strict=False)))
)


def score(**changed: float | None) -> Score:
    return performance_score({**WELL, **changed}, LIMITS)


def test_these_are_the_thresholds_of_the_shipped_policy() -> None:
    assert incident_policy.thresholds().policies["performance"].metrics == LIMITS


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, 100),
        ({"response_time": 2000.0}, 100),  # at a threshold is not above it
        ({"response_time": 3500.0}, 93),  # half way: 75 of 100, a quarter of the mean
        ({"response_time": 5000.0}, 87),
        ({"response_time": 5000.1}, 50),  # critical: well everywhere else does not outweigh it
        ({"error_rate": 1.0}, 50),
        ({"error_rate": 0.05, "memory_usage": 0.9}, 75),
        ({"error_rate": 0.011, "memory_usage": 0.71, "cpu_usage": 0.81}, 50),  # three warnings at once
        (dict.fromkeys(LIMITS, 1e9), 0),
    ],
)
def test_what_each_threshold_does(changed: dict[str, float], expected: int) -> None:
    assert score(**changed).value == expected


def test_with_half_of_the_metrics_there_is_a_score_with_fewer_there_is_none() -> None:
    assert score(memory_usage=None, cpu_usage=None).value == 100
    unclear = score(memory_usage=None, cpu_usage=math.nan, error_rate=None, response_time=99_000.0)
    assert unclear.value is None
    assert "no recent value of CPU usage, error rate, memory usage" in unclear.reason
    assert performance_score({}, {}).value is None


def test_the_reason_names_every_metric_and_what_is_critical() -> None:
    found = score(error_rate=0.3, cpu_usage=None)
    assert found.reason == "error rate 0, memory usage 100, response time 100; error rate above critical"


def test_how_many_warnings_are_critical_is_the_policys() -> None:
    values = {**WELL, "error_rate": 0.011, "memory_usage": 0.71}
    assert performance_score(values, LIMITS).value == 99
    assert performance_score(values, LIMITS, warnings_that_make_critical=2).value == 50


@given(some_values)
def test_a_score_is_between_0_and_100_and_there_is_one_from_half_of_the_metrics_on(
    values: dict[str, float | None],
) -> None:
    found = performance_score(values, LIMITS)
    measured = sum(value is not None for value in values.values())
    assert (found.value is None) is (2 * measured < len(LIMITS))
    assert found.value is None or 0 <= found.value <= 100


@given(some_values, st.sampled_from(sorted(LIMITS)), st.floats(min_value=0, max_value=20_000))
def test_worse_values_never_score_better(values: dict[str, float | None], metric: str, added: float) -> None:
    before = values[metric]
    if before is None:
        before = 0.0
    better = performance_score({**values, metric: before}, LIMITS).value
    worse = performance_score({**values, metric: before + added}, LIMITS).value
    assert (better is None) is (worse is None)
    assert better is None or worse is None or worse <= better


@given(some_limits, st.floats(min_value=0, max_value=30_000), st.floats(min_value=0, max_value=30_000))
def test_whatever_the_limits_are_a_worse_value_never_scores_better(
    limits: Limits, one: float, other: float
) -> None:
    low, high = (performance_score({"m": v}, {"m": limits}).value for v in sorted((one, other)))
    assert low is not None and high is not None and 0 <= high <= low <= 100
