"""An incident's timeline as a page shows it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import Q

from core.models import Event
from incidents.models import Incident

LENGTH = 100
SHOWN = ("seq", "kind", "occurred_at", "recorded_at", "actor", "source", "summary", "data")


@dataclass(frozen=True)
class Group:
    """Kinds of event that one filter chip shows; a kind belongs to the first group that names it."""

    key: str
    label: str
    icon: str
    kinds: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()

    def has(self, kind: str) -> bool:
        return kind in self.kinds or kind.startswith(self.prefixes)


GROUPS = (
    Group("note", "Notes", "pencil-square", prefixes=("note.", "action.", "decision.")),
    Group("message", "Messages", "chat-bubble-left-right", ("incident.updated",), ("message.",)),
    Group(
        "monitor", "Monitors", "chart-bar", ("incident.breached", "incident.metric_recovered"), ("monitor.",)
    ),
    Group("people", "People", "user", ("incident.acknowledged",), ("role.", "responder.")),
    Group("checklist", "Checklists", "clipboard-document-check", prefixes=("checklist.",)),
    Group("task", "Tasks", "clipboard", prefixes=("task.", "action_item.")),
    Group("evidence", "Evidence", "paper-clip", prefixes=("evidence.",)),
    Group("rollback", "Rollback", "arrow-uturn-left", prefixes=("rollback.",)),
    Group("state", "State", "flag", prefixes=("incident.",)),
)


# What people did or decided is found at a glance among their notes: kind -> its word and icon.
_WRITTEN = {"action.taken": ("Action taken", "wrench-screwdriver"), "decision.made": ("Decision", "scale")}


@dataclass(frozen=True)
class EventLine:
    """One event; `detail` is the text behind the one-line summary, `url` what it is about. `word` says what
    people's own lines are, where they are more than notes.
    """

    seq: int
    kind: str
    group: str
    icon: str
    occurred_at: dt.datetime
    recorded_at: dt.datetime
    actor: str
    source: str
    summary: str
    detail: str
    url: str | None
    word: str = ""


def list_events(
    incident: Incident, *, group: str = "", before: int | None = None, links: Mapping[str, str] | None = None
) -> tuple[EventLine, ...]:
    """The newest events first, at most 100 (one query); an unknown group shows all.

    `before` is a `seq`: only what was recorded earlier. `links` gives the address of each reference
    that an event may name, such as RB-….
    """
    rows = Event.objects.filter(stream=incident.stream_id)
    chosen = next((known for known in GROUPS if known.key == group), None)
    if chosen is not None:
        rows = rows.filter(_named_by(chosen)).exclude(_named_earlier(chosen))
    if before is not None:
        rows = rows.filter(seq__lt=before)
    shown = rows.only(*SHOWN).order_by("-seq")[:LENGTH]
    return tuple(_line(event, links or {}) for event in shown)


def _named_by(group: Group) -> Q:
    found = Q(kind__in=group.kinds)
    for prefix in group.prefixes:
        found |= Q(kind__startswith=prefix)
    return found


def _named_earlier(group: Group) -> Q:
    found = Q(pk__in=[])
    for earlier in GROUPS[: GROUPS.index(group)]:
        found |= _named_by(earlier)
    return found


def _line(event: Event, links: Mapping[str, str]) -> EventLine:
    group = next((known for known in GROUPS if known.has(event.kind)), GROUPS[-1])
    word, icon = _WRITTEN.get(event.kind, ("", group.icon))
    return EventLine(
        seq=event.seq,
        kind=event.kind,
        group=group.key,
        icon=icon,
        occurred_at=event.occurred_at,
        recorded_at=event.recorded_at,
        actor=event.actor,
        source="" if event.source == OWN else event.source,
        summary=event.summary,
        detail=_detail(event.summary, event.data),
        url=next(
            (links[value] for value in event.data.values() if isinstance(value, str) and value in links), None
        ),
        word=word,
    )


OWN = "firebreak"  # what Firebreak wrote down itself needs no source beside the actor


def _detail(summary: str, data: Mapping[str, Any]) -> str:
    """The whole text, where the summary is only its beginning or leaves something out."""
    texts = [data.get(key) for key in ("message", "resolution", "reason")]
    whole = next((t for t in texts if isinstance(t, str) and " ".join(t.split()) not in summary), "")
    parts = [whole]
    if cause := data.get("root_cause"):
        parts.append(f"Root cause: {cause}")
    if steps := data.get("next_steps"):
        parts.append(f"Next steps: {steps}")
    return "\n".join(part for part in parts if part)
