"""How ready services are to be rolled back: their rehearsals, targets and runners, the worst first."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from django.db.models import QuerySet
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
    """What of the board is asked for: how the last rehearsal went, whether one is overdue, one service."""

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
    limit = _limit(now)
    every = standings(actor)
    found = [one for one in every if _is_asked(one, ask, limit)]
    shown = [one.pk for one in found[(number - 1) * size : number * size]]
    services = Service.objects.in_bulk(shown)
    return Board(
        lines=tuple(readiness_of(actor, [services[pk] for pk in shown if pk in services], now=now)),
        number=number,
        found=len(found),
        total=len(every),
        overdue=sum(one.is_overdue(limit) for one in every),
        last={last: sum(one.last is last for one in every) for last in LastRehearsal},
        size=size,
    )


@dataclass(frozen=True)
class Standing:
    """How long ago a service was rehearsed, and how that went: what the board is ordered by."""

    pk: int
    slug: str
    name: str
    created_at: dt.datetime
    last: LastRehearsal
    last_at: dt.datetime | None

    def is_overdue(self, limit: dt.datetime) -> bool:
        return (self.last_at or self.created_at) < limit  # a new one has as long for its first


def standings(actor: Actor) -> list[Standing]:
    """Services with a procedure, the worst first (two queries).

    Put together here: as a subquery for each service the database takes a hundred times as long.
    """
    drills = (
        Rollback.objects.visible_to(actor)
        .filter(drill=True, state__in=_SHOWS_SOMETHING)
        .exclude(started_at=None)
        .order_by("service_id", "-completed_at")
        .distinct("service_id")
    )
    ended = {pk: (at, state) for pk, at, state in drills.values_list("service_id", "completed_at", "state")}

    def standing(pk: int, slug: str, name: str, created_at: dt.datetime) -> Standing:
        at, state = ended.get(pk, (None, ""))
        went_well = state == RollbackState.SUCCEEDED
        last = LastRehearsal.SUCCEEDED if went_well else LastRehearsal.FAILED
        return Standing(pk, slug, name, created_at, last if at else LastRehearsal.NEVER, at)

    rows = Service.objects.exclude(procedure="").values_list("pk", "slug", "name", "created_at")
    return sorted(itertools.starmap(standing, rows.order_by()), key=_worst_first)


def _worst_first(one: Standing) -> tuple[int, dt.datetime, str]:
    return list(LastRehearsal).index(one.last), one.last_at or one.created_at, one.slug


def _is_asked(one: Standing, ask: BoardAsk, limit: dt.datetime) -> bool:
    return (
        ask.last in (None, one.last)
        and ask.overdue in (None, one.is_overdue(limit))
        and ask.service in ("", one.slug)
    )


def _limit(now: dt.datetime) -> dt.datetime:
    """What was rehearsed before this is overdue."""
    return now - dt.timedelta(seconds=policy.drills().rehearse_within)


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
    limit = _limit(now)

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


def list_overdue(*, now: dt.datetime) -> list[Standing]:
    """Every service that was not rehearsed for longer than the playbook allows, the worst first."""
    return [one for one in standings(SYSTEM) if one.is_overdue(_limit(now))]


def next_to_rehearse(slugs: Sequence[str], *, without: Iterable[int] = ()) -> str | None:
    """Whose turn it is: of `slugs`, or of all whose procedure exists, the one rehearsed longest ago."""
    having = set(_in_turn(slugs).exclude(pk__in=list(without)).values_list("slug", flat=True))
    in_turn = sorted(
        (one for one in standings(SYSTEM) if one.slug in having),
        key=lambda one: (one.last_at is not None, one.last_at or one.created_at, one.slug),
    )
    return in_turn[0].slug if in_turn else None


def count_rehearsed(slugs: Sequence[str]) -> int:
    """How many services take turns in the calendar."""
    return _in_turn(slugs).count()


def _in_turn(slugs: Sequence[str]) -> QuerySet[Service]:
    known = Service.objects.filter(procedure__in=list(get_playbook()["procedures"])).order_by()
    return known.filter(slug__in=slugs) if slugs else known


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
