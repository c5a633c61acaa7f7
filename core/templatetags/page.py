"""What every page repeats by the hundred: icons, times, states. Each is as quick as a string can be.

As included templates and icons drawn anew they took most of a page's time. The names of states become
icons in one table here, and colours in one table of app.css.
"""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Callable, Mapping
from typing import Any

from django import template
from django.forms import BoundField
from django.template.base import FilterExpression, Node, Parser, TextNode, Token, token_kwargs
from django.template.context import Context
from django.template.defaultfilters import linebreaksbr
from django.utils.html import format_html
from django.utils.safestring import SafeString
from heroicons.templatetags import heroicons

from core.careful_forms import Beside, CarefulForm

register = template.Library()

_ICONS: Mapping[str, str] = {
    state: icon
    for icon, states in {
        "check-circle": "ok good succeeded approved resolved closed sent resolved_by_hand",
        "exclamation-triangle": "critical high failed timed_out dead",
        "exclamation-circle": "warning needs_attention",
        "magnifying-glass": "investigating",
        "eye": "monitoring verifying waiting",
        "arrow-uturn-left": "rollback_initiated rolled_back compensated started",
        "clock": "requested awaiting_approval awaits_approval retrying",
        "play-circle": "validating executing starting running sending",
        "x-circle": "rejected cancelled expired refused",
        "question-mark-circle": "unknown",
        "no-symbol": "quarantined",
        "academic-cap": "rehearsed",
        "forward": "skipped",
        "arrow-right-circle": "handed_over",
        "signal": "live",
    }.items()
    for state in states.split()
}
_OTHER_ICON = "ellipsis-horizontal-circle"
_SEVERITY_ICONS = {"P0": "fire", "P1": "exclamation-triangle", "P2": "exclamation-circle"}
_EVENT_TONES = {"rollback": "rollback", "monitor": "high", "state": "P2", "note": "ok"}
CLOCKS = ("", "ago", "until", "since", "between")
_RUNNING = frozenset(("validating", "executing", "verifying", "running", "starting", "sending"))


@functools.lru_cache(maxsize=2_000)
def icon(style: str, name: str, *attributes: tuple[str, object]) -> SafeString:
    """An icon of the set as SVG; raises IconDoesNotExist."""
    draw: Callable[..., SafeString] = getattr(heroicons, f"heroicon_{style}")
    return draw(name, **dict(attributes))


class IconNode(Node):
    """An icon whose name or attributes are only known when the page is made."""

    def __init__(
        self, style: str, name: FilterExpression, attributes: Mapping[str, FilterExpression]
    ) -> None:
        self.style, self.name, self.attributes = style, name, tuple(attributes.items())

    def render(self, context: Context) -> SafeString:
        known = [(key, value.resolve(context)) for key, value in self.attributes]
        return icon(self.style, self.name.resolve(context), *known)


def _compile(style: str) -> Callable[[Parser, Token], Node]:
    def compiled(parser: Parser, token: Token) -> Node:
        _tag, first, *bits = token.split_contents()
        name = parser.compile_filter(first)
        attributes = token_kwargs(bits, parser)
        if bits:
            raise template.TemplateSyntaxError(f"An icon takes a name and attributes: {token.contents}")
        node = IconNode(style, name, attributes)
        fixed = not any(value.is_var or value.filters for value in (name, *attributes.values()))
        return TextNode(node.render(Context())) if fixed else node

    return compiled


for _style in ("micro", "mini", "outline"):
    register.tag(f"heroicon_{_style}", _compile(_style))


@register.simple_tag
def moment(at: dt.datetime | None, clock: str = "", from_at: dt.datetime | str | None = None) -> SafeString:
    """A time: exact without JavaScript, kept current by live.js; nothing without one.

    `clock` is "ago" (without one), "until", "since", or "between" with `from_at`.
    """
    if not isinstance(at, dt.datetime):
        return SafeString("")
    if clock not in CLOCKS:
        raise template.TemplateSyntaxError(f"{clock!r} is no clock of live.js.")
    at = at.astimezone(dt.UTC)
    exact = f"{at:%Y-%m-%d %H:%M:%S} UTC"
    begun = ""
    if isinstance(from_at, dt.datetime):
        begun = f' data-from="{from_at.astimezone(dt.UTC).isoformat()}"'
    # Nothing in it is anybody's text: what is known to be safe need not be escaped five times.
    drawn = f'datetime="{at.isoformat()}" data-clock="{clock or "ago"}"{begun} title="{exact}"'
    return SafeString(f"<time {drawn}>{exact}</time>")


