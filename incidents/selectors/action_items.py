"""Action items: as their page, an incident's page, the report, the export and the API show them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import Case, Count, F, Q, QuerySet, Value, When
from django.urls import reverse

from core.access import may
from core.actors import Actor
from core.errors import NotFound
from core.models import Event
from incidents.models import ActionItem, Incident, Review
from incidents.models.action_items import ActionItemQuerySet
from incidents.rules.report import ActionRow
from incidents.selectors.actions import why_not_allowed
from incidents.selectors.cards import incident_url
from incidents.states import UNFINISHED, ActionItemKind, ActionItemState, IncidentStatus

LENGTH = 50  # of a page
OF_INCIDENT = 50  # that an incident's page shows
OF_REVIEW = 100
UNFINISHED_STATE = "unfinished"
_TONES = {
    ActionItemState.OPEN: "neutral",
    ActionItemState.IN_PROGRESS: "info",
    ActionItemState.DONE: "ok",
    ActionItemState.DROPPED: "neutral",
}


@dataclass(frozen=True)
class ActionItemLine:
    """One action item; an address is None where the actor may not go there now."""

    pk: int
    url: str
    title: str
    description: str
    kind: str
    kind_label: str
    owner: str | None
    due_on: dt.date | None
    overdue: bool
    state: str
    state_label: str
    tone: str
    incident_ref: str | None
    incident_title: str
    incident_url: str | None
    review_name: str
    review_url: str | None
    created_at: dt.datetime
    created_by: str
    finished_at: dt.datetime | None
    finished_by: str
    finished_note: str
    done_url: str | None
    edit_url: str | None
    drop_url: str | None
    reopen_url: str | None

    @property
    def finished(self) -> bool:
        return self.finished_at is not None


@dataclass(frozen=True)
class ActionItemCounts:
    """How many are not finished: all, overdue, the reader's own, those of them that are overdue."""

    open: int
    overdue: int
    mine: int
    mine_overdue: int


@dataclass(frozen=True)
class ActionItemAsk:
    """What a list is narrowed to; empty is everything. `owner` may be "me" or "nobody"."""

    state: str = UNFINISHED_STATE
    owner: str = ""
    kind: str = ""
    service: str = ""
    overdue: bool = False
    drills: bool = False


@dataclass(frozen=True)
class ActionItemPage:
    """One page of a list; `more` says that there is another after it."""

    lines: tuple[ActionItemLine, ...]
    more: bool


@dataclass(frozen=True)
class FollowUp:
    """What an incident's page says of its action items; `shown` is false while there is nothing to say."""

    lines: tuple[ActionItemLine, ...]
    open: int
    overdue: int
    add_url: str | None
    take_over_url: str | None
    why_not: str
    shown: bool


def action_item_url(pk: int) -> str:
    return reverse("incidents:action_item", args=[pk])


def list_action_items(actor: Actor) -> ActionItemQuerySet:
    """Every action item that the actor may see, with what a line of it needs."""
    return ActionItem.objects.visible_to(actor).select_related("owner", "incident", "review")


def get_action_item(actor: Actor, pk: int) -> ActionItem:
    """Raises NotFound."""
    item = list_action_items(actor).filter(pk=pk).first()
    if item is None:
        raise NotFound("There is no such action item.")
    return item


def count_action_items(actor: Actor, *, now: dt.datetime) -> ActionItemCounts:
    """One query."""
    late = Q(due_on__lt=now.astimezone(dt.UTC).date())
    mine = Q(owner=actor.user_id) if actor.user_id is not None else Q(pk__in=[])
    rows = _without_drills(ActionItem.objects.visible_to(actor).unfinished())
    found = rows.aggregate(
        open=Count("pk"),
        overdue=Count("pk", filter=late),
        mine=Count("pk", filter=mine),
        mine_overdue=Count("pk", filter=mine & late),
    )
    return ActionItemCounts(**found)


