"""What an alert means by the playbook, and how the events of one key stand together. Pure."""

from __future__ import annotations

import datetime as dt
import functools
import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from incidents.playbook import AlertRules
from incidents.rules.matchers import Matcher, all_fit, parse

TRIGGER, ACKNOWLEDGE, RESOLVE = "trigger", "acknowledge", "resolve"
_ORDER = {TRIGGER: 0, ACKNOWLEDGE: 1, RESOLVE: 2}  # of events at the same moment: what ended, ended
_NO_SLUG = re.compile(r"[^a-z0-9]+")
KEPT_ONLY = ""


@dataclass(frozen=True)
class Judged:
    """Which service an alert is about, how bad it is (empty: keep it only), what it belongs with."""

    slug: str | None
    severity: str
    security: bool
    ignored: str
    group_key: str


def judge(labels: Mapping[str, str], *, title: str, rules: AlertRules, slugs: frozenset[str]) -> Judged:
    """Read an alert's labels by the playbook; `slugs` are the services that there are."""
    slug = _service(labels, rules, slugs)
    security = bool(rules.security) and all_fit(_parsed(rules.security), labels)
    ignored = next((rule.reason for rule in rules.ignore if all_fit(_parsed(rule.match), labels)), "")
    return Judged(
        slug=slug,
        severity=_severity(labels, rules),
        security=security,
        ignored=ignored,
        group_key=_group(slug, labels, title, rules, security=security),
    )


def candidates(labels: Mapping[str, str], rules: AlertRules) -> list[str]:
    """Every slug that the labels might mean, the likeliest first."""
    found: dict[str, None] = {}
    for name in rules.service.labels:
        if value := labels.get(name, ""):
            for slug in (rules.service.map.get(value), value, _NO_SLUG.sub("-", value.lower()).strip("-")):
                if slug and len(slug) <= 60:
                    found[slug] = None
    return list(found)


def important_labels(rules: AlertRules) -> tuple[str, ...]:
    """The labels that decide something: kept when a sender has too many."""
    return tuple(dict.fromkeys((*rules.service.labels, rules.severity.label, *rules.group_by)))


@dataclass(frozen=True)
class Signal:
    """One event of a key: when it came, and when its sender says that it happened."""

    action: str
    received_at: dt.datetime
    said_at: dt.datetime | None = None


@dataclass(frozen=True)
class Episode:
    """From the trigger that opened an alert to the event that resolved it, if one did."""

    starts_at: dt.datetime
    ends_at: dt.datetime | None
    acknowledged: bool
    last_seen_at: dt.datetime


def episodes(signals: Iterable[Signal]) -> list[Episode]:
    """How a key stood and stands, from all of its events in any order and however often repeated.

    Events count in the order in which they came. Where every one of them says when it happened, that
    order counts instead: one sender's clock against itself, never against ours.
    """
    given = list(signals)
    by_sender = all(signal.said_at is not None for signal in given)
    timed = sorted(
        ((signal.said_at if by_sender else None) or signal.received_at, _ORDER[signal.action])
        for signal in given
    )
    found: list[Episode] = []
    opened: dt.datetime | None = None
    acknowledged, last = False, dt.datetime.min
    for at, action in timed:
        if action == _ORDER[TRIGGER]:
            if opened is None:
                opened, acknowledged = at, False
            last = at
        elif opened is None:
            continue  # about nothing that is open
        elif action == _ORDER[ACKNOWLEDGE]:
            acknowledged = True
        else:
            found.append(Episode(opened, at, acknowledged, last))
            opened = None
    if opened is not None:
        found.append(Episode(opened, None, acknowledged, last))
    return found


def place(
    found: Sequence[Episode], rows: Sequence[tuple[dt.datetime, dt.datetime | None]]
) -> list[int | None]:
    """For each episode the index of the stored row (start, end) that it is, or None for a new one."""
    free = dict(enumerate(rows))
    placed: list[int | None] = []
    for episode in found:
        fitting = [
            index
            for index, (start, end) in free.items()
            if (episode.ends_at is None or start <= episode.ends_at)
            and (end is None or end >= episode.starts_at)
        ]
        index = min(fitting, key=lambda i: free[i][0], default=None)
        if index is not None:
            del free[index]
        placed.append(index)
    return placed


@functools.lru_cache(maxsize=1_000)
def _parsed(texts: tuple[str, ...]) -> tuple[Matcher, ...]:
    return tuple(parse(text) for text in texts)


def _service(labels: Mapping[str, str], rules: AlertRules, slugs: frozenset[str]) -> str | None:
    return next((slug for slug in candidates(labels, rules) if slug in slugs), None)


def _severity(labels: Mapping[str, str], rules: AlertRules) -> str:
    for rule in rules.severity.rules:
        if all_fit(_parsed(rule.match), labels):
            return _or_empty(rule.severity)
    said = labels.get(rules.severity.label, "").strip().lower()
    return _or_empty(rules.severity.levels.get(said, rules.severity.otherwise))


def _or_empty(severity: str) -> str:
    return KEPT_ONLY if severity == "none" else severity


def _group(
    slug: str | None, labels: Mapping[str, str], title: str, rules: AlertRules, *, security: bool
) -> str:
    """A digest of what alerts of one group share; without a service at least the same name.

    Whether they are about security as well: one incident is restricted, the other not.
    """
    values = [labels.get(name, "") for name in rules.group_by]
    if slug is None and not values:
        values = [labels.get("alertname") or title]
    shared = [slug, values, *(["security"] if security else [])]
    return hashlib.sha256(json.dumps(shared).encode()).hexdigest()
