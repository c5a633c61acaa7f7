"""What the authority rules need to know of a rollback, and what they say of it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from core.actors import Actor, ActorKind
from core.models import User
from core.playbook import get_playbook
from incidents import policy as incident_policy
from incidents.models import Incident, Responder, RoleGrant
from incidents.states import Role
from rollbacks import policy
from rollbacks.models import Approval, Rollback
from rollbacks.playbook import Procedure
from rollbacks.rules.authority import Case, Demands, Given, Person, judge_plan, persons_behind
from rollbacks.states import ApprovalDecision, RollbackState, Trigger


def person_on_incident(actor: Actor, incident: Incident) -> Person:
    """The actor with the roles held on this incident by a grant that still stands (two queries)."""
    if actor.user_id is None:
        return Person(actor.kind, None, frozenset())
    roles = roles_on_incident([actor.user_id], incident)
    return Person(actor.kind, actor.user_id, roles[actor.user_id])


def roles_on_incident(user_ids: Collection[int], incident: Incident) -> Mapping[int, frozenset[Role]]:
    """Each account's roles as `Person` has them (two queries, however many accounts)."""
    granted = set(
        RoleGrant.objects.filter(user__in=user_ids, user__is_active=True).values_list("user_id", "role")
    )
    held = set(
        Responder.objects.filter(incident=incident, user__in=user_ids, until__isnull=True)
        .exclude(role="")
        .values_list("user_id", "role")
    )
    counted = (held & granted) | {pair for pair in granted if pair[1] == Role.ENGINEERING_MANAGER}
    return {
        user_id: frozenset(Role(role) for holder, role in counted if holder == user_id)
        for user_id in user_ids
    }


def demands_on(incident: Incident, procedure: Procedure) -> Demands:
    """What the playbook asks of a rollback by this procedure for this incident."""
    return _demands(
        incident,
        people=procedure.people,
        automatic=procedure.automatic,
        database=procedure.returns == "database",
    )


def demands_of(rollback: Rollback) -> Demands:
    """What the playbook asks of this rollback, by its incident as it is now."""
    procedure: Procedure | None = get_playbook()["procedures"].get(rollback.procedure)
    return _demands(
        rollback.incident,
        people=rollback.people,
        automatic=procedure is not None and procedure.automatic,
        database=rollback.returns == "database",
    )


def case_of(rollback: Rollback, now: dt.datetime) -> Case:
    """The rollback as the rules judge it, with everybody's roles of now (three queries)."""
    approvals = [
        approval
        for approval in rollback.approvals.order_by("decided_at", "pk")
        if approval.decision != ApprovalDecision.REJECTED
    ]
    wrote = (rollback.requested_by_user_id, rollback.edited_by_user_id)
    involved = {approval.user_id for approval in approvals} | {pk for pk in wrote if pk is not None}
    roles = roles_on_incident(involved, rollback.incident)

    def in_person(user_id: int | None, kind: ActorKind = ActorKind.USER) -> Person | None:
        return None if user_id is None else Person(kind, user_id, roles[user_id])

    requester = in_person(
        rollback.requested_by_user_id, ActorKind.TOKEN if rollback.requested_by_token else ActorKind.USER
    )
    if rollback.trigger == Trigger.AUTOMATED:
        requester = Person(ActorKind.AUTOMATION, None, frozenset())
    return Case(
        demands=demands_of(rollback),
        requester=requester,
        editor=in_person(rollback.edited_by_user_id),
        approvals=tuple(
            Given(
                person=Person(ActorKind.USER, approval.user_id, roles[approval.user_id]),
                age_seconds=(now - approval.decided_at).total_seconds(),
                about_this_plan=is_about_this_plan(approval, rollback),
                breaks_glass=approval.decision == ApprovalDecision.BROKE,
            )
            for approval in approvals
        ),
        # Whatever awaited a person was approved by one; the rest was let through when it was asked for.
        admitted=not approvals and rollback.state != RollbackState.AWAITING_APPROVAL,
    )


def is_about_this_plan(approval: Approval, rollback: Rollback) -> bool:
    return approval.voided_at is None and approval.plan_digest == rollback.plan_digest


def why_not_authorised(rollback: Rollback, now: dt.datetime) -> str:
    """Why a rollback may not begin now although it was approved; empty when it may (three queries).

    Its incident and service are loaded. Judged are the time, the plan's digest, and everybody's roles.
    """
    if rollback.approval_expires_at is not None and rollback.approval_expires_at < now:
        return "its approval has expired"
    digest = policy.plan_digest(
        procedure_digest=rollback.procedure_digest,
        service=rollback.service.slug,
        target_version=rollback.target_version,
        parameters=rollback.parameters,
    )
    if digest != rollback.plan_digest:
        return "the plan was edited after it was requested"
    verdict = judge_plan(case_of(rollback, now))
    return "" if verdict.allowed else f"{verdict.reason[:1].lower()}{verdict.reason[1:].rstrip('.')}"


@dataclass(frozen=True)
class Backer:
    """Somebody who stands behind a rollback, and by which role."""

    who: str
    role: str


@dataclass(frozen=True)
class Standing:
    """How far a rollback that is not begun is from being allowed to run."""

    backers: tuple[Backer, ...]
    people: int
    said: str
    expires_at: dt.datetime | None
    is_approved: bool


def standing_of(rollback: Rollback, case: Case) -> Standing | None:
    """Who stands behind it and who is missing; None once it has begun or ended (one query)."""
    if rollback.state not in (RollbackState.AWAITING_APPROVAL, RollbackState.APPROVED):
        return None
    behind = persons_behind(case)
    names = dict(User.objects.filter(pk__in=behind).values_list("pk", "username"))
    return Standing(
        backers=tuple(Backer(names[user_id], str(role.label)) for user_id, role in behind.items()),
        people=case.demands.persons,
        said=judge_plan(case).reason,
        expires_at=rollback.approval_expires_at,
        is_approved=rollback.state == RollbackState.APPROVED,
    )


def _demands(incident: Incident, *, people: int, automatic: bool, database: bool) -> Demands:
    automation = policy.automation()
    return Demands(
        authority=incident_policy.rollback_authority(incident.severity, incident.security_level),
        approvers=automation.approvers,
        approval_valid=automation.approval_valid,
        people=people,
        automatic=automatic,
        database=database,
    )