def page_of_action_items(actor: Actor, ask: ActionItemAsk, *, page: int, now: dt.datetime) -> ActionItemPage:
    """The reader's own first, what is due first on top; finished ones newest first (one query)."""
    rows = narrowed(list_action_items(actor), actor, ask, now=now)
    if ask.state == UNFINISHED_STATE or ask.state in UNFINISHED:
        mine = Case(When(owner=actor.user_id, then=Value(0)), default=Value(1)) if actor.user_id else Value(0)
        rows = rows.order_by(mine, F("due_on").asc(nulls_last=True), "pk")
    else:
        rows = rows.order_by(F("finished_at").desc(nulls_first=True), "-pk")
    found = list(rows[(page - 1) * LENGTH : page * LENGTH + 1])
    lines = tuple(show_action_item(actor, row, now=now) for row in found[:LENGTH])
    return ActionItemPage(lines, more=len(found) > LENGTH)


def narrowed(
    rows: QuerySet[ActionItem], actor: Actor, ask: ActionItemAsk, *, now: dt.datetime
) -> QuerySet[ActionItem]:
    """`rows` as far as they are asked for; drills left out unless they are."""
    if not ask.drills:
        rows = _without_drills(rows)
    if ask.state == UNFINISHED_STATE:
        rows = rows.filter(state__in=UNFINISHED)
    elif ask.state:
        rows = rows.filter(state=ask.state)
    if ask.owner == "me":
        rows = rows.filter(owner=actor.user_id)
    elif ask.owner == "nobody":
        rows = rows.filter(owner__isnull=True)
    elif ask.owner:
        rows = rows.filter(owner__username=ask.owner)
    if ask.kind:
        rows = rows.filter(kind=ask.kind)
    if ask.service:
        named = Incident.objects.filter(services__slug=ask.service).values("pk")
        rows = rows.filter(incident__in=named)
    if ask.overdue:
        rows = rows.filter(state__in=UNFINISHED, due_on__lt=now.astimezone(dt.UTC).date())
    return rows


def _without_drills(rows: Any) -> Any:
    return rows.filter(Q(incident__isnull=True) | Q(incident__drill=False))


def services_with_items(actor: Actor) -> tuple[tuple[str, str], ...]:
    """Slug and name of services whose incidents have unfinished items that the actor may see (one query)."""
    rows = ActionItem.objects.visible_to(actor).unfinished().filter(incident__services__isnull=False)
    found = rows.order_by("incident__services__name").values_list(
        "incident__services__slug", "incident__services__name"
    )
    return tuple((str(slug), str(name)) for slug, name in found.distinct()[:50])


def owners_with_items(actor: Actor) -> tuple[str, ...]:
    """Accounts with unfinished items that the actor may see (one query)."""
    rows = ActionItem.objects.visible_to(actor).unfinished().filter(owner__isnull=False)
    return tuple(
        str(name)
        for name in rows.order_by("owner__username").values_list("owner__username", flat=True).distinct()[:50]
    )


def follow_up_of(actor: Actor, incident: Incident, *, now: dt.datetime, back: str = "incident") -> FollowUp:
    """The action items of an incident: unfinished ones by their day, then the finished ones. `back` is where
    their commands lead back to, "incident" or "report".

    One query, and on a resolved incident another: whether tasks are left.
    """
    rows = incident.action_items.select_related("owner", "review")
    finished = Case(When(state__in=UNFINISHED, then=Value(0)), default=Value(1))
    found = rows.order_by(finished, F("due_on").asc(nulls_last=True), "pk")[:OF_INCIDENT]
    lines = tuple(show_action_item(actor, row, now=now, incident=incident, back=back) for row in found)
    able = may(actor, "respond")
    resolved = incident.status == IncidentStatus.RESOLVED
    return FollowUp(
        lines=lines,
        open=sum(not line.finished for line in lines),
        overdue=sum(line.overdue for line in lines),
        add_url=_add_url(incident, back) if able else None,
        take_over_url=reverse("incidents:take_over_tasks", args=[incident.ref])
        if able and resolved and incident.tasks.open().exists()
        else None,
        why_not=why_not_allowed(actor, "respond"),
        shown=bool(lines) or not incident.is_open,
    )


def _add_url(incident: Incident, back: str) -> str:
    address = reverse("incidents:action_item_of", args=[incident.ref])
    return address if back == "incident" else f"{address}?back={back}"


