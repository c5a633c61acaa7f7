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
from rollbacks.drill_playbook import DrillCalendar
from rollbacks.models import Drill, RehearsalLapse
from rollbacks.rules.drills import occasions, services_each_time, weeks_later
from rollbacks.selectors.drills import drill_url, why_no_procedure, why_not_now
from rollbacks.selectors.readiness import count_rehearsed, list_overdue, next_to_rehearse
from rollbacks.states import DrillState
from rollbacks.transitions import move_drill

MOST_PARTICIPANTS = 50
FARTHEST = dt.timedelta(days=366)
LATEST = dt.timedelta(hours=1)  # after its time a planned drill still begins
NAMED = 10  # of the overdue services, in the text
AGAIN = "+"  # in the name of a slot, before how often it was planned again
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
    """Plan the next drill of the calendar's next day once that is near enough; whether one was planned."""
    calendar = policy.drills().calendar
    if calendar is None:
        return False
    begins = next(occasions(calendar.monthly(), after=now), None)
    if begins is None or begins > now + dt.timedelta(seconds=calendar.plan_ahead):
        return False
    day = f"{begins:%Y-%m-%dT%H:%M}"
    of_calendar = Drill.objects.exclude(slot="")
    there = dict(of_calendar.filter(slot__startswith=day).values_list("slot", "service_id"))
    number = next((one for one in range(_wanted(calendar, begins)) if _slot(day, one) not in there), None)
    keys = calendar.scenarios or tuple(policy.scenarios())
    if number is None or not keys:
        return False
    planned = of_calendar.filter(state=DrillState.PLANNED).values_list("service_id", flat=True)
    service = next_to_rehearse(calendar.services, without={*there.values(), *planned})
    if service is None:
        return False
    in_turn = keys[of_calendar.exclude(slot__contains=AGAIN).count() % len(keys)]
    try:
        plan_drill(
            service=service,
            scenario=in_turn,
            starts_at=begins + number * _longest(),
            participants=sorted(user.get_username() for user in _grantees(calendar.invite)),
            actor=SYSTEM,
            now=now,
            slot=_slot(day, number),
        )
    except Conflict:  # another process was as fast
        return False
    except Invalid:  # such as a procedure that the playbook has no more: the drills that are planned go on
        logger.exception("the drill of %s cannot be planned", day)
        return False
    return True


@transaction.atomic
def give_way(*, drill_id: int, reason: str, now: dt.datetime) -> Drill:
    """A planned drill that may not begin is not held; one of the calendar is a week later."""
    drill = cancel_planned(drill_id=drill_id, reason=reason, actor=SYSTEM, now=now)
    plan_again(drill, now=now)
    return drill


def plan_again(drill: Drill, *, now: dt.datetime) -> Drill | None:
    """What took a drill of the calendar its time has not taken the month its drill: the same a week later,
    as long as that is before the calendar's next day. None for a drill that a person planned.
    """
    calendar = policy.drills().calendar
    if calendar is None or not drill.slot:
        return None
    slot, _, weeks = drill.slot.partition(AGAIN)
    later = (weeks_later(drill.starts_at, week, calendar.zone) for week in range(1, 6))
    begins = next((at for at in later if at > now), None)
    following = next(occasions(calendar.monthly(), after=drill.starts_at), None)
    if begins is None or following is None or begins >= following:
        return None
    names = drill.participants.filter(is_active=True).values_list("username", flat=True)
    try:
        return plan_drill(
            service=drill.service.slug,
            scenario=drill.scenario,
            starts_at=begins,
            participants=sorted(names),
            page_people=drill.page_people,
            actor=SYSTEM,
            now=now,
            slot=f"{slot}{AGAIN}{int(weeks or 0) + 1}",
        )
    except (Conflict, Invalid):
        logger.exception("the drill of %s could not be planned again", drill.slot)
        return None


def _wanted(calendar: DrillCalendar, begins: dt.datetime) -> int:
    """How many drills the calendar's day at `begins` has."""
    return min(calendar.services_a_day, _needed(calendar, begins))


def _needed(calendar: DrillCalendar, begins: dt.datetime) -> int:
    return services_each_time(
        calendar.monthly(),
        begins=begins,
        within=dt.timedelta(seconds=policy.drills().rehearse_within),
        services=count_rehearsed(calendar.services),
    )


def _slot(day: str, number: int) -> str:
    """The first of a day is named as it was when a day had only one."""
    return f"{day}/{number + 1}" if number else day


def _longest() -> dt.timedelta:
    """How far apart the drills of a day are: the same people take part in each."""
    usual = policy.drills().longest
    return dt.timedelta(seconds=max([usual, *(one.longest or 0.0 for one in policy.scenarios().values())]))


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
    short = _shortfall(now)
    more = f" and {len(overdue) - NAMED} more" if len(overdue) > NAMED else ""
    events.record(
        events.system_stream().pk,
        kind="drill.overdue",
        actor=SYSTEM,
        summary=f"{short}Rollbacks were not rehearsed for too long: {names}{more}",
        now=now,
        data={"to": ["technical_team"], "path": "/drills/", "services": len(overdue)},
        topics=("drills",),
    )
    return True


def _shortfall(now: dt.datetime) -> str:
    """That the calendar holds fewer drills than its services need, or empty."""
    calendar = policy.drills().calendar
    begins = next(occasions(calendar.monthly(), after=now), None) if calendar else None
    if calendar is None or begins is None:
        return ""
    needed, held = _needed(calendar, begins), calendar.services_a_day
    if needed <= held:
        return ""
    return f"The calendar rehearses {held} services a day, and {needed} would be needed. "


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
    give_way(drill_id=drill_id, reason=reason, now=now)
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
