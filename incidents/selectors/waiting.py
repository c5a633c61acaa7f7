"""What waits for one person: reports, reviews, action items, tasks and training of theirs, in one query."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from django.db.models import CharField, Exists, OuterRef, Q, QuerySet, Value
from django.db.models.functions import Cast
from django.urls import reverse

from core.access import may
from core.actors import Actor, Level
from incidents import policy
from incidents.models import (
    ActionItem,
    AwaitedTraining,
    Incident,
    Report,
    ReportChange,
    ReportRowChange,
    Review,
    RoleGrant,
    Task,
    TrainingRecord,
)
from incidents.states import ReportState, ReviewState

MOST = 500  # counted; nobody reads a larger number otherwise
# By kind: one of them, several of them, the page of one (of what the row names), that of several.
_SAID: Mapping[str, tuple[str, str, str, str]] = {
    "publish": ("report to publish", "reports to publish", "incidents:report", "incidents:reports"),
    "write": ("report to write", "reports to write", "incidents:report", "incidents:reports"),
    "sign_off": ("review to sign off", "reviews to sign off", "incidents:review", "incidents:reviews"),
    "item": (
        "action item overdue",
        "action items overdue",
        "incidents:action_item",
        "incidents:action_items",
    ),
    "task": ("task overdue", "tasks overdue", "incidents:incident", "incidents:incidents"),
    "training": ("training due", "trainings due", "", "incidents:training"),
}
_NARROWED = {"publish": "?state=in_review", "write": "?owner={name}", "item": "?owner=me&late=1"}
REPORTS, REVIEWS = ("publish", "write"), ("sign_off",)


@dataclass(frozen=True)
class Wait:
    """So many things of a kind that wait, and where they are."""

    kind: str
    count: int
    text: str
    url: str


def waits_for(actor: Actor, *, now: dt.datetime, only: Collection[str] = tuple(_SAID)) -> tuple[Wait, ...]:
    """What waits for the actor, of the kinds asked for; nothing for who may do nothing (one query)."""
    if actor.user_id is None or not actor.is_person or not may(actor, "respond"):
        return ()
    parts = [
        rows.order_by().values_list(Value(kind, output_field=CharField()), name)
        for kind, rows, name in _rows(actor, actor.user_id, now)
        if kind in only
    ]
    found: dict[str, list[str]] = {}
    for kind, name in parts[0].union(*parts[1:], all=True)[:MOST]:
        found.setdefault(kind, []).append(name)
    return tuple(_wait(kind, found[kind], actor) for kind in _SAID if kind in found)


def _wait(kind: str, names: list[str], actor: Actor) -> Wait:
    one, several, page, pages = _SAID[kind]
    # Tasks have no page of their own: several of one incident are there.
    if page and len(set(names)) == 1:
        url = reverse(page, args=[names[0]])
    else:
        url = reverse(pages) + _NARROWED.get(kind, "").format(name=quote(actor.label))
    return Wait(kind, len(names), f"{len(names)} {one if len(names) == 1 else several}", url)


def _rows(actor: Actor, user_id: int, now: dt.datetime) -> list[tuple[str, QuerySet[Any], Any]]:
    """Of each kind its rows, and what names one of them in its address, as text."""
    seen = Incident.objects.visible_to(actor).filter(drill=False)
    over = Report.objects.awaited().filter(incident__in=seen)
    by_another = Q(incident__severity__in=policy.reports().second_person) & (
        Q(submitted_by_user=user_id) | _wrote_alone(user_id)
    )
    items = ActionItem.objects.visible_to(actor).overdue(now).filter(owner=user_id)
    tasks = Task.objects.open().filter(incident__in=seen, owner=user_id, due_at__lte=now)
    number = Cast("pk", CharField())
    lapsing = now + dt.timedelta(seconds=policy.training().remind_before)
    return [
        ("publish", over.filter(state=ReportState.IN_REVIEW).exclude(by_another), "incident__ref"),
        ("write", over.filter(state=ReportState.DRAFT, owner=user_id), "incident__ref"),
        ("sign_off", _to_sign_off(actor, user_id), number),
        ("item", items.filter(Q(incident__isnull=True) | Q(incident__drill=False)), number),
        ("task", tasks, "incident__ref"),
        ("training", _records(actor, user_id).filter(due_at__lte=lapsing), "course"),
        ("training", AwaitedTraining.objects.filter(user=user_id, due_at__lte=lapsing), "course"),
    ]


def _wrote_alone(user_id: int) -> Q:
    """As `incidents.rules.reports.no_second_person` judges it."""
    mine, others = Q(pk__in=[]), Q(pk__in=[])
    for changes in (ReportChange.objects, ReportRowChange.objects):
        written = changes.filter(report=OuterRef("pk"), revision=OuterRef("revision"))
        mine |= Q(Exists(written.filter(changed_by_account=user_id)))
        others |= Q(Exists(written.exclude(changed_by_account=user_id).exclude(changed_by_account=None)))
    return mine & ~others


def _to_sign_off(actor: Actor, user_id: int) -> QuerySet[Review]:
    """As `incidents.services.reviews.why_not_sign_off` judges one."""
    kinds = policy.reviews().reviews
    able = Q(pk__in=[])
    for key, kind in kinds.items():
        if kind.sign_off:
            granted = RoleGrant.objects.filter(user=user_id, role__in=kind.sign_off)
            able |= Q(kind=key) & Q(Exists(granted))
    if actor.level >= Level.COMMANDER:
        able |= ~Q(kind__in=[key for key, kind in kinds.items() if kind.sign_off])
    return Review.objects.visible_to(actor).filter(able, state=ReviewState.HELD).exclude(held_by_user=user_id)


def _records(actor: Actor, user_id: int) -> QuerySet[TrainingRecord]:
    """The records of the actor that count, of courses that are asked of them."""
    asked = Q(pk__in=[])
    for key, course in policy.training().courses.items():
        if actor.level.label in course.levels or not (course.roles or course.levels):
            asked |= Q(course=key)
        elif course.roles:
            asked |= Q(course=key) & Q(Exists(RoleGrant.objects.filter(user=user_id, role__in=course.roles)))
    return TrainingRecord.objects.filter(asked, user=user_id, current=True)
