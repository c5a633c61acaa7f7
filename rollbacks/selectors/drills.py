"""Drills as their pages, the API and the messages show them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet
from django.urls import reverse

from core.access import may
from core.actors import Actor
from core.errors import NotFound
from core.models import Event
from core.playbook import get_playbook
from incidents.models import Incident, Service
from incidents.rules.criteria import CHECKED
from incidents.selectors.actions import why_not_allowed
from incidents.selectors.cards import incident_url
from incidents.values import duration_text
from rollbacks import policy
from rollbacks.models import Drill, Rollback, RollbackStep
from rollbacks.rules.drills import Run, Scorecard, score
from rollbacks.selectors.readiness import list_overdue
from rollbacks.states import (
    UNSETTLED_STEPS,
    ApprovalDecision,
    DrillAction,
    DrillResult,
    DrillState,
    InjectLook,
    RollbackState,
)

PAST = 20  # on the page; the API has all
FORMER = 5  # beside a scorecard
BY_PEOPLE = ("user", "token", "contact")


def drill_url(pk: int) -> str:
    """The path of a drill's page."""
    return reverse("rollbacks:drill", args=[pk])


def drill_records(actor: Actor) -> QuerySet[Drill]:
    """The drills that the actor may see, with what the API says of them."""
    rows = Drill.objects.visible_to(actor).select_related("service", "incident")
    return rows.prefetch_related("participants")


def list_scenarios() -> list[dict[str, Any]]:
    """What can be practised, as the API shows it: of what happens meanwhile only how much it is."""
    plans = {key: policy.drill_plan(key) for key in policy.scenarios()}
    return [
        {**plan, "key": key, "procedure": plan["procedure"] or None, "injects": len(plan["injects"])}
        for key, plan in plans.items()
    ]


def get_drill(actor: Actor, pk: int) -> Drill:
    """Raises NotFound, also where the actor may not see it."""
    drill = drill_records(actor).filter(pk=pk).first()
    if drill is None:
        raise NotFound("No such drill.")
    return drill


def may_page(incident: Incident) -> bool:
    """Whether the messages of a drill may use people's telephones: only where it was planned so."""
    return Drill.objects.filter(incident=incident, page_people=True).exists()


def real_incident_on(drill: Drill) -> Incident | None:
    """A real incident that is open on the drill's service."""
    return Incident.objects.open().filter(drill=False, services=drill.service_id).order_by("pk").first()


def told_name(incident: Incident) -> str:
    """What a real incident is called where it is not known who reads."""
    return incident.code_name if incident.restricted else incident.ref


def why_not_now(drill: Drill) -> str:
    """Why a planned drill may not begin now, or empty (two queries)."""
    if drill.state != DrillState.PLANNED:
        return f"The drill is {drill.get_state_display().lower()}."
    if why := why_no_procedure(drill.service, drill.plan["procedure"]):
        return why
    if (real := real_incident_on(drill)) is not None:
        return f"{told_name(real)} is open on {drill.service.name}: a real incident goes before a drill."
    if Drill.objects.filter(service=drill.service_id, state=DrillState.RUNNING).exists():
        return f"Another drill runs on {drill.service.name}."
    return ""


def why_no_procedure(service: Service, named: str) -> str:
    """Why nothing can be rehearsed on the service, or empty; `named` is the scenario's procedure or empty."""
    key = named or service.procedure
    if not key:
        return f"{service.slug} has no procedure, and the scenario names none."
    if key not in get_playbook()["procedures"]:
        return f"The playbook has no procedure {key}: there is nothing to rehearse on {service.slug}."
    return ""


def is_still_true(event: Event) -> bool:
    """Whether a message about a drill still says what is so."""
    if event.kind == "drill.overdue":
        return bool(list_overdue(now=event.occurred_at))
    drill = Drill.objects.filter(pk=event.data.get("drill")).first()
    if drill is None:
        return False
    if event.kind in ("drill.due", "drill.planned"):
        return drill.state == DrillState.PLANNED
    return drill.state == DrillState.RUNNING if event.kind == "drill.inject" else True


# --- how it goes ----------------------------------------------------------------------------------------


