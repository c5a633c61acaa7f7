"""Commands on reviews of the process: opened by the calendar or by hand, held, signed off."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.urls import reverse
from django.utils.module_loading import import_string

from core import events, live
from core.access import require
from core.actors import SYSTEM, Actor
from core.errors import Conflict, Invalid, NotAllowed, NotFound
from core.models import User
from incidents import policy
from incidents.facts import AgendaSection, ReviewPeriod
from incidents.models import Review, ReviewSchedule, RoleGrant
from incidents.playbook import ReviewKind
from incidents.rules.follow_up import OVERDUE
from incidents.rules.reviews import Slot, next_slot, slots_between
from incidents.selectors.addressees import who_may_sign_off
from incidents.selectors.retrospective import retrospective_agenda, retrospective_of
from incidents.services.incidents import lock_incident
from incidents.services.reminders import keep_as_said, note_as_said, remind
from incidents.states import ReviewState, Role
from incidents.timeline import record_on_incident, record_on_system

TEXT_LENGTH = 20_000
MOST_ATTENDEES = 200
MOST_MISSED = 60  # noted one by one; an outage of more than a year of weeks needs no more
LONGEST = dt.timedelta(days=800)
WAITING = (ReviewState.OPEN, ReviewState.HELD)  # to be held, to be signed off
AT_ONCE = 100
RETROSPECTIVE_WITHIN = dt.timedelta(days=7)  # of the resolution. Source: policy, Long-term Follow-up
SOONEST = dt.timedelta(days=1)
UNCHANGED: Any = object()


class ReviewNotOpen(Conflict):
    """What was asked for is not possible in the review's state; `state` says which that is."""

    code = "review_state"


def look_after_reviews(*, now: dt.datetime) -> int:
    """Open what the calendar asks for, remind of what is not held or signed off; returns how much it did."""
    asked = policy.reviews()
    done = sum(open_due_review(kind=key, now=now) is not None for key in asked.reviews)
    ReviewSchedule.objects.exclude(kind__in=list(asked.reviews)).delete()
    waiting = Review.objects.filter(state__in=WAITING)
    return done + remind(waiting, plan=policy.review_plan(), now=now, say=lambda pk: _remind(pk, now))


@transaction.atomic
def open_due_review(*, kind: str, now: dt.datetime) -> Review | None:
    """Open the latest review of a kind that is due; those before it that nobody opened are noted as missed.

    The first time nothing opens: what was before Firebreak began is nobody's to review. Two at once open one.
    """
    asked = policy.reviews().reviews[kind]
    when = policy.review_calendar(asked)
    begun = {"opened_until": now, "next_at": next_slot(when, now).opens_at}
    if not ReviewSchedule.objects.filter(kind=kind).exists():
        ReviewSchedule.objects.get_or_create(kind=kind, defaults=begun)
        return None
    schedule = ReviewSchedule.objects.select_for_update(no_key=True).get(kind=kind)
    slots = list(slots_between(when, max(schedule.opened_until, now - LONGEST), now))
    periods = [slot.period for slot in slots]
    there = set(
        Review.objects.filter(kind=kind, period__in=periods).values_list("period", flat=True)
    )  # the calendar was changed: once each all the same
    slots = _joined(kind, schedule, [slot for slot in slots if slot.period not in there])
    upcoming = next_slot(when, max(now, schedule.opened_until)).opens_at
    if slots or schedule.next_at != upcoming:
        schedule.opened_until = slots[-1].opens_at if slots else schedule.opened_until
        schedule.next_at = upcoming
        schedule.save(update_fields=["opened_until", "next_at"])
    if not slots:
        return None
    missed = slots[:-1][-MOST_MISSED:]
    Review.objects.bulk_create(_missed(kind, asked, slot, now) for slot in missed)
    return _open(kind, asked, slots[-1], [slot.period for slot in missed], now)


def _joined(kind: str, schedule: ReviewSchedule, slots: Sequence[Slot]) -> list[Slot]:
    """Each begins where the one before ended, also where the calendar or its zone was changed since: no
    time is looked at twice or never. Left out is what was before a kind's first review, and an outage of
    LONGEST.
    """
    end = schedule.opened_until
    if not slots or slots[0].begins_at - end >= LONGEST:
        return list(slots)
    if not Review.objects.filter(kind=kind, ends_at=end).exists():
        end = slots[0].begins_at
    begins = [end, *(slot.opens_at for slot in slots)]
    return [replace(slot, begins_at=at) for slot, at in zip(slots, begins, strict=False)]


