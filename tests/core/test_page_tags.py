"""What every page repeats: icons, times and states, as the templates ask for them."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.template import Context, Template, TemplateSyntaxError
from heroicons.templatetags.heroicons import heroicon_micro

AT = dt.datetime(2026, 11, 29, 12, 0, 5, 250_000, tzinfo=dt.UTC)
CSS = Path(__file__).resolve().parents[2] / "static/firebreak/app.css"


def drawn(text: str, **known: Any) -> str:
    return Template(text).render(Context(known))


def test_an_icon_is_what_the_set_draws() -> None:
    wanted = heroicon_micro("fire", size=14, aria_hidden="true")
    assert drawn('{% heroicon_micro "fire" size=14 aria_hidden="true" %}') == wanted
    assert drawn('{% heroicon_micro name size=14 aria_hidden="true" %}', name="fire") == wanted
    assert drawn('{% heroicon_micro "fire" class=c %}', c='"><script>').count("<script") == 0
    with pytest.raises(TemplateSyntaxError):
        Template('{% heroicon_micro "fire" 14 %}')


def test_a_time_is_exact_without_javascript() -> None:
    later = AT.astimezone(dt.timezone(dt.timedelta(hours=2)))
    assert drawn('{% moment at "until" from_at %}', at=later, from_at=AT) == (
        '<time datetime="2026-11-29T12:00:05.250000+00:00" data-clock="until"'
        ' data-from="2026-11-29T12:00:05.250000+00:00" title="2026-11-29 12:00:05 UTC">2026-11-29 12:00:05 UTC</time>'
    )
    assert 'data-clock="ago"' in drawn("{% moment at %}", at=AT)
    assert drawn("{% moment at %}", at=None) == ""
    with pytest.raises(TemplateSyntaxError):
        drawn('{% moment at "ever" %}', at=AT)


def test_a_state_has_an_icon_a_word_and_a_colour_and_no_markup_of_its_own() -> None:
    badge = drawn("{% state_badge state label %}", state="executing", label="<b>Runs</b>")
    assert (
        badge.startswith('<span class="badge running" data-tone="executing"><svg')
        and "&lt;b&gt;Runs" in badge
    )
    assert drawn("{% state_icon state %}", state="") == ""
    assert drawn("{% state_icon state %}", state="something new") == drawn('{% state_icon "pending" %}')
    assert drawn('{% state_icon "ok" %}') != drawn('{% state_icon "critical" %}')
    assert "&lt;i&gt;" in drawn('{% severity_badge "P0" name %}', name="<i>")


def test_every_state_with_a_colour_of_danger_has_an_icon_of_its_own() -> None:
    other = drawn('{% state_icon "pending" %}')
    known = set(re.findall(r'\[data-tone="(\w+)"\]', CSS.read_text()))
    for state in known & {
        "critical",
        "high",
        "failed",
        "timed_out",
        "dead",
        "warning",
        "needs_attention",
        "unknown",
    }:
        assert drawn("{% state_icon state %}", state=state) != other, state


HOSTILE = "<script>alert(1)</script>\"'"


def test_an_event_is_one_line_and_no_markup_of_its_own() -> None:
    event = SimpleNamespace(
        seq=1234, group="rollback", icon="fire", occurred_at=AT, actor=HOSTILE, source=HOSTILE, summary=HOSTILE,
        detail=f"{HOSTILE}\nsecond", url="/rollbacks/RB-1/", word="Decision",
    )  # fmt: skip
    line = drawn("{% event_line event %}", event=event)
    assert "<script" not in line
    assert line.count("&lt;script&gt;") == 4
    assert 'data-group="rollback"><span class="event-icon" data-tone="rollback"><svg' in line
    assert '<a href="/rollbacks/RB-1/"><bdi>' in line
    assert "<br>second" in line
    assert ">#1234<" in line
    assert '<p class="muted event-meta"><strong>Decision</strong> · ' in line
    event.url, event.detail, event.source, event.group, event.word = None, "", "", "task", ""
    line = drawn("{% event_line event %}", event=event)
    assert "<a " not in line
    assert '<p class="muted small">' not in line
    assert "<strong>" not in line
    assert 'data-tone="neutral"' in line


def test_a_metric_is_one_line_and_no_markup_of_its_own() -> None:
    metric = SimpleNamespace(
        level="critical", label=HOSTILE, value_text=HOSTILE, error="", service=HOSTILE, thresholds_text=HOSTILE,
        checked_at=AT, spark="M0,1 L2,3", threshold_y=12.5, release_marks=(60.0,),
    )  # fmt: skip
    line = drawn("{% metric_line metric %}", metric=metric)
    assert "<script" not in line
    assert '<span class="value tone" data-tone="critical">' in line
    assert '<line class="threshold" x1="0" x2="120" y1="12.5" y2="12.5"/><path d="M0,1 L2,3"/>' in line
    assert 'data-clock="ago"' in line
    metric.error, metric.checked_at = HOSTILE, None
    line = drawn("{% metric_line metric %}", metric=metric)
    assert "<script" not in line
    assert 'data-tone="error" title="&lt;script' in line
    assert "<time" not in line