def run_of(drill: Drill) -> Run:
    """What has happened in a drill so far, or altogether (five queries)."""
    assert drill.incident_id is not None
    assert drill.started_at is not None
    incident = Incident.objects.get(pk=drill.incident_id)
    rollbacks = list(Rollback.objects.filter(incident=incident, drill=True).order_by("pk"))
    events = list(
        Event.objects.filter(stream_id=incident.stream_id)
        .order_by("seq")
        .values_list("kind", "actor_kind", "recorded_at")
    )
    acted = [
        at
        for kind, by, at in events
        if by in BY_PEOPLE and not kind.startswith(("drill.", "incident.declared"))
    ]
    decided = [rollback.approved_at for rollback in rollbacks if rollback.approved_at]
    decided += [
        at
        for at in Rollback.objects.filter(
            incident=incident, approvals__decision=ApprovalDecision.REJECTED
        ).values_list("approvals__decided_at", flat=True)
        if at
    ]
    decided += [at for kind, _by, at in events if kind == "decision.made"]
    done = [
        rollback.completed_at
        for rollback in rollbacks
        if rollback.state == RollbackState.SUCCEEDED and rollback.completed_at
    ]
    found: dict[DrillAction, dt.datetime | None] = {
        DrillAction.ACKNOWLEDGED: incident.acknowledged_at,
        DrillAction.ASSESSED: min((at for kind, _by, at in events if kind == CHECKED), default=None),
        DrillAction.DECIDED: min(decided, default=None),
        DrillAction.ROLLED_BACK: min(done, default=None),
        DrillAction.RESOLVED: incident.resolved_at,
    }
    failed = RollbackStep.objects.filter(rollback__in=rollbacks, state__in=UNSETTLED_STEPS, tolerated=False)
    return Run(
        began_at=drill.started_at,
        ended_at=drill.ended_at,
        done_at={action: at for action, at in found.items() if at is not None},
        steps_failed=failed.count(),
        injected_at=[at for kind, _by, at in events if kind == "drill.inject"],
        acted_at=acted,
    )


def drill_targets(drill: Drill) -> dict[DrillAction, float]:
    """What was expected, with the seconds from the beginning by which it was."""
    return {DrillAction(name): seconds for name, seconds in drill.targets.items()}


def scorecard_json(card: Scorecard) -> dict[str, Any]:
    """A scorecard as it is kept and as the API shows it: plain JSON."""
    return {
        "passed": card.passed,
        "met": card.met,
        "lines": [
            {
                "action": line.action.value,
                "target_seconds": line.target_seconds,
                "took_seconds": line.took_seconds,
                "result": line.result.value,
            }
            for line in card.lines
        ],
        "steps_failed": card.steps_failed,
        "injects_sent": card.injects_sent,
        "injects_answered": card.injects_answered,
    }


def scorecard_of(drill: Drill, *, now: dt.datetime) -> dict[str, Any] | None:
    """The scorecard as it was kept, or as it fills while the drill runs; None before."""
    if drill.state != DrillState.RUNNING:
        return drill.scorecard
    within = drill.plan["answer_within_seconds"]
    return scorecard_json(score(drill_targets(drill), run_of(drill), answer_within=within, now=now))


# --- the pages ------------------------------------------------------------------------------------------

_TONES = {
    DrillResult.MET: "good",
    DrillResult.LATE: "warning",
    DrillResult.MISSED: "critical",
    DrillResult.OVERDUE: "critical",
    DrillResult.WAITING: "neutral",
}


@dataclass(frozen=True)
class CardLine:
    """One line of a scorecard for people; `former` are the times of the drills before it."""

    label: str
    target_text: str
    took_text: str
    result: str
    result_label: str
    tone: str
    former: tuple[str, ...] = ()


@dataclass(frozen=True)
class DrillLine:
    """A drill in a list; `met` of `expected` were done in time."""

    pk: int
    url: str
    name: str
    service: str
    service_slug: str
    state: str
    state_label: str
    starts_at: dt.datetime
    ended_at: dt.datetime | None
    passed: bool | None
    met: int
    expected: int
    steps_failed: int
    outcome: str
    page_people: bool
    participants: tuple[str, ...]


@dataclass(frozen=True)
class InjectLine:
    """Something that the scenario let happen."""

    at: dt.datetime
    look: str
    look_label: str
    text: str


@dataclass(frozen=True)
class DrillPage:
    """One drill; an address is None where the actor may not go there now.

    Until it begins `description` is empty; `practises`, `debrief` and the `procedure` of a scenario are until
    it has ended: they say what its participants are to find out.
    """

    line: DrillLine
    practises: str
    description: str
    severity: str
    procedure: str
    planned_by: str
    started_at: dt.datetime | None
    deadline_at: dt.datetime | None
    incident_ref: str
    incident_url: str | None
    card: tuple[CardLine, ...]
    scorecard: Mapping[str, Any] | None
    injects: tuple[InjectLine, ...]
    more_injects: int
    former: tuple[DrillLine, ...]
    debrief: tuple[str, ...]
    notes: str
    start_url: str | None
    cancel_url: str | None
    finish_url: str | None
    debrief_url: str | None
    why_not: str


def list_coming(actor: Actor) -> tuple[DrillLine, ...]:
    """Running ones first, then the planned ones, the next first (two queries)."""
    rows = drill_records(actor).filter(state__in=(DrillState.RUNNING, DrillState.PLANNED))
    ordered = sorted(rows.order_by("starts_at")[:100], key=lambda one: one.state != DrillState.RUNNING)
    return tuple(map(drill_line, ordered))


