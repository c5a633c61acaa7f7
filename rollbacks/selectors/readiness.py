"""How ready services are to be rolled back: their rehearsals, targets and runners, the worst first."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from django.db.models import Case, Count, F, IntegerField, OuterRef, Q, QuerySet, Subquery, Value, When
from django.urls import reverse

from core.actors import SYSTEM, Actor
from core.playbook import get_playbook
from incidents.models import Service
from rollbacks import policy
from rollbacks.models import Rollback, RollbackStep, Runner
from rollbacks.selectors.rollback_page import rollback_url
from rollbacks.selectors.targets import targets_of_each
from rollbacks.states import UNSETTLED_STEPS, LastRehearsal, Phase, RollbackState

PAGE = 50

# A drill that was cancelled or pre-empted shows nothing; one that was never approved neither.
_SHOWS_SOMETHING = (RollbackState.SUCCEEDED, RollbackState.FAILED, RollbackState.RESOLVED_BY_HAND)


@dataclass(frozen=True)
class Rehearsal:
    """The last drill of a procedure on a service that came to an end of its own.

    Times are seconds, None where the drill did not come so far. `detect`: from the incident's start until
    somebody asked; `decide`: until it was approved; then the phases, from their first step's start to their
    last step's end. `failed_step` is a position.
    """

    ref: str
    url: str
    procedure: str
    ended_at: dt.datetime
    succeeded: bool
    failed_step: int | None
    detect_seconds: float
    decide_seconds: float | None
    validate_seconds: float | None
    execute_seconds: float | None
    verify_seconds: float | None


def last_rehearsals(actor: Actor, service_ids: Iterable[int]) -> Mapping[tuple[int, str], Rehearsal]:
    """The last drills that the actor may see, by service and procedure (two queries)."""
    drills = (
        Rollback.objects.visible_to(actor)
        .filter(service__in=list(service_ids), drill=True, state__in=_SHOWS_SOMETHING)
        .exclude(started_at=None)
        .order_by("service_id", "procedure", "-completed_at")
        .distinct("service_id", "procedure")
        .select_related("incident")
        .prefetch_related("steps")
    )
    return {(drill.service_id, drill.procedure): _rehearsal(drill) for drill in drills}


def rehearsal_text(rehearsal: Rehearsal | None, *, now: dt.datetime) -> str:
    """`Rehearsed 94 days ago, failed at step 3`, or `Never rehearsed`."""
    if rehearsal is None:
        return "Never rehearsed"
    days = (now - rehearsal.ended_at).days
    when = {0: "today", 1: "yesterday"}.get(days, f"{days} days ago")
    if rehearsal.succeeded:
        return f"Rehearsed {when}"
    return f"Rehearsed {when}, failed" + (
        f" at step {rehearsal.failed_step}" if rehearsal.failed_step else ""
    )


# --- the board ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Readiness:
    """How ready one service is: rehearsed lately and well, with a target and a runner.

    `rehearsal` is the last one of any procedure; `target` is the version to return to, empty where
    `target_why` says what is missing. `runner` is whether a living runner has the service's procedure.
    """

    service: str
    slug: str
    url: str
    procedure: str
    rehearsal: Rehearsal | None
    text: str
    overdue: bool
    target: str
    target_why: str
    runner: bool
    queue: str

    @property
    def ready(self) -> bool:
        went_well = self.rehearsal is not None and self.rehearsal.succeeded
        return went_well and not self.overdue and bool(self.target) and self.runner


@dataclass(frozen=True)
class BoardAsk:
    """What of the board is asked for: how the last rehearsal went, whether the next is overdue, one service."""

    last: LastRehearsal | None = None
    overdue: bool | None = None
    service: str = ""


EVERYTHING = BoardAsk()


@dataclass(frozen=True)
class Board:
    """A page of the readiness board; of all services, `total` and how many of them stand how.

    `found` is how many were asked for.
    """

    lines: tuple[Readiness, ...]
    number: int
    found: int
    total: int
    overdue: int
    last: Mapping[LastRehearsal, int]
    size: int = PAGE

    @property
    def has_more(self) -> bool:
        return self.number * self.size < self.found


def readiness_board(
    actor: Actor, *, now: dt.datetime, ask: BoardAsk = EVERYTHING, number: int = 1, size: int = PAGE
) -> Board:
    """Services with a procedure, the worst first: never rehearsed, then failed, then the longest ago.

    A constant number of queries, however many services there are.
    """
    every = rehearsed_services(actor)
    counts = every.aggregate(
        total=Count("pk"),
        overdue=Count("pk", filter=_lapsed(now)),
        found=Count("pk", filter=_asked(ask, now)),
        **{last.value: Count("pk", filter=_went(last)) for last in LastRehearsal},
    )
    services = list(every.filter(_asked(ask, now))[(number - 1) * size : number * size])
    return Board(
        lines=tuple(readiness_of(actor, services, now=now)),
        number=number,
        found=counts["found"],
        total=counts["total"],
        overdue=counts["overdue"],
        last={last: counts[last.value] for last in LastRehearsal},
        size=size,
    )


def rehearsed_services(actor: Actor) -> QuerySet[Service]:
    """Services with a procedure, the worst first, each with `last_at` and `last_state` of its rehearsals."""
    drills = (
        Rollback.objects.visible_to(actor)
        .filter(service=OuterRef("pk"), drill=True, state__in=_SHOWS_SOMETHING)
        .exclude(started_at=None)
        .order_by("-completed_at")
    )
    rank = Case(
        When(_went(LastRehearsal.NEVER), then=Value(0)),
        When(_went(LastRehearsal.FAILED), then=Value(1)),
        default=Value(2),
        output_field=IntegerField(),
    )
    return (
        Service.objects.exclude(procedure="")
        .annotate(
            last_at=Subquery(drills.values("completed_at")[:1]),
            last_state=Subquery(drills.values("state")[:1]),
        )
        .order_by(rank, F("last_at").asc(nulls_first=True), "slug")
    )


def readiness_of(actor: Actor, services: Sequence[Service], *, now: dt.datetime) -> list[Readiness]:
    """How ready each service is, in the order given (four queries)."""
    rehearsals: dict[int, Rehearsal] = {}
    for (service_id, _procedure), found in last_rehearsals(actor, [one.pk for one in services]).items():
        if service_id not in rehearsals or rehearsals[service_id].ended_at < found.ended_at:
            rehearsals[service_id] = found
    targets = targets_of_each(services)
    runners = list(Runner.objects.alive())
    known = get_playbook()["procedures"]
    used = {one.procedure for one in services if one.procedure in known}
    served = {key for key in used if _is_served(key, known[key].queue, runners)}
    limit = now - dt.timedelta(seconds=policy.drills().rehearse_within)

    def line(service: Service) -> Readiness:
        declared = known.get(service.procedure)
        rehearsal, found = rehearsals.get(service.pk), targets[service.pk]
        target = (found.default if declared and declared.returns == "version" else found.live) or ""
        return Readiness(
            service=service.name,
            slug=service.slug,
            url=reverse("incidents:service", args=[service.slug]),
            procedure=declared.name if declared else service.procedure,
            rehearsal=rehearsal,
            text=rehearsal_text(rehearsal, now=now),
            overdue=(rehearsal.ended_at if rehearsal else service.created_at) < limit,
            target=target,
            target_why="" if target else "no verified release to return to",
            runner=service.procedure in served,
            queue=declared.queue if declared else "",
        )

    return [line(service) for service in services]


def list_overdue(*, now: dt.datetime) -> list[Service]:
    """Every service that was not rehearsed for longer than the playbook allows, the worst first."""
    return list(rehearsed_services(SYSTEM).filter(_lapsed(now)))


def next_to_rehearse(slugs: Sequence[str]) -> Service | None:
    """Whose turn it is: of `slugs`, or of all, the one with a procedure of the playbook rehearsed longest ago."""
    rows = rehearsed_services(SYSTEM).filter(procedure__in=list(get_playbook()["procedures"]))
    rows = rows.order_by(F("last_at").asc(nulls_first=True), "slug")
    return (rows.filter(slug__in=slugs) if slugs else rows).first()


def _lapsed(now: dt.datetime) -> Q:
    limit = now - dt.timedelta(seconds=policy.drills().rehearse_within)
    return Q(last_at__lt=limit) | Q(last_at=None, created_at__lt=limit)  # a new one has as long for its first


def _current(now: dt.datetime) -> Q:
    limit = now - dt.timedelta(seconds=policy.drills().rehearse_within)
    return Q(last_at__gte=limit) | Q(last_at=None, created_at__gte=limit)  # NOT of the other is NULL of a NULL


def _went(last: LastRehearsal) -> Q:
    """Of `rehearsed_services`: those whose last rehearsal went so."""
    if last is LastRehearsal.NEVER:
        return Q(last_at=None)
    well = Q(last_state=RollbackState.SUCCEEDED)
    return well if last is LastRehearsal.SUCCEEDED else Q(last_at__isnull=False) & ~well


def _asked(ask: BoardAsk, now: dt.datetime) -> Q:
    asked = Q(pk__isnull=False)
    if ask.last is not None:
        asked &= _went(ask.last)
    if ask.overdue is not None:
        asked &= _lapsed(now) if ask.overdue else _current(now)
    return asked & Q(slug=ask.service) if ask.service else asked


def _is_served(procedure: str, queue: str, runners: Sequence[Runner]) -> bool:
    ours = policy.digest(procedure)
    return any(queue in runner.queues and runner.digests.get(procedure) == ours for runner in runners)


def _rehearsal(drill: Rollback) -> Rehearsal:
    steps = list(drill.steps.all())
    assert drill.completed_at is not None
    bad = (step.position for step in steps if step.state in UNSETTLED_STEPS and not step.tolerated)
    return Rehearsal(
        ref=drill.ref,
        url=rollback_url(drill.ref),
        procedure=drill.procedure,
        ended_at=drill.completed_at,
        succeeded=drill.state == RollbackState.SUCCEEDED,
        failed_step=next(bad, None),
        detect_seconds=(drill.requested_at - drill.incident.started_at).total_seconds(),
        decide_seconds=_between(drill.requested_at, drill.approved_at),
        validate_seconds=_phase_seconds(steps, Phase.VALIDATE),
        execute_seconds=_phase_seconds(steps, Phase.EXECUTE),
        verify_seconds=_phase_seconds(steps, Phase.VERIFY),
    )


def _phase_seconds(steps: Sequence[RollbackStep], phase: Phase) -> float | None:
    own = [step for step in steps if step.phase == phase]
    begun = min((step.started_at for step in own if step.started_at), default=None)
    return _between(begun, max((step.finished_at for step in own if step.finished_at), default=None))


def _between(start: dt.datetime | None, end: dt.datetime | None) -> float | None:
    return (end - start).total_seconds() if start and end else None