def items_of_review(actor: Actor, review: Review, *, now: dt.datetime) -> tuple[ActionItemLine, ...]:
    """What came of a review: unfinished ones by their day, then the finished ones (one query)."""
    rows = list_action_items(actor).filter(review=review)
    finished = Case(When(state__in=UNFINISHED, then=Value(0)), default=Value(1))
    found = rows.order_by(finished, F("due_on").asc(nulls_last=True), "pk")[:OF_REVIEW]
    return tuple(show_action_item(actor, row, now=now, back="review") for row in found)


def show_action_item(
    actor: Actor,
    row: ActionItem,
    *,
    now: dt.datetime,
    incident: Incident | None = None,
    back: str = "",
) -> ActionItemLine:
    """One action item in its line; `incident` where it is at hand, `back` where its commands lead back to."""
    about = incident or row.incident
    able = may(actor, "respond")

    def address(verb: str, allowed: bool) -> str | None:
        if not (able and allowed):
            return None
        return reverse(f"incidents:action_item_{verb}", args=[row.pk]) + (f"?back={back}" if back else "")

    return ActionItemLine(
        pk=row.pk,
        url=action_item_url(row.pk),
        title=row.title,
        description=row.description,
        kind=row.kind,
        kind_label=str(ActionItemKind(row.kind).label),
        owner=row.owner.get_username() if row.owner else None,
        due_on=row.due_on,
        overdue=row.is_overdue(now),
        state=row.state,
        state_label=str(ActionItemState(row.state).label),
        tone=_TONES[ActionItemState(row.state)],
        incident_ref=about.ref if about else None,
        incident_title=about.title if about else "",
        incident_url=incident_url(about.ref) if about else None,
        review_name=str(row.review) if row.review else "",
        review_url=reverse("incidents:review", args=[row.review_id]) if row.review_id else None,
        created_at=row.created_at,
        created_by=row.created_by,
        finished_at=row.finished_at,
        finished_by=row.finished_by,
        finished_note=row.finished_note,
        done_url=address("done", not row.is_finished),
        edit_url=address("edit", not row.is_finished),
        drop_url=address("drop", not row.is_finished),
        reopen_url=address("reopen", row.is_finished),
    )


def report_items(incident: Incident) -> tuple[tuple[ActionRow, ...], tuple[str, ...], tuple[str, ...]]:
    """What the report prints: the table of action items, immediate and long-term prevention (one query).

    The table has all three kinds, as each has an owner and a day; what was dropped stands in none.
    """
    rows = incident.action_items.exclude(state=ActionItemState.DROPPED).select_related("owner").order_by("pk")
    found = list(rows)

    def of(kind: ActionItemKind) -> tuple[str, ...]:
        return tuple(row.title for row in found if row.kind == kind)

    table = tuple(
        ActionRow(
            action=row.title,
            owner=row.owner.get_username() if row.owner else "",
            due_on=row.due_on,
            status=str(ActionItemState(row.state).label),
        )
        for row in found
    )
    return table, of(ActionItemKind.IMMEDIATE), of(ActionItemKind.LONG_TERM)


def is_action_item_due(event: Event) -> bool:
    """Whether what the event reminds of is still to be done, on the day and by whom it said."""
    item = ActionItem.objects.select_related("owner").filter(pk=event.data.get("action_item")).first()
    if item is None or item.is_finished or item.due_on is None:
        return False
    owner = item.owner.get_username() if item.owner else None
    return (item.due_on.isoformat(), owner) == (event.data.get("due_on"), event.data.get("owner"))


def is_action_item_given(event: Event) -> bool:
    """Whether what the event gave to somebody is still theirs, and to be done."""
    rows = ActionItem.objects.filter(pk=event.data["action_item"], state__in=UNFINISHED)
    return rows.filter(owner__isnull=False, owner__username=event.data["owner"]).exists()


def action_items_of(_actor: Actor, incident: Incident) -> list[Mapping[str, Any]]:
    """What the export of the incident says of its action items: docs/export.md."""
    names = (
        "id", "kind", "title", "description", "due_on", "state", "created_at", "created_by", "finished_at",
        "finished_by", "finished_note",
    )  # fmt: skip
    return list(incident.action_items.order_by("pk").values(*names, assigned_to=F("owner__username")))