def list_past(actor: Actor) -> tuple[DrillLine, ...]:
    """Those that are over, the newest first (two queries)."""
    rows = drill_records(actor).filter(state__in=(DrillState.FINISHED, DrillState.CANCELLED))
    return tuple(map(drill_line, rows.order_by("-ended_at", "-pk")[:PAST]))


def drill_line(drill: Drill) -> DrillLine:
    card = drill.scorecard or {}
    return DrillLine(
        pk=drill.pk,
        url=drill_url(drill.pk),
        name=drill.name,
        service=drill.service.name,
        service_slug=drill.service.slug,
        state=drill.state,
        state_label=drill.get_state_display(),
        starts_at=drill.started_at or drill.starts_at,
        ended_at=drill.ended_at,
        passed=card.get("passed"),
        met=card.get("met", 0),
        expected=len(drill.targets),
        steps_failed=card.get("steps_failed", 0),
        outcome=drill.outcome,
        page_people=drill.page_people,
        participants=tuple(sorted(user.get_username() for user in drill.participants.all())),
    )


def get_drill_page(actor: Actor, pk: int, *, now: dt.datetime) -> DrillPage:
    """Everything on the page of one drill (a constant number of queries)."""
    drill = get_drill(actor, pk)
    former = _former(actor, drill)
    card = scorecard_of(drill, now=now)
    commands, responds = may(actor, "command"), may(actor, "respond")
    planned, running = drill.state == DrillState.PLANNED, drill.state == DrillState.RUNNING
    why_not = (why_not_allowed(actor, "command") or why_not_now(drill)) if planned else ""
    injects = list_injects(drill)

    def to(name: str, *, when: bool) -> str | None:
        return reverse(f"rollbacks:{name}", args=[drill.pk]) if when else None

    return DrillPage(
        line=drill_line(drill),
        practises=drill.plan["practises"] if drill.is_told else "",
        description=drill.plan["description"] if drill.incident else "",
        severity=drill.plan["severity"],
        procedure=_procedure(drill),
        planned_by=drill.planned_by,
        started_at=drill.started_at,
        deadline_at=drill.deadline_at if running else None,
        incident_ref=drill.incident.ref if drill.incident else "",
        incident_url=incident_url(drill.incident.ref) if drill.incident else None,
        card=_card_lines(drill, card, former),
        scorecard=card,
        injects=injects,
        more_injects=len(drill.injects) - len(injects) if running else 0,
        former=tuple(map(drill_line, former)),
        debrief=tuple(drill.plan["debrief"]) if drill.is_told else (),
        notes=drill.notes,
        start_url=to("start_drill", when=planned and not why_not),
        cancel_url=to("cancel_drill", when=(planned or running) and commands),
        finish_url=to("finish_drill", when=running and responds),
        debrief_url=to("debrief_drill", when=drill.state == DrillState.FINISHED and responds),
        why_not=why_not,
    )


def _procedure(drill: Drill) -> str:
    of_scenario = str(drill.plan["procedure"])
    if of_scenario and not drill.is_told:
        return ""
    return of_scenario or drill.service.procedure


def _former(actor: Actor, drill: Drill) -> list[Drill]:
    """The scored drills of the service before this one, the newest first (two queries)."""
    rows = drill_records(actor).filter(service=drill.service_id, state=DrillState.FINISHED, pk__lt=drill.pk)
    return list(rows.order_by("-pk")[:FORMER])


def list_injects(drill: Drill) -> tuple[InjectLine, ...]:
    """What the scenario has let happen (one query)."""
    if drill.incident is None:
        return ()
    rows = Event.objects.filter(stream_id=drill.incident.stream_id, kind="drill.inject").order_by("seq")
    lines = []
    for event in rows:
        look = InjectLook(event.data["look"])
        lines.append(InjectLine(event.recorded_at, look.value, str(look.label), event.summary))
    return tuple(lines)


def _card_lines(
    drill: Drill, card: Mapping[str, Any] | None, former: Sequence[Drill]
) -> tuple[CardLine, ...]:
    before = [
        {line["action"]: line["took_seconds"] for line in one.scorecard["lines"]}
        for one in former
        if one.scorecard
    ]
    scored = {line["action"]: line for line in card["lines"]} if card else {}
    lines = []
    for name, target in drill.targets.items():
        action, line = DrillAction(name), scored.get(name)
        result = DrillResult(line["result"]) if line else None
        lines.append(
            CardLine(
                label=str(action.label),
                target_text=duration_text(target),
                took_text=_took(line["took_seconds"] if line else None),
                result=result.value if result else "",
                result_label=str(result.label) if result else "",
                tone=_TONES[result] if result else "neutral",
                former=tuple(_took(one.get(name)) for one in before),
            )
        )
    return tuple(lines)


def _took(seconds: int | None) -> str:
    return "" if seconds is None else duration_text(seconds)
