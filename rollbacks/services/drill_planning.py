"""Commands on drills that have not begun: plan, remind, cancel; and whom to tell of overdue rehearsals."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Collection, Sequence

from django.db import IntegrityError, transaction
from django.db.models import Q

from core import events
from core.access import require
from core.actors import SYSTEM, Actor
from core.errors import Conflict, Invalid, NotFound
from core.models import Event, User
from incidents.models import RoleGrant, Service
from rollbacks import policy
from rollbacks.models import Drill, RehearsalLapse
from rollbacks.rules.drills import occasions
from rollbacks.selectors.drills import drill_url, why_no_procedure, why_not_now
from rollbacks.selectors.readiness import list_overdue, next_to_rehearse
from rollbacks.states import DrillState
from rollbacks.transitions import move_drill

MOST_PARTICIPANTS = 50
FARTHEST = dt.timedelta(days=366)
LATEST = dt.timedelta(hours=1)  # after its time a planned drill still begins
NAMED = 10  # of the overdue services, in the text
logger = logging.getLogger(__name__)


class DrillNotNow(Conflict):
    """A real incident is open on the service, another drill runs there, or there is nothing to rehearse."""

    code = "drill_not_now"


@transaction.atomic
def plan_drill(
    *,
    service: str,
    scenario: str,
    starts_at: dt.datetime | None,
    participants: Sequence[str] = (),
    page_people: bool = False,
    actor: Actor,
    now: dt.datetime,
    slot: str = "",
) -> Drill:
    """Plan a drill of a scenario on a service; without `starts_at` it begins as soon as possible.

    `participants` are account names; without any, those are invited who may hold the calendar's roles, or
    the incident commander's and the technical lead's. With `page_people` it uses their telephones as an
    emergency would. Raises Invalid naming the field, DrillNotNow where it should begin at once
    and cannot, and Conflict when the calendar's day has its drill.
    """
    require(actor, "command")
    found = Service.objects.filter(slug=service).first()
    if found is None:
        raise Invalid({"service": "No such service."})
    plan = policy.drill_plan(scenario)
    if why := why_no_procedure(found, plan["procedure"]):
        raise Invalid({"service": why})
    begins = starts_at or now
    if begins < now - dt.timedelta(minutes=5):
        raise Invalid({"starts_at": "This time is over."})
    if begins > now + FARTHEST:
        raise Invalid({"starts_at": "Plan it within the next year."})
    if starts_at is None and (why := why_not_now(Drill(service=found, plan=plan))):
        raise DrillNotNow(why)  # nobody is invited to what the next sweep would have to cancel
    invited = _accounts(participants) if participants else _usual_participants(actor)
    remind_at = begins - dt.timedelta(seconds=policy.drills().remind_before)
    reminded = now if remind_at <= now else None  # who plans for the next hours says so with the plan itself
    try:
        with transaction.atomic():
            drill = Drill.objects.create(
                service=found,
                scenario=scenario,
                plan=plan,
                slot=slot,
                starts_at=begins,
                page_people=page_people,
                planned_by=actor.label[:200],
                planned_by_user_id=actor.user_id,
                planned_at=now,
                reminded_at=reminded,
                due_at=begins if reminded else remind_at,
            )
    except IntegrityError as error:
        if "one_drill_for_each_day" not in str(error):
            raise
        raise Conflict(f"The drill of {slot} is planned already.") from error
    drill.participants.set(invited)
    record_on_drill(
        drill,
        "drill.planned",
        f"Drill planned: {drill.name} on {found.name}, {_time(begins)}",
        actor=actor,
        now=now,
        invited=[user.get_username() for user in invited],
        page_people=page_people,
    )
    return drill


@transaction.atomic
def remind_of_drill(*, drill_id: int, now: dt.datetime) -> bool:
    """Tell its participants that it begins soon, once."""
    drill = Drill.objects.select_for_update(no_key=True).get(pk=drill_id)
    if drill.state != DrillState.PLANNED or drill.reminded_at is not None:
        return False
    Drill.objects.filter(pk=drill.pk).update(
        reminded_at=now, due_at=drill.starts_at, version=drill.version + 1
    )
    rings = " Your telephone will ring as in an emergency." if drill.page_people else ""
    said = f"Drill of {drill.service.name}: {drill.name}, begins {_time(drill.starts_at)}.{rings}"
    record_on_drill(
        drill, "drill.due", said, actor=SYSTEM, now=now, starts_at=events.rfc3339(drill.starts_at)
    )
    return True


def plan_by_calendar(*, now: dt.datetime) -> bool:
    """Plan the next drill of the calendar once it is near enough; whether one was planned."""
    calendar = policy.drills().calendar
    if calendar is None:
        return False
    begins = next(occasions(calendar.monthly(), after=now), None)
    if begins is None or begins > now + dt.timedelta(seconds=calendar.plan_ahead):
        return False
    slot = f"{begins:%Y-%m-%dT%H:%M}"
    if Drill.objects.filter(slot=slot).exists():
        return False
    service = next_to_rehearse(calendar.services)
    keys = calendar.scenarios or tuple(policy.scenarios())
    if service is None or not keys:
        return False
    in_turn = keys[Drill.objects.exclude(slot="").count() % len(keys)]
    try:
        plan_drill(
            service=service,
            scenario=in_turn,
            starts_at=begins,
            participants=sorted(user.get_username() for user in _grantees(calendar.invite)),
            actor=SYSTEM,
            now=now,
            slot=slot,
        )
    except Conflict:  # another process was as fast
        return False
    except Invalid:  # such as a procedure that the playbook has no more: the drills that are planned go on
        logger.exception("the drill of %s cannot be planned", slot)
        return False
    return True


@transaction.atomic
def tell_of_lapses(*, now: dt.datetime) -> bool:
    """Tell the technical team which services were not rehearsed for too long, once a week."""
    week = now.date() - dt.timedelta(days=now.weekday())
    if RehearsalLapse.objects.filter(week=week).exists():
        return False
    overdue = list_overdue(now=now)
    said = {"said_at": now, "services": len(overdue)}
    _lapse, first = RehearsalLapse.objects.get_or_create(week=week, defaults=said)
    if not overdue or not first:  # of two processes the one whose row it is
        return False
    names = ", ".join(service.name for service in overdue[:NAMED])
    more = f" and {len(overdue) - NAMED} more" if len(overdue) > NAMED else ""
    events.record(
        events.system_stream().pk,
        kind="drill.overdue",
        actor=SYSTEM,
        summary=f"Rollbacks were not rehearsed for too long: {names}{more}",
        now=now,
        data={"to": ["technical_team"], "path": "/drills/", "services": len(overdue)},
        topics=("drills",),
    )
    return True


def record_on_drill(
    drill: Drill, kind: str, summary: str, *, actor: Actor, now: dt.datetime, **data: object
) -> Event:
    """Of a drill that has not begun, on the stream of Firebreak itself; addressed to its participants."""
    names = sorted(drill.participants.values_list("username", flat=True))
    to = [f"account:{name}" for name in names] or ["technical_team"]
    return events.record(
        events.system_stream().pk,
        kind=kind,
        actor=actor,
        summary=summary,
        now=now,
        data={
            "drill": drill.pk,
            "service": drill.service.slug,
            "path": drill_url(drill.pk),
            "to": to,
            **data,
        },
        topics=("drills", f"drill:{drill.pk}"),
    )


def lock_drill(drill_id: int, actor: Actor) -> Drill:
    """The drill, locked before everything else, if the actor may see it; raises NotFound."""
    rows = Drill.objects.all() if actor.is_machine else Drill.objects.visible_to(actor)
    if not rows.filter(pk=drill_id).exists():
        raise NotFound("No such drill.")
    locked = Drill.objects.select_for_update(of=("self",), no_key=True)
    return locked.select_related("service").get(pk=drill_id)


@transaction.atomic
def lapse_drill(*, drill_id: int, now: dt.datetime) -> bool:
    """It could not begin at its time, such as while Firebreak was down: nobody waits for it any more.

    Begun hours later it would ring people's telephones at a time that nobody chose.
    """
    drill = lock_drill(drill_id, SYSTEM)
    if drill.state != DrillState.PLANNED or drill.starts_at + LATEST >= now:
        return False
    reason = f"it could not begin at its time, {_time(drill.starts_at)}"
    cancel_planned(drill_id=drill_id, reason=reason, actor=SYSTEM, now=now)
    return True


@transaction.atomic
def cancel_planned(*, drill_id: int, reason: str, actor: Actor, now: dt.datetime) -> Drill:
    """It is not held; raises IllegalMove once it has begun."""
    drill = lock_drill(drill_id, actor)
    move_drill(drill, DrillState.CANCELLED, ended_at=now, due_at=None, outcome=reason[:500])
    record_on_drill(
        drill, "drill.cancelled", f"Drill of {drill.service.name} cancelled: {reason}", actor=actor, now=now
    )
    return drill


def _accounts(names: Collection[str]) -> list[User]:
    wanted = Q()
    for name in names:
        wanted |= Q(username__iexact=name)
    users = list(User.objects.filter(wanted, is_active=True).order_by("username"))
    known = {user.get_username().casefold() for user in users}
    if unknown := [name for name in names if name.casefold() not in known]:
        raise Invalid({"participants": f"No such account: {', '.join(unknown[:5])}."})
    if len(users) > MOST_PARTICIPANTS:
        raise Invalid({"participants": f"At most {MOST_PARTICIPANTS}."})
    return users


def _usual_participants(actor: Actor) -> list[User]:
    calendar = policy.drills().calendar
    found = _grantees(calendar.invite if calendar else ("incident_commander", "technical_lead"))
    mine = [] if actor.user_id is None else list(User.objects.filter(pk=actor.user_id))
    return list(dict.fromkeys([*mine, *found]))[:MOST_PARTICIPANTS]


def _grantees(roles: Collection[str]) -> list[User]:
    """Accounts that may hold one of the roles."""
    grants = RoleGrant.objects.filter(role__in=roles)
    rows = User.objects.filter(is_active=True, pk__in=grants.values("user_id"))
    return list(rows.order_by("username")[:MOST_PARTICIPANTS])


def _time(at: dt.datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"
