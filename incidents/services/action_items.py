"""Commands on action items: written, given to somebody, done, dropped; and reminded of by the clock."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

from django.db import transaction
from django.db.models import F

from core import events, live
from core.access import require
from core.actors import SYSTEM, Actor
from core.errors import Conflict, Invalid, NotFound
from core.models import Event, User
from incidents import policy
from incidents.models import ActionItem, Incident, Review
from incidents.rules.follow_up import OVERDUE, end_of, kind_of_reminder, next_moment
from incidents.selectors.action_items import action_item_url
from incidents.selectors.addressees import addressed_to
from incidents.selectors.people import who_may_see
from incidents.services.incidents import lock_incident
from incidents.services.tasks import drop_task
from incidents.states import UNFINISHED, ActionItemKind, ActionItemState, IncidentStatus
from incidents.timeline import record_on_incident

TEXT_LENGTH = 10_000
MOST_UNFINISHED = 200  # of one incident: more are a programme of their own
EARLIEST, LATEST = dt.date(2000, 1, 1), dt.date(2100, 1, 1)
AT_ONCE = 500  # of a sweep: the next one goes on
UNCHANGED: Any = object()  # None is nobody, or no day


class ActionItemFinished(Conflict):
    """It is done or dropped already, or was never finished."""

    code = "action_item_state"


@transaction.atomic
def create_action_item(
    *,
    title: str,
    actor: Actor,
    now: dt.datetime,
    incident_id: int | None = None,
    review_id: int | None = None,
    kind: str = ActionItemKind.ACTION,
    description: str = "",
    owner: str | None = None,
    due_on: dt.date | None = None,
) -> ActionItem:
    """Write down what is to be done, of an incident (also of a closed one) or of none.

    `owner` is an account's name. Of a retrospective it belongs to that one's incident. Raises Invalid for an
    unknown owner and one who may not see the incident, NotFound.
    """
    require(actor, "respond")
    review = _review(review_id, actor) if review_id is not None else None
    if review is not None and review.incident_id is not None:
        if incident_id not in (None, review.incident_id):
            raise Invalid({"incident": f"{review} is about another incident."})
        incident_id = review.incident_id
    incident = lock_incident(incident_id, actor) if incident_id is not None else None
    if incident is not None and incident.action_items.unfinished().count() >= MOST_UNFINISHED:
        raise Conflict(
            f"{incident.ref} has {MOST_UNFINISHED} open action items: finish some first.",
            state=incident.status,
        )
    day = _day(due_on)
    item = ActionItem.objects.create(
        incident=incident,
        review=review,
        kind=_kind(kind),
        title=_title(title),
        description=_text("description", description),
        owner=_owner(incident, owner),
        due_on=day,
        created_at=now,
        created_by=actor.label[:200],
        remind_at=_remind_at(day, now),
    )
    of = {"review": item.review_id} if item.review_id is not None else {}
    said = f"Action item: {item.title}{_for_whom(item)}"
    _record(item, "created", said, actor, now, to=_addressees(item) if item.owner else [], **of)
    return item


@transaction.atomic
def edit_action_item(
    *,
    item_id: int,
    actor: Actor,
    now: dt.datetime,
    title: str = UNCHANGED,
    kind: str = UNCHANGED,
    description: str = UNCHANGED,
    owner: str | None = UNCHANGED,
    due_on: dt.date | None = UNCHANGED,
    state: str = UNCHANGED,
) -> ActionItem:
    """Say it otherwise, give it to somebody else, another day, or begin it. Nothing new records nothing.

    `state` is open or in_progress. Another day is reminded of anew.
    """
    require(actor, "respond")
    item = _lock(item_id, actor)
    _must_be_unfinished(item)
    before = {
        name: getattr(item, name) for name in ("title", "kind", "description", "owner_id", "due_on", "state")
    }
    if title is not UNCHANGED:
        item.title = _title(title)
    if kind is not UNCHANGED:
        item.kind = _kind(kind)
    if description is not UNCHANGED:
        item.description = _text("description", description)
    if owner is not UNCHANGED and owner != (item.owner.get_username() if item.owner else None):
        item.owner = _owner(item.incident, owner)
    if due_on is not UNCHANGED:
        item.due_on = _day(due_on)
    if state is not UNCHANGED:
        if state not in UNFINISHED:
            raise Invalid({"state": "Only open or in_progress; it is finished by its own commands."})
        item.state = state
    changed = [name for name, value in before.items() if getattr(item, name) != value]
    if not changed:
        return item
    if "due_on" in changed:
        item.remind_at = _remind_at(item.due_on, now)
    _save(item, *(name.removesuffix("_id") for name in changed), "remind_at")
    said = f"Action item “{before['title']}” {', '.join(_said(item, name) for name in changed)}"
    given = "owner_id" in changed and item.owner is not None
    _record(item, "changed", said, actor, now, to=_addressees(item) if given else [])
    return item


@transaction.atomic
def complete_action_item(*, item_id: int, actor: Actor, now: dt.datetime, note: str = "") -> ActionItem:
    """It is done. Raises ActionItemFinished with who was first."""
    return _finish(item_id, ActionItemState.DONE, note, actor, now)


@transaction.atomic
def drop_action_item(*, item_id: int, reason: str, actor: Actor, now: dt.datetime) -> ActionItem:
    """It will not be done, and why."""
    if not reason.strip():
        raise Invalid({"reason": "Say why it will not be done."})
    return _finish(item_id, ActionItemState.DROPPED, reason, actor, now)


@transaction.atomic
def reopen_action_item(*, item_id: int, actor: Actor, now: dt.datetime) -> ActionItem:
    """It is to be done after all; its day counts again."""
    require(actor, "respond")
    item = _lock(item_id, actor)
    if not item.is_finished:
        raise ActionItemFinished(f"“{item.title}” is not finished.", state=item.state)
    before = item.finished_by
    item.state, item.finished_at, item.finished_by, item.finished_note = ActionItemState.OPEN, None, "", ""
    item.remind_at = _remind_at(item.due_on, now)
    _save(item, "state", "finished_at", "finished_by", "finished_note", "remind_at")
    said = f"To be done after all: {item.title} (was finished by {before})"
    _record(item, "reopened", said, actor, now)
    return item


@transaction.atomic
def take_over_tasks(*, incident_id: int, actor: Actor, now: dt.datetime) -> Sequence[ActionItem]:
    """Make an action item of every open task of a resolved incident, each with its owner and day.

    Each is an event, and so is the end of its task. Raises Conflict on an incident that is not resolved.
    """
    require(actor, "respond")
    incident = lock_incident(incident_id, actor)
    if incident.status != IncidentStatus.RESOLVED:
        raise Conflict(
            f"{incident.ref} is {incident.status}: tasks become action items once it is resolved.",
            state=incident.status,
        )
    made = []
    for task in incident.tasks.open().select_related("owner").order_by("pk"):
        owner = task.owner if task.owner and task.owner in who_may_see(incident, [task.owner]) else None
        item = create_action_item(
            incident_id=incident.pk,
            title=task.title,
            owner=owner.get_username() if owner else None,
            due_on=task.due_at.astimezone(dt.UTC).date() if task.due_at else None,
            actor=actor,
            now=now,
        )
        drop_task(
            incident_id=incident.pk,
            task_id=task.pk,
            reason=f"goes on as action item {item.pk}",
            actor=actor,
            now=now,
        )
        made.append(item)
    return made


def remind_of_action_items(*, now: dt.datetime) -> int:
    """Remind owners once of each due time that has come; of several that were missed, by the last one.

    Returns how many reminders were said.
    """
    due = ActionItem.objects.to_remind_of(now).order_by("remind_at").values_list("pk", flat=True)
    return sum(_remind(pk, now) for pk in list(due[:AT_ONCE]))


@transaction.atomic
def _remind(item_id: int, now: dt.datetime) -> bool:
    item = _locked(item_id)
    if item is None or not ActionItem.objects.to_remind_of(now).filter(pk=item_id).exists():
        return False  # somebody was faster
    if item.due_on is None:
        return False
    item.remind_at = _remind_at(item.due_on, now)
    # No new version: a reminder is nothing that somebody who edits the item must have read.
    item.save(update_fields=["remind_at"])
    kind = kind_of_reminder(end_of(item.due_on), now)
    said = f"Action item {'overdue since' if kind == OVERDUE else 'due'} {item.due_on:%Y-%m-%d}: {item.title}"
    _record(item, kind, said, SYSTEM, now, to=_addressees(item))
    return True


def _addressees(item: ActionItem) -> list[str]:
    return addressed_to([item.owner], item.incident, otherwise=(policy.follow_up().audience,))


def _finish(item_id: int, state: ActionItemState, note: str, actor: Actor, now: dt.datetime) -> ActionItem:
    require(actor, "respond")
    item = _lock(item_id, actor)
    _must_be_unfinished(item)
    note = _text("reason" if state is ActionItemState.DROPPED else "note", note)
    item.state, item.finished_at, item.finished_by = state, now, actor.label[:200]
    item.finished_note, item.remind_at = note, None
    _save(item, "state", "finished_at", "finished_by", "finished_note", "remind_at")
    done = state is ActionItemState.DONE
    said = f"{'Done' if done else 'Will not be done'}: {item.title}" + (f" ({note})" if note else "")
    _record(item, "completed" if done else "dropped", said, actor, now, note=events.shorten(note))
    return item


def _review(review_id: int, actor: Actor) -> Review:
    review = Review.objects.visible_to(actor).filter(pk=review_id).first()
    if review is None:
        raise NotFound("There is no such review.")
    return review


def _lock(item_id: int, actor: Actor) -> ActionItem:
    """The item, locked after its incident; raises NotFound for one that the actor may not see."""
    item = _locked(item_id) if ActionItem.objects.visible_to(actor).filter(pk=item_id).exists() else None
    if item is None:
        raise NotFound("No such action item.")
    return item


def _locked(item_id: int) -> ActionItem | None:
    """Locks are taken in the order incident, item, stream."""
    found = ActionItem.objects.filter(pk=item_id).values_list("incident_id", flat=True).first()
    incident = Incident.objects.select_for_update(no_key=True).get(pk=found) if found is not None else None
    rows = ActionItem.objects.select_for_update(of=("self",), no_key=True).select_related("owner")
    item = rows.filter(pk=item_id).first()
    if item is not None and incident is not None:
        item.incident = incident
    return item


def _must_be_unfinished(item: ActionItem) -> None:
    if item.is_finished:
        said = f"“{item.title}” is {item.state} already, by {item.finished_by}."
        raise ActionItemFinished(said, state=item.state)


def _remind_at(due_on: dt.date | None, now: dt.datetime) -> dt.datetime | None:
    if due_on is None:
        return None
    return next_moment(end_of(due_on), after=now, plan=policy.action_item_plan())


def _title(title: str) -> str:
    line = " ".join(title.split())
    if not line:
        raise Invalid({"title": "Say what is to be done."})
    if len(line) > 200:
        raise Invalid({"title": "At most 200 characters."})
    return line


def _text(name: str, text: str) -> str:
    if len(text) > TEXT_LENGTH:
        raise Invalid({name: f"At most {TEXT_LENGTH} characters."})
    return text.strip()


def _kind(kind: str) -> str:
    if kind not in ActionItemKind.values:
        raise Invalid({"kind": "No such kind of action item."})
    return kind


def _day(due_on: dt.date | None) -> dt.date | None:
    if due_on is not None and not EARLIEST <= due_on < LATEST:
        raise Invalid({"due_on": "Must lie between the years 2000 and 2100."})
    return due_on


def _owner(incident: Incident | None, username: str | None) -> User | None:
    """Who may see it: what its owner cannot find helps nobody, and tells what is hidden."""
    if not username:
        return None
    user = User.objects.filter(username__iexact=username, is_active=True).first()
    if user is None:
        raise Invalid({"owner": "No such account."})
    if incident is not None and not who_may_see(incident, [user]):
        raise Invalid({"owner": f"{user} may not see this incident: bring them onto it first."})
    return user


def _said(item: ActionItem, name: str) -> str:
    if name == "title":
        return f"is now “{item.title}”"
    if name == "kind":
        return f"is now of kind {ActionItemKind(item.kind).label.lower()}"
    if name == "description":
        return "is described anew"
    if name == "owner_id":
        return f"is given to {item.owner}" if item.owner else "is nobody's now"
    if name == "due_on":
        return f"is due {item.due_on:%Y-%m-%d}" if item.due_on else "has no due day now"
    return f"is {ActionItemState(item.state).label.lower()}"


def _for_whom(item: ActionItem) -> str:
    parts = [f"for {item.owner}"] if item.owner else []
    parts += [f"due {item.due_on:%Y-%m-%d}"] if item.due_on else []
    return f" ({', '.join(parts)})" if parts else ""


def _save(item: ActionItem, *columns: str) -> None:
    item.version = F("version") + 1
    item.save(update_fields=[*columns, "version"])
    item.refresh_from_db(fields=["version"])


def _record(item: ActionItem, verb: str, summary: str, actor: Actor, now: dt.datetime, **more: Any) -> Event:
    live.poke("action-items", *([f"review:{item.review_id}"] if item.review_id is not None else []))
    kind = f"action_item.{verb}"
    data = {
        "action_item": item.pk,
        "title": item.title,
        "owner": item.owner.get_username() if item.owner else None,
        "due_on": item.due_on.isoformat() if item.due_on else None,
        "state": str(item.state),
        "path": action_item_url(item.pk),
        **more,
    }
    if item.incident is not None:
        return record_on_incident(item.incident, kind, summary, actor=actor, now=now, data=data)
    stream = events.system_stream()
    return events.record(stream.pk, kind=kind, actor=actor, summary=summary, now=now, data=data)
