"""The pure rules of incidents, against the seed's tables and for all inputs."""

from __future__ import annotations

import datetime as dt

import pytest
from django.conf import settings
from hypothesis import given
from hypothesis import strategies as st

from core.playbook import get_playbook
from incidents import policy
from incidents.playbook import Confirmation, Limits, Share
from incidents.rules.levels import Measured, believed_level, level_of, rank
from incidents.rules.response import response_due_after_change, response_seconds
from incidents.states import MonitorLevel, SampleOutcome, Severity
from tests.incidents.seed import SEED, around

L, O = MonitorLevel, SampleOutcome  # noqa: E741
RULES = Confirmation(
    critical=Share(needed=1, of=1),
    high=Share(needed=3, of=5),
    warning=Share(needed=5, of=10),
    clear=3,
    unanswered=3,
)
NOON = dt.datetime(2026, 11, 23, 12, tzinfo=dt.UTC)


LOWEST = {"rollback_triggers": L.HIGH, "performance": L.WARNING}


@pytest.mark.parametrize(("policy_key", "metric", "lower", "critical"), SEED)
def test_levels_are_the_seeds(policy_key: str, metric: str, lower: float, critical: float) -> None:
    """Exactly at a threshold is still below it, as in the seed's code; the next larger number is above."""
    limits, low = policy.limits_for(metric, policy_key, None), LOWEST[policy_key]
    assert [level_of(value, limits) for value in around(lower)] == [L.OK, L.OK, low]
    assert [level_of(value, limits) for value in around(critical)] == [low, low, L.CRITICAL]


def test_the_shipped_policies_judge_what_the_seed_names_and_nothing_else() -> None:
    assert get_playbook().folder == settings.BASE_DIR / "playbook"
    judged = {(key, metric) for key, one in policy.thresholds().policies.items() for metric in one.metrics}
    assert judged == {(policy_key, metric) for policy_key, metric, *_limits in SEED}
    assert level_of(1.0, policy.limits_for("cpu_usage", "rollback_triggers", None)) is L.OK


@given(st.floats(0, 1e6), st.floats(0, 1e6))
def test_a_higher_value_is_never_a_lower_level(a: float, b: float) -> None:
    limits = Limits(warning=10, high=100, critical=1000)
    low, high = sorted((a, b))
    assert rank(level_of(low, limits)) <= rank(level_of(high, limits))


@pytest.mark.parametrize(
    ("days", "level"), [(31, L.OK), (30, L.OK), (29.9, L.WARNING), (7, L.WARNING), (6.9, L.CRITICAL)]
)
def test_where_less_is_worse_the_comparison_turns_round(days: float, level: MonitorLevel) -> None:
    assert level_of(days, Limits(warning=30, critical=7, direction="below")) is level


def test_thresholds_go_one_way() -> None:
    with pytest.raises(ValueError, match="must rise"):
        Limits(warning=30, critical=7)
    with pytest.raises(ValueError, match="must fall"):
        Limits(warning=7, critical=30, direction="below")


def _seen(*levels: MonitorLevel) -> list[Measured]:
    return [Measured(O.OK, level) for level in levels]


def test_one_critical_sample_is_believed_at_once() -> None:
    assert believed_level(_seen(L.CRITICAL, L.OK, L.OK), current=L.OK, rules=RULES) is L.CRITICAL


def test_high_takes_three_of_five() -> None:
    assert believed_level(_seen(L.HIGH, L.OK, L.HIGH), current=L.OK, rules=RULES) is L.OK
    assert believed_level(_seen(L.HIGH, L.OK, L.HIGH, L.OK, L.HIGH), current=L.OK, rules=RULES) is L.HIGH


def test_well_again_takes_three_good_answers_in_a_row() -> None:
    assert believed_level(_seen(L.OK, L.OK, L.CRITICAL), current=L.CRITICAL, rules=RULES) is L.CRITICAL
    assert believed_level(_seen(L.OK, L.OK, L.OK, L.CRITICAL), current=L.CRITICAL, rules=RULES) is L.OK


def test_no_data_says_nothing_and_silence_is_unknown_only_after_three() -> None:
    nothing, failed = Measured(O.NO_DATA, L.OK), Measured(O.ERROR, L.OK)
    for current in L:
        assert believed_level([nothing, *_seen(L.CRITICAL)], current=current, rules=RULES) is current
    assert believed_level([failed, failed], current=L.OK, rules=RULES) is L.OK
    assert believed_level([failed, failed, failed], current=L.OK, rules=RULES) is L.UNKNOWN
    assert believed_level([*_seen(L.OK), failed, failed, failed], current=L.UNKNOWN, rules=RULES) is L.OK


samples = st.lists(
    st.builds(Measured, st.sampled_from(O), st.sampled_from([L.OK, L.WARNING, L.HIGH, L.CRITICAL])),
    max_size=12,
)


@given(samples, st.sampled_from(L))
def test_a_bad_level_never_ends_without_three_good_answers(
    seen: list[Measured], current: MonitorLevel
) -> None:
    after = believed_level(seen, current=current, rules=RULES)
    if after is L.OK and current in (L.WARNING, L.HIGH, L.CRITICAL):
        answers = [s.level for s in seen if s.outcome is O.OK]
        assert answers[:3] == [L.OK] * 3


@given(samples, st.sampled_from([L.OK, L.WARNING, L.HIGH, L.CRITICAL]))
def test_a_good_answer_makes_nothing_worse(seen: list[Measured], current: MonitorLevel) -> None:
    after = believed_level([Measured(O.OK, L.OK), *seen], current=current, rules=RULES)
    assert rank(after) <= rank(current)


def test_what_was_bad_before_it_was_well_again_is_no_complaint_any_more() -> None:
    """As after a rollback: a minute of critical answers, then good ones alone."""
    level, seen, levels = L.OK, list[Measured](), []
    for answer in [L.CRITICAL] * 7 + [L.OK] * 12:
        seen = [Measured(O.OK, answer), *seen][:10]
        level = believed_level(seen, current=level, rules=RULES)
        levels.append(level)
    assert levels == [L.CRITICAL] * 9 + [L.OK] * 10


@given(
    st.sampled_from(Severity),
    st.sampled_from(Severity),
    st.integers(0, 100_000),
    st.integers(0, 100_000),
    st.integers(1, 86_400),
)
def test_a_raised_severity_never_gives_more_time_and_a_lowered_never_less(
    old: Severity, new: Severity, due_in: int, after: int, target: int
) -> None:
    due, changed = NOON + dt.timedelta(seconds=due_in), NOON + dt.timedelta(seconds=after)
    result = response_due_after_change(due=due, changed_at=changed, old=old, new=new, new_seconds=target)
    assert result <= due if new.rank < old.rank else result >= due


def test_a_security_level_is_used_only_where_stricter() -> None:
    assert response_seconds(900, 3600) == 900
    assert response_seconds(86_400, 3600) == 3600
    assert response_seconds(86_400, None) == 86_400