def _missed(kind: str, asked: ReviewKind, slot: Slot, now: dt.datetime) -> Review:
    return Review(
        kind=kind,
        period=slot.period,
        name=asked.name,
        state=ReviewState.MISSED,
        begins_at=slot.begins_at,
        ends_at=slot.opens_at,
        opened_at=now,
        opened_by=SYSTEM.label,
        due_at=slot.opens_at + dt.timedelta(seconds=asked.due),
    )


def _open(kind: str, asked: ReviewKind, slot: Slot, missed: Sequence[str], now: dt.datetime) -> Review:
    review = Review.objects.create(
        kind=kind,
        period=slot.period,
        name=asked.name,
        begins_at=slot.begins_at,
        ends_at=slot.opens_at,
        opened_at=now,
        opened_by=SYSTEM.label,
        due_at=now + dt.timedelta(seconds=asked.due),
        asked=list(asked.asked),
        agenda=fill_agenda(asked.agenda, ReviewPeriod(slot.begins_at, slot.opens_at, now)),
    )
    told = f"{review} opened, to be held until {_when(review.due_at)}"
    if missed:
        told += f"; missed before it: {', '.join(missed)}"
    _record(review, "review.opened", told, SYSTEM, now, missed=list(missed), to=review.asked)
    return review


@transaction.atomic
def open_review(
    *,
    name: str,
    begins_at: dt.datetime,
    ends_at: dt.datetime,
    due_at: dt.datetime,
    actor: Actor,
    now: dt.datetime,
    sections: Sequence[str] = (),
) -> Review:
    """Open a review by hand, of any time in the past; without `sections`, with all. Raises Invalid."""
    require(actor, "respond")
    known = [key for key, _function in settings.REVIEW_SECTIONS]
    if unknown := [key for key in sections if key not in known]:
        raise Invalid({"sections": f"No such section: {', '.join(unknown)}. There are {', '.join(known)}."})
    if ends_at > now:
        raise Invalid({"ends_at": "Only what has happened can be reviewed: not later than now."})
    if not dt.timedelta() < ends_at - begins_at <= LONGEST:
        raise Invalid({"begins_at": f"Must be earlier than its end, by {LONGEST.days} days at most."})
    if not now < due_at <= now + LONGEST:
        raise Invalid({"due_at": "Must be in the future."})
    if not name.strip():
        raise Invalid({"name": "Give it a name."})
    review = Review.objects.create(
        name=name.strip()[:120],
        begins_at=begins_at,
        ends_at=ends_at,
        opened_at=now,
        opened_by=actor.label[:200],
        due_at=due_at,
        agenda=fill_agenda(sections or known, ReviewPeriod(begins_at, ends_at, now)),
    )
    _record(review, "review.opened", f"{review} opened by {actor.label}", actor, now, missed=[], to=[])
    return review


@transaction.atomic
def open_retrospective(
    *, incident_id: int, actor: Actor, now: dt.datetime, due_at: dt.datetime | None = None
) -> Review:
    """Open the retrospective of an incident that is over, its agenda filled from the report.

    Who may see the incident may see it, and its roles' holders are asked to it. Without `due_at` it is due
    when the policy's week for the post-incident review ends. Raises Conflict, Invalid.
    """
    require(actor, "respond")
    incident = lock_incident(incident_id, actor)
    if incident.is_open or incident.resolved_at is None:
        raise Conflict(f"{incident.ref} is not over: its retrospective comes after.", state=incident.status)
    if (there := retrospective_of(incident)) is not None:
        raise Conflict(f"{incident.ref} has its retrospective already.", state=there.state)
    due = due_at or max(incident.resolved_at + RETROSPECTIVE_WITHIN, now + SOONEST)
    if not now < due <= now + LONGEST:
        raise Invalid({"due_at": "Must be in the future."})
    sections = retrospective_agenda(incident, now=now)
    review = Review.objects.create(
        name=f"Retrospective of {incident.ref}",
        incident=incident,
        begins_at=incident.started_at,
        ends_at=max(incident.resolved_at, incident.started_at + dt.timedelta(seconds=1)),
        opened_at=now,
        opened_by=actor.label[:200],
        due_at=due,
        asked=["role_holders"],
        agenda=store_agenda(sections),
    )
    said = f"{review} opened, to be held until {_when(due)}"
    _record(review, "review.opened", said, actor, now, missed=[], to=review.asked)
    return review


