"""The checklists of an incident: done, next, overdue; and the last check of the criteria."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from django.urls import reverse

from core.access import may
from core.actors import Actor
from core.errors import NotFound
from core.models import Event
from incidents import policy
from incidents.models import ChecklistItem, Incident
from incidents.rules.checklists import is_still_asked_for, waits
from incidents.rules.criteria import CHECKED
from incidents.selectors.actions import why_not_allowed
from incidents.states import IncidentStatus, Tier

NEXT = 3
_TONES = {Tier.IMMEDIATE.value: "critical", Tier.RECOMMENDED.value: "high", Tier.OPTIONAL.value: "info"}


@dataclass(frozen=True)
class ItemLine:
    """One thing to do, with its window; an address is None where the actor may not go there now."""

    key: str
    name: str
    text: str
    phase_name: str
    starts_at: dt.datetime
    due_at: dt.datetime
    ticked_at: dt.datetime | None
    ticked_by: str | None
    note: str
    overdue: bool
    owner: str | None
    anchor: str
    assign_url: str | None
    tick_url: str | None
    untick_url: str | None


@dataclass(frozen=True)
class PhaseProgress:
    """One phase: how much of it is done, and by when the rest is due."""

    key: str
    name: str
    starts_at: dt.datetime
    due_at: dt.datetime
    done: int
    overdue: int
    items: tuple[ItemLine, ...]

    @property
    def total(self) -> int:
        return len(self.items)


@dataclass(frozen=True)
class ChecklistProgress:
    """One checklist; `asked_for` while what is open in it matters, `waits` while it will matter again."""

    key: str
    name: str
    asked_for: bool
    waits: bool
    phases: tuple[PhaseProgress, ...]

    @property
    def done(self) -> int:
        return sum(phase.done for phase in self.phases)

    @property
    def total(self) -> int:
        return sum(phase.total for phase in self.phases)

    @property
    def overdue(self) -> int:
        return sum(phase.overdue for phase in self.phases)


@dataclass(frozen=True)
class CriteriaCheck:
    """The last check of the criteria: what it recommended, why, by whom and when."""

    recommendation: str
    text: str
    reasons: tuple[str, ...]
    checked_by: str
    checked_at: dt.datetime

    @property
    def tone(self) -> str:
        """The tone of the page for it."""
        return _TONES.get(self.recommendation, "neutral")


@dataclass(frozen=True)
class Guidance:
    """What the page of an incident says about what to do; `why_not` says why the actor ticks nothing."""

    checklists: tuple[ChecklistProgress, ...]
    next_items: tuple[ItemLine, ...]
    criteria: CriteriaCheck | None
    criteria_url: str | None
    why_not: str

    @property
    def overdue(self) -> int:
        return sum(checklist.overdue for checklist in self.checklists)


def guidance_for(actor: Actor, incident: Incident, *, now: dt.datetime) -> Guidance:
    """The checklists and the last check of the criteria (two queries)."""
    checklists = list_checklists(actor, incident, now=now)
    open_items = [
        item
        for checklist in checklists
        if checklist.asked_for
        for phase in checklist.phases
        for item in phase.items
        if item.ticked_at is None
    ]
    return Guidance(
        checklists=checklists,
        next_items=tuple(sorted(open_items, key=lambda item: item.due_at)[:NEXT]),
        criteria=last_criteria_check(incident),
        criteria_url=_criteria_url(actor, incident),
        why_not=why_not_allowed(actor, "respond"),
    )


def list_checklists(actor: Actor, incident: Incident, *, now: dt.datetime) -> tuple[ChecklistProgress, ...]:
    """The incident's checklists in the playbook's order, each phase by phase (one query)."""
    rows: dict[str, list[ChecklistItem]] = {}
    for row in incident.checklist_items.select_related("owner"):
        rows.setdefault(row.checklist, []).append(row)
    known = list(policy.checklists())
    ordered = sorted(rows, key=lambda key: (known.index(key) if key in known else len(known), key))
    return tuple(_checklist(actor, incident, key, rows[key], now) for key in ordered)


def get_item(incident: Incident, checklist: str, key: str) -> ChecklistItem:
    """One item; raises NotFound."""
    rows = incident.checklist_items.select_related("owner")
    row = rows.filter(checklist=checklist, key=key).first()
    if row is None:
        raise NotFound(f"{incident.ref} has no item {key[:80]} in a checklist {checklist[:80]}.")
    return row


def is_phase_overdue(incident: Incident, *, checklist: str, phase: str, now: dt.datetime) -> bool:
    """Whether something in the phase is overdue and still asked for."""
    if not is_still_asked_for(policy.checklists().get(checklist), incident.status):
        return False
    rows = incident.checklist_items.filter(checklist=checklist, phase=phase)
    return rows.filter(ticked_at__isnull=True, due_at__lte=now).exists()


def is_checklist_due(event: Event) -> bool:
    """Whether something of the phase that the event reminds of is still to be done, by the time it said."""
    incident = Incident.objects.filter(stream_id=event.stream_id).first()
    asked = policy.checklists().get(event.data["checklist"])
    if incident is None or not is_still_asked_for(asked, incident.status):
        return False
    rows = incident.checklist_items.filter(checklist=event.data["checklist"], key__in=event.data["items"])
    due_at = dt.datetime.fromisoformat(event.data["due_at"])
    return rows.filter(ticked_at__isnull=True, due_at=due_at).exists()


def is_item_given(event: Event) -> bool:
    """Whether the item that the event gave to somebody is still theirs, and to be done."""
    rows = ChecklistItem.objects.filter(incident__stream_id=event.stream_id, ticked_at__isnull=True)
    rows = rows.filter(checklist=event.data["checklist"], key=event.data["item"])
    return rows.filter(owner__isnull=False, owner__username=event.data["owner"]).exists()


def show_item(actor: Actor, incident: Incident, row: ChecklistItem, *, now: dt.datetime) -> ItemLine:
    """One item as the checklists show it."""
    asked_for = is_still_asked_for(policy.checklists().get(row.checklist), incident.status)
    return _item(incident, row, now, asked_for=asked_for, changeable=_may_change(actor, incident))


def last_criteria_check(incident: Incident) -> CriteriaCheck | None:
    """What the criteria recommended last (one query)."""
    event = Event.objects.filter(stream=incident.stream_id, kind=CHECKED).order_by("-seq").first()
    if event is None:
        return None
    texts = {
        criterion.key: criterion.text
        for tier in policy.criteria().root.values()
        for criterion in tier.criteria
    }
    return CriteriaCheck(
        recommendation=event.data["recommendation"],
        text=event.data["text"],
        reasons=tuple(texts.get(key, key) for key in event.data["matched"]),
        checked_by=event.actor,
        checked_at=event.occurred_at,
    )


def _criteria_url(actor: Actor, incident: Incident) -> str | None:
    able = incident.is_open and may(actor, "respond")
    return reverse("incidents:criteria", args=[incident.ref]) if able else None


def _checklist(
    actor: Actor, incident: Incident, key: str, rows: Sequence[ChecklistItem], now: dt.datetime
) -> ChecklistProgress:
    checklist = policy.checklists().get(key)
    asked_for = is_still_asked_for(checklist, incident.status)
    changeable = _may_change(actor, incident)
    phases = []
    for phase, found in groupby(rows, key=lambda row: row.phase):
        items = [_item(incident, row, now, asked_for=asked_for, changeable=changeable) for row in found]
        phases.append(_phase(phase, items))
    return ChecklistProgress(
        key=key,
        name=checklist.name if checklist else key,
        asked_for=asked_for,
        waits=waits(checklist, incident.status),
        phases=tuple(phases),
    )


def _may_change(actor: Actor, incident: Incident) -> bool:
    return incident.status != IncidentStatus.CLOSED and may(actor, "respond")


def _phase(key: str, items: Sequence[ItemLine]) -> PhaseProgress:
    """Its window is that of its open items: what was ticked before a restart keeps the older one."""
    shown = next((item for item in items if item.ticked_at is None), items[0])
    return PhaseProgress(
        key=key,
        name=items[0].phase_name,
        starts_at=shown.starts_at,
        due_at=shown.due_at,
        done=sum(item.ticked_at is not None for item in items),
        overdue=sum(item.overdue for item in items),
        items=tuple(items),
    )


def _item(
    incident: Incident, row: ChecklistItem, now: dt.datetime, *, asked_for: bool, changeable: bool
) -> ItemLine:
    address = [incident.ref, row.checklist, row.key]
    ticked = row.ticked_at is not None
    return ItemLine(
        key=row.key,
        name=row.name,
        text=row.text,
        phase_name=row.phase_name,
        starts_at=row.starts_at,
        due_at=row.due_at,
        ticked_at=row.ticked_at,
        ticked_by=row.ticked_by or None,
        note=row.note,
        overdue=asked_for and row.is_overdue(now),
        owner=row.owner.get_username() if row.owner else None,
        anchor=f"{row.checklist}-{row.key}",
        assign_url=reverse("incidents:assign_item", args=address) if changeable and not ticked else None,
        tick_url=reverse("incidents:tick", args=address) if changeable and not ticked else None,
        untick_url=reverse("incidents:untick", args=address) if changeable and ticked else None,
    )