@register.simple_tag
def state_icon(state: str) -> str:
    """The icon of a state, level or delivery; nothing without a state."""
    return icon("micro", _ICONS.get(str(state), _OTHER_ICON), ("aria_hidden", "true")) if state else ""


@register.simple_tag
def state_badge(state: str, label: Any) -> SafeString:
    """A state as icon, word and colour."""
    running = " running" if state in _RUNNING else ""
    return format_html(
        '<span class="badge{}" data-tone="{}">{}{}</span>', running, state, state_icon(state), label
    )


@register.simple_tag
def severity_badge(severity: str, name: str = "") -> SafeString:
    """A severity as icon, word and colour."""
    drawn = icon("micro", _SEVERITY_ICONS.get(severity, "information-circle"), ("aria_hidden", "true"))
    words = f"{severity} {name}" if name else severity
    return format_html(
        '<span class="badge solid severity" data-tone="{}">{}{}</span>', severity, drawn, words
    )


@register.simple_tag
def both_texts(field: BoundField) -> Beside | None:
    """What somebody else wrote into a field of a careful form meanwhile, beside the person's own."""
    return field.form.both.get(field.name) if isinstance(field.form, CarefulForm) else None


@register.simple_tag
def event_line(event: Any) -> SafeString:
    """One event of a timeline (an incidents.selectors.timeline.EventLine); there are a hundred on a page."""
    summary = format_html("<bdi>{}</bdi>", event.summary)
    if event.url:
        summary = format_html('<a href="{}">{}</a>', event.url, summary)
    detail = linebreaksbr(event.detail) if event.detail else ""
    return format_html(
        '<li class="event" data-group="{}"><span class="event-icon" data-tone="{}">{}</span>'
        '<div><p>{}</p>{}<p class="muted event-meta">{}{}{} · '
        '<span title="Position in the timeline">#{}</span></p></div>'
        "{}</li>\n",
        event.group,
        _EVENT_TONES.get(event.group, "neutral"),
        icon("micro", event.icon, ("aria_hidden", "true")),
        summary,
        format_html('<p class="muted small">{}</p>', detail) if detail else "",
        format_html("<strong>{}</strong> · ", event.word) if event.word else "",
        event.actor,
        f" · {event.source}" if event.source else "",
        event.seq,
        moment(event.occurred_at),
    )


@register.simple_tag
def metric_line(metric: Any) -> SafeString:
    """One metric: level, value, line, thresholds (an incidents.selectors.metrics.MetricLine)."""
    service = format_html("{} · ", metric.service) if metric.service else ""
    if metric.error:
        said = format_html('<span class="clip tone" data-tone="error" title="{0}">{0}</span>', metric.error)
    else:
        said = format_html('<span class="clip" title="{0}">{1}{0}</span>', metric.thresholds_text, service)
    checked = f'<span class="push">{moment(metric.checked_at, "ago")}</span>' if metric.checked_at else ""
    return format_html(
        '<div class="metric"><div class="stack tight"><div class="row tight">'
        '<span class="tone" data-tone="{0}">{1}</span><span class="visually-hidden">{0}:</span> '
        '<span class="clip">{2}</span> <span class="value tone" data-tone="{0}">{3}</span></div>'
        '<div class="row tight small muted">{4}{5}</div></div>{6}</div>\n',
        metric.level,
        state_icon(metric.level),
        metric.label,
        metric.value_text,
        said,
        SafeString(checked),
        _spark(metric),
    )


def _spark(metric: Any) -> SafeString:
    """The last hour as a small line against its threshold, releases marked."""
    marks = "".join(
        f'<line class="mark" x1="{x:g}" x2="{x:g}" y1="0" y2="32"/>' for x in metric.release_marks
    )
    limit = (
        f'<line class="threshold" x1="0" x2="120" y1="{metric.threshold_y:g}" y2="{metric.threshold_y:g}"/>'
        if metric.threshold_y is not None
        else ""
    )
    return format_html(
        '<svg class="spark" data-tone="{}" viewBox="0 0 120 32" preserveAspectRatio="none" role="img"'
        ' aria-label="{}: {}">'
        '{}{}<path d="{}"/></svg>',
        metric.level, metric.label, metric.value_text, SafeString(marks), SafeString(limit), metric.spark,
    )  # fmt: skip