def fill_agenda(sections: Sequence[str], period: ReviewPeriod) -> list[dict[str, Any]]:
    """What each section has to say of the period, as plain JSON in the order given."""
    functions = dict(settings.REVIEW_SECTIONS)
    return store_agenda({key: import_string(functions[key])(period) for key in dict.fromkeys(sections)})


def store_agenda(sections: Mapping[str, AgendaSection]) -> list[dict[str, Any]]:
    """As a review keeps it: `incidents.selectors.reviews.read_agenda` reads it."""
    return [{"key": key, **asdict(section)} for key, section in sections.items()]


@transaction.atomic
def edit_review(
    *,
    review_id: int,
    actor: Actor,
    now: dt.datetime,
    notes: Mapping[str, str] = UNCHANGED,
    decisions: str = UNCHANGED,
    attendees: Sequence[str] = UNCHANGED,
) -> Review:
    """Write it up until it is signed off. `notes` by section: only the sections given change.

    Nothing new records nothing. Raises ReviewNotOpen, Invalid.
    """
    require(actor, "respond")
    review = lock_review(review_id, actor)
    _must_be(review, ReviewState.OPEN, ReviewState.HELD)
    changed = _write(review, notes, decisions, attendees)
    if changed:
        _save(review, "notes", "decisions")
        _record(
            review, "review.edited", f"{review}: {', '.join(changed)} written", actor, now, changed=changed
        )
    return review


@transaction.atomic
def hold_review(
    *,
    review_id: int,
    attendees: Sequence[str],
    actor: Actor,
    now: dt.datetime,
    decisions: str = UNCHANGED,
    notes: Mapping[str, str] = UNCHANGED,
) -> Review:
    """It was held: by whom (accounts' names), and what was decided. Raises ReviewNotOpen, Invalid, NotAllowed
    for a token.
    """
    require(actor, "respond")
    if not actor.is_person:
        raise NotAllowed("Only a person says that a review was held, never a token.")
    review = lock_review(review_id, actor)
    _must_be(review, ReviewState.OPEN)
    if not attendees:
        raise Invalid({"attendees": "Say who took part."})
    _write(review, notes, decisions, attendees)
    review.state, review.held_at, review.held_by = ReviewState.HELD, now, actor.label[:200]
    review.held_by_user_id = actor.user_id
    _save(review, "state", "held_at", "held_by", "held_by_user", "notes", "decisions")
    keep_as_said(review, now=now)  # who may sign it off hears of it now
    said = f"{review} held with {len(set(attendees))} people"
    to = who_may_sign_off(review)
    _record(review, "review.held", said, actor, now, attendees=sorted(set(attendees)), to=to)
    return review


@transaction.atomic
def sign_off_review(*, review_id: int, actor: Actor, now: dt.datetime) -> Review:
    """It is complete, says another person than who held it, of those whom the playbook names. Raises
    NotAllowed.
    """
    require(actor, "respond")
    review = lock_review(review_id, actor)
    _must_be(review, ReviewState.HELD)
    if why := why_not_sign_off(review, actor):
        raise NotAllowed(why)
    review.state, review.signed_off_at, review.signed_off_by = ReviewState.SIGNED_OFF, now, actor.label[:200]
    _save(review, "state", "signed_off_at", "signed_off_by")
    _record(review, "review.signed_off", f"{review} signed off", actor, now)
    return review


def why_not_sign_off(review: Review, actor: Actor) -> str:
    """Why the actor may not sign off a review that was held, or empty (one query at most)."""
    if not actor.is_person or actor.user_id is None:
        return "A person signs it off, signed in."
    if actor.user_id == review.held_by_user_id:
        return "Another person signs it off than the one who held it."
    kind = policy.reviews().reviews.get(review.kind)
    roles = kind.sign_off if kind else ()
    if roles:
        if not RoleGrant.objects.filter(user=actor.user_id, role__in=roles).exists():
            return f"It is signed off by who may be {' or '.join(str(Role(r).label).lower() for r in roles)}."
        return ""
    if actor.level.label not in ("commander", "administrator"):
        return "It is signed off by a commander."
    return ""


