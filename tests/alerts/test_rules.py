"""What alerts mean, and that any order of what was sent leaves the same."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.playbook import get_playbook
from incidents.ingest.cleaning import Notes, clean, cut, moment
from incidents.playbook import AlertRules
from incidents.rules import matchers
from incidents.rules.alerts import ACKNOWLEDGE, RESOLVE, TRIGGER, Signal, episodes, judge, place

T0 = dt.datetime(2026, 11, 20, tzinfo=dt.UTC)
SLUGS = frozenset({"shop", "web-front"})


def at(minutes: float) -> dt.datetime:
    return T0 + dt.timedelta(minutes=minutes)


def rules(**changed: Any) -> AlertRules:
    shipped: AlertRules = get_playbook()["alerts"]
    return AlertRules(**(shipped.model_dump() | {"window": "1h"} | changed))


@pytest.mark.parametrize(
    ("labels", "slug", "severity"),
    [
        ({"service": "shop", "severity": "critical"}, "shop", "P1"),
        ({"service": "none", "job": "Web Front"}, "web-front", "P2"),
        ({"component": "shop", "severity": "INFO"}, "shop", ""),
        ({"severity": "P0"}, None, "P0"),
        ({}, None, "P2"),
    ],
)
def test_labels_name_service_and_severity(labels: dict[str, str], slug: str | None, severity: str) -> None:
    judged = judge(labels, title="t", rules=rules(), slugs=SLUGS)
    assert (judged.slug, judged.severity) == (slug, severity)


def test_exceptions_security_and_what_is_ignored() -> None:
    own = rules(
        service={"labels": ["team"], "map": {"checkout": "shop"}},
        severity={
            "label": "severity",
            "levels": {"critical": "P1"},
            "otherwise": "P3",
            "rules": [{"match": ['team="checkout"', 'env!="dev"'], "severity": "P0"}],
        },
        security=['category=~"security|fraud"'],
        ignore=[{"match": ['env="dev"'], "reason": "Nobody is paged for dev"}],
    )
    judged = judge({"team": "checkout", "category": "fraud"}, title="t", rules=own, slugs=SLUGS)
    assert (judged.slug, judged.severity, judged.security, judged.ignored) == ("shop", "P0", True, "")
    assert judge({"team": "checkout", "env": "dev"}, title="t", rules=own, slugs=SLUGS).ignored


def test_a_group_is_a_service_and_the_labels_that_the_playbook_names() -> None:
    def key(grouped: list[str], **labels: str) -> str:
        return judge(labels, title="t", rules=rules(group_by=grouped), slugs=SLUGS).group_key

    assert key([], service="shop", alertname="A") == key([], service="shop", alertname="B")
    assert key(["alertname"], service="shop", alertname="A") != key(
        ["alertname"], service="shop", alertname="B"
    )
    assert key([], service="shop") != key([], service="web-front")
    assert key([], alertname="A") != key([], alertname="B")  # nothing else in common


# --- matchers -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "labels", "fits"),
    [
        ('team="shop"', {"team": "shop"}, True),
        ("team=shop", {"team": "shops"}, False),
        ('team!="shop"', {}, True),
        ('job=~"web-.*"', {"job": "web-1"}, True),
        ('job=~"web"', {"job": "web-1"}, False),  # the whole value
        ('job!~"web|db"', {"job": "db"}, False),
        ('job=~".+"', {}, False),
        ('a="say \\"hi\\""', {"a": 'say "hi"'}, True),
    ],
)
def test_matchers_fit_as_in_alertmanager(text: str, labels: dict[str, str], fits: bool) -> None:
    found = matchers.parse(text)
    assert found.fits(labels) is fits
    assert matchers.parse(str(found)) == found


@pytest.mark.parametrize(
    "text", ["", "team", "=x", 'a=~"("', 'a=~"(?=x)"', 'a=~"x)|(y"', 'a=~"' + "x" * 501 + '"']
)
def test_what_is_no_matcher_is_refused(text: str) -> None:
    with pytest.raises(matchers.WrongMatcher):
        matchers.parse(text)


def test_no_expression_takes_long() -> None:
    evil = matchers.parse('a=~"(a+)+(a|aa)+(.*)*$"')
    assert evil.fits({"a": "a" * 4_000 + "!"}) is True
    assert matchers.parse('a=~"(a+)+b"').fits({"a": "a" * 4_000}) is False  # backtracking would never end
    with pytest.raises(matchers.WrongMatcher):
        matchers.parse('a=~"((a{1000}){1000}){1000}"')


# --- the events of a key --------------------------------------------------------------------------

times = st.integers(0, 20).map(at)
actions = st.sampled_from([TRIGGER, ACKNOWLEDGE, RESOLVE])
said = st.builds(lambda action, when: Signal(action, T0 + dt.timedelta(days=1), when), actions, times)
arrived = st.builds(lambda action, when: Signal(action, when), actions, times)


@given(st.lists(said, max_size=12), st.data())
def test_what_says_its_time_may_come_in_any_order_and_often(
    signals: list[Signal], data: st.DataObject
) -> None:
    again = data.draw(st.lists(st.sampled_from(signals), max_size=5)) if signals else []
    mixed = data.draw(st.permutations([*signals, *again]))
    later = [Signal(s.action, at(100 + n), s.said_at) for n, s in enumerate(mixed)]  # it came when it came
    assert episodes(later) == episodes(signals)


@given(st.lists(arrived, max_size=12), st.data())
def test_what_came_may_be_looked_into_in_any_order(signals: list[Signal], data: st.DataObject) -> None:
    assert episodes(data.draw(st.permutations(signals))) == episodes(signals)


@given(st.lists(arrived, max_size=12))
def test_looking_again_with_what_is_stored_changes_nothing(signals: list[Signal]) -> None:
    """As a batch does: the events, and what the rows know of those that may be forgotten."""
    found = episodes(signals)
    known = [Signal(TRIGGER, e.starts_at) for e in found]
    known += [Signal(RESOLVE, e.ends_at) for e in found if e.ends_at]
    assert [(e.starts_at, e.ends_at) for e in episodes([*signals, *known])] == [
        (e.starts_at, e.ends_at) for e in found
    ]
    assert place(found, [(e.starts_at, e.ends_at) for e in found]) == list(range(len(found)))


def test_a_late_end_splits_what_looked_like_one() -> None:
    first = episodes([Signal(TRIGGER, at(1)), Signal(TRIGGER, at(3))])
    assert [(e.starts_at, e.ends_at) for e in first] == [(at(1), None)]
    both = episodes([Signal(TRIGGER, at(1)), Signal(TRIGGER, at(3)), Signal(RESOLVE, at(2))])
    assert [(e.starts_at, e.ends_at) for e in both] == [(at(1), at(2)), (at(3), None)]
    assert place(both, [(at(1), None)]) == [0, None]


def test_one_clock_is_never_held_against_another() -> None:
    """A sender whose clock is an hour behind, and that says no time when it resolves."""
    trigger, resolve = Signal(TRIGGER, at(0), at(-60)), Signal(RESOLVE, at(10))
    again = Signal(TRIGGER, at(20), at(-40))
    assert [e.ends_at for e in episodes([trigger, resolve, again])] == [at(10), None]


# --- cleaning -------------------------------------------------------------------------------------


@given(st.text(max_size=3_000), st.booleans())
def test_what_is_clean_can_be_stored_and_stays(text: str, one_line: bool) -> None:
    found = clean(text, length=200, one_line=one_line, what="it", notes=Notes())
    assert len(found) <= 200
    assert "\0" not in found
    found.encode()
    assert not one_line or "\n" not in found
    assert clean(found, length=200, one_line=one_line, what="it", notes=Notes()) == found


def test_nothing_is_cut_in_the_middle_of_what_one_sees() -> None:
    family = "👨‍👩‍👧‍👦"
    assert cut("x" * 8 + family, 10) == "x" * 8 + "…"
    assert cut("e\u0301" * 10, 10) == "e\u0301" * 4 + "…"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-19T23:00:00Z", at(-60)),
        ("2026-11-20T01:00:00.123456789+02:00", at(-60) + dt.timedelta(microseconds=123456)),
        ("2026-11-20T01:00:00.5+0200", at(-60) + dt.timedelta(microseconds=500000)),
        ("0001-01-01T00:00:00Z", None),
        ("2099-01-01T00:00:00Z", None),
        ("2024-02-30T00:00:00Z", None),
        ("2024-02-20T23:59:60Z", None),
        ("2024-02-20T24:00:00Z", None),
        ("2024-02-20T10:00:00", None),
        ("2024-02-20T10:00:00+24:00", None),
        ("0000-01-01T00:00:00Z", None),
        ("10000-01-01T00:00:00Z", None),
        (1700000000, None),
        (None, None),
    ],
)
def test_only_real_times_count(text: Any, expected: dt.datetime | None) -> None:
    assert moment(text, what="it", received_at=T0, notes=Notes()) == expected