def lock_review(review_id: int, actor: Actor) -> Review:
    """The review, locked, if the actor may see it; raises NotFound."""
    seen = actor.is_machine or Review.objects.visible_to(actor).filter(pk=review_id).exists()
    rows = Review.objects.select_for_update(of=("self",), no_key=True).select_related("incident")
    review = rows.filter(pk=review_id).first() if seen else None
    if review is None:
        raise NotFound("There is no such review.")
    return review


def _must_be(review: Review, *states: ReviewState) -> None:
    if review.state not in states:
        said = str(ReviewState(review.state).label).lower()
        raise ReviewNotOpen(f"{review} is {said}.", state=review.state)


def _write(review: Review, notes: Mapping[str, str], decisions: str, attendees: Sequence[str]) -> list[str]:
    """Put it into the row; returns what is new. Raises Invalid."""
    changed = []
    if notes is not UNCHANGED:
        known = {section["key"] for section in review.agenda}
        if unknown := sorted(set(notes) - known):
            raise Invalid({"notes": f"Not on its agenda: {', '.join(unknown)}."})
        if any(len(text) > TEXT_LENGTH for text in notes.values()):
            raise Invalid({"notes": f"At most {TEXT_LENGTH} characters each."})
        fresh = {
            key: text.strip() for key, text in notes.items() if text.strip() != review.notes.get(key, "")
        }
        review.notes = {key: text for key, text in {**review.notes, **fresh}.items() if text}
        changed += sorted(fresh)
    if decisions is not UNCHANGED and decisions.strip() != review.decisions:
        if len(decisions) > TEXT_LENGTH:
            raise Invalid({"decisions": f"At most {TEXT_LENGTH} characters."})
        review.decisions = decisions.strip()
        changed.append("decisions")
    if attendees is not UNCHANGED:
        people = _accounts(attendees)
        if {user.pk for user in people} != set(review.attendees.values_list("pk", flat=True)):
            review.attendees.set(people)
            changed.append("attendees")
    return changed


def _accounts(names: Sequence[str]) -> list[User]:
    wanted = set(names)
    if len(wanted) > MOST_ATTENDEES:
        raise Invalid({"attendees": f"At most {MOST_ATTENDEES} people."})
    found = list(User.objects.filter(username__in=wanted, is_active=True))
    if missing := sorted(wanted - {user.get_username() for user in found}):
        raise Invalid({"attendees": f"No such account: {', '.join(missing)}."})
    return found


@transaction.atomic
def _remind(review_id: int, now: dt.datetime) -> bool:
    """Of a review that is open, who was asked to it; of one that was held, who may sign it off."""
    review = lock_review(review_id, SYSTEM)
    kind = note_as_said(review, plan=policy.review_plan(), now=now) if review.state in WAITING else ""
    if not kind:
        return False
    late, held = kind == OVERDUE, review.state == ReviewState.HELD
    to_do = "signed off" if held else "held"
    said = f"{review} {'was' if late else 'is'} to be {to_do} until {_when(review.due_at)}"
    to = who_may_sign_off(review) if held else review.asked
    _record(review, "review.overdue" if late else "review.due", said, SYSTEM, now, to=to)
    return True


def _save(review: Review, *columns: str) -> None:
    review.version = F("version") + 1
    review.save(update_fields=[*columns, "version"])
    review.refresh_from_db(fields=["version"])


def _record(review: Review, kind: str, said: str, actor: Actor, now: dt.datetime, **data: Any) -> None:
    about = {
        "review": review.pk,
        "path": reverse("incidents:review", args=[review.pk]),
        "state": str(review.state),
        "due_at": events.rfc3339(review.due_at),
    }
    if review.incident is not None:
        record_on_incident(review.incident, kind, said, actor=actor, now=now, data={**about, **data})
    else:
        record_on_system(kind, said, actor=actor, now=now, data={**about, **data})
    live.poke("reviews", f"review:{review.pk}")


def _when(at: dt.datetime) -> str:
    return f"{at.astimezone(dt.UTC):%Y-%m-%d %H:%M} UTC"
