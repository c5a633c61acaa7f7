"""Who may decide a rollback: the seed's table, how many persons it takes, and what holds for everybody."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from core.actors import ActorKind
from incidents import policy as incident_policy
from incidents.states import Role
from rollbacks import policy
from rollbacks.rules.authority import (
    Case,
    Demands,
    Given,
    Person,
    Verdict,
    describe,
    judge_approval,
    judge_break_glass,
    judge_plan,
    persons_behind,
    seconds_left,
)

K, R = ActorKind, Role
ME, OTHER, THIRD = 7, 8, 9
VALID = 900.0
SEVERITIES, LEVELS = ["P0", "P1", "P2", "P3"], [None, 1, 2, 3]


def person(*roles: Role, kind: ActorKind = K.USER, user_id: int | None = ME) -> Person:
    return Person(kind, user_id, frozenset(roles))


AUTOMATION = person(kind=K.AUTOMATION, user_id=None)


def demands(severity: str, level: int | None = None, **more: Any) -> Demands:
    """As the shipped playbook asks."""
    authority = incident_policy.rollback_authority(severity, level)
    return Demands(authority, policy.automation().approvers, VALID, **more)


def approval(*roles: Role, user_id: int = OTHER, age: float = 0.0, **more: bool) -> Given:
    return Given(person(*roles, user_id=user_id), age, **more)


@pytest.mark.parametrize(
    ("severity", "level", "role", "at_once"),
    [
        ("P0", None, R.INCIDENT_COMMANDER, True),
        ("P0", None, R.TECHNICAL_LEAD, True),
        ("P0", None, R.COMMUNICATIONS_LEAD, False),
        ("P1", None, R.TECHNICAL_LEAD, False),  # with approval
        ("P1", None, R.INCIDENT_COMMANDER, False),
        ("P2", None, R.TECHNICAL_LEAD, True),
        ("P2", None, R.INCIDENT_COMMANDER, False),
        ("P3", None, R.DEVELOPMENT_LEAD, True),
        ("P3", None, R.TECHNICAL_LEAD, False),
        ("P0", 1, R.SECURITY_LEAD, True),
        ("P0", 1, R.INCIDENT_COMMANDER, True),
        ("P0", 1, R.TECHNICAL_LEAD, False),
        ("P0", 2, R.SECURITY_LEAD, False),  # with approval
        ("P2", 3, R.TECHNICAL_LEAD, True),
    ],
)
def test_the_seeds_table(severity: str, level: int | None, role: Role, at_once: bool) -> None:
    assert judge_plan(Case(demands(severity, level), person(role))).allowed is at_once


@pytest.mark.parametrize("severity", SEVERITIES)
@pytest.mark.parametrize("kind", [K.TOKEN, K.SYSTEM])
def test_what_a_token_requests_always_awaits_a_person(severity: str, kind: ActorKind) -> None:
    assert not judge_plan(Case(demands(severity), person(*R, kind=kind), admitted=True)).allowed


def test_automation_decides_alone_only_where_policy_and_admission_allow() -> None:
    def allowed(admitted: bool = True, **more: Any) -> bool:
        return judge_plan(Case(demands("P0", **more), AUTOMATION, admitted=admitted)).allowed

    assert allowed()
    assert not allowed(admitted=False)
    assert not allowed(automatic=False)
    assert not allowed(people=2)
    assert not allowed(database=True)


def test_the_requester_of_a_p1_cannot_approve_it_whatever_roles_they_hold() -> None:
    case = Case(demands("P1"), person(R.TECHNICAL_LEAD))
    own = judge_approval(person(*R), case)
    assert (own.allowed, own.reason) == (False, "The requester cannot approve their own request.")
    assert judge_approval(person(R.ENGINEERING_MANAGER, user_id=OTHER), case).allowed
    assert judge_plan(case.approved_by(person(R.INCIDENT_COMMANDER, user_id=OTHER))).allowed
    assert not judge_plan(case.approved_by(person(R.TECHNICAL_LEAD, user_id=OTHER))).allowed, "no approver"


def test_who_sent_a_p0_through_a_token_may_confirm_it_in_person() -> None:
    asked = person(R.TECHNICAL_LEAD, kind=K.TOKEN)
    case = Case(demands("P0"), asked)
    assert judge_approval(person(R.TECHNICAL_LEAD), case).allowed
    assert not judge_approval(person(R.TECHNICAL_LEAD), Case(demands("P0", people=2), asked)).allowed
    assert not judge_approval(person(*R), Case(demands("P1"), asked)).allowed


def test_who_edited_the_plan_is_its_requester_from_then_on() -> None:
    responder, lead = person(), person(R.TECHNICAL_LEAD, user_id=OTHER)
    assert judge_plan(Case(demands("P0"), responder, editor=lead)).allowed
    assert not judge_plan(Case(demands("P0"), lead, editor=responder)).allowed, (
        "the lead asked for another plan"
    )
    case = Case(demands("P1"), person(R.TECHNICAL_LEAD), editor=person(R.INCIDENT_COMMANDER, user_id=OTHER))
    edited = judge_approval(person(R.INCIDENT_COMMANDER, user_id=OTHER), case)
    assert edited.reason == "Who edited the plan cannot approve it."
    assert not judge_approval(person(R.INCIDENT_COMMANDER), case).allowed, "nor who asked first"
    assert judge_approval(person(R.ENGINEERING_MANAGER, user_id=THIRD), case).allowed


def test_three_persons_are_three_different_persons() -> None:
    case = Case(demands("P0", people=3), person(R.INCIDENT_COMMANDER))
    assert judge_plan(case).reason == "3 persons must stand behind it, and 1 does."
    once = case.approved_by(person(R.TECHNICAL_LEAD, user_id=OTHER))
    assert not judge_plan(once).allowed
    assert not judge_plan(once.approved_by(person(R.ENGINEERING_MANAGER, user_id=OTHER))).allowed, "the same"
    assert not judge_plan(once.approved_by(person(R.TECHNICAL_LEAD))).allowed, "the requester again"
    twice = once.approved_by(person(R.ENGINEERING_MANAGER, user_id=THIRD))
    assert judge_plan(twice).allowed
    assert persons_behind(twice) == {
        ME: R.INCIDENT_COMMANDER, OTHER: R.TECHNICAL_LEAD, THIRD: R.ENGINEERING_MANAGER,
    }  # fmt: skip


@pytest.mark.parametrize("asked", [AUTOMATION, person(*R, kind=K.TOKEN), person()])
def test_automation_a_token_and_a_stranger_count_for_nobody(asked: Person) -> None:
    case = Case(demands("P2", people=2), asked, admitted=True)
    once = case.approved_by(person(R.TECHNICAL_LEAD, user_id=OTHER))
    assert not judge_plan(once).allowed
    assert judge_plan(once.approved_by(person(R.INCIDENT_COMMANDER, user_id=THIRD))).allowed


def test_among_several_must_be_who_holds_the_authority() -> None:
    case = Case(demands("P2", people=2), AUTOMATION)
    approvers = case.approved_by(person(R.INCIDENT_COMMANDER, user_id=OTHER)).approved_by(
        person(R.ENGINEERING_MANAGER, user_id=THIRD)
    )
    assert judge_plan(approvers).reason == "Technical Lead must be among those who approve."
    leads = Case(demands("P1", people=2), person(R.TECHNICAL_LEAD)).approved_by(
        person(R.TECHNICAL_LEAD, user_id=OTHER)
    )
    assert "Incident Commander or Engineering Manager must be" in judge_plan(leads).reason


def test_a_database_takes_two_persons_whatever_the_procedure_says() -> None:
    case = Case(demands("P0", database=True), person(R.INCIDENT_COMMANDER), admitted=True)
    assert not judge_plan(case).allowed
    assert not judge_break_glass(person(*R, user_id=OTHER), case).allowed
    broken = dataclasses.replace(case, approvals=(approval(*R, breaks_glass=True),))
    assert not judge_plan(broken).allowed
    assert judge_plan(case.approved_by(person(R.TECHNICAL_LEAD, user_id=OTHER))).allowed


@pytest.mark.parametrize(
    ("given_approval", "why"),
    [
        (approval(R.INCIDENT_COMMANDER, age=VALID + 1), "no longer valid"),
        (approval(R.INCIDENT_COMMANDER, about_this_plan=False), "no longer valid"),
        (approval(R.TECHNICAL_LEAD), "Nobody who approved holds the role any more"),
        (approval(), "Nobody who approved holds the role any more"),
        (approval(R.INCIDENT_COMMANDER, user_id=ME), "Nobody who approved"),
    ],
)
def test_stale_void_or_without_the_role_an_approval_counts_for_nothing(
    given_approval: Given, why: str
) -> None:
    case = Case(demands("P1"), person(R.TECHNICAL_LEAD), approvals=(given_approval,))
    verdict = judge_plan(case)
    assert not verdict.allowed
    assert why in verdict.reason


def test_glass_is_broken_by_one_who_decides_and_only_where_somebody_is_missing() -> None:
    case = Case(demands("P1"), person(R.TECHNICAL_LEAD))
    assert judge_break_glass(person(R.TECHNICAL_LEAD), case).role is R.TECHNICAL_LEAD
    assert not judge_break_glass(person(R.COMMUNICATIONS_LEAD), case).allowed
    assert not judge_break_glass(person(R.TECHNICAL_LEAD, kind=K.TOKEN), case).allowed
    needless = judge_break_glass(person(R.INCIDENT_COMMANDER, user_id=OTHER), case)
    assert needless.reason == "Nobody else is missing: approve it instead."
    broken = dataclasses.replace(case, approvals=(approval(R.TECHNICAL_LEAD, user_id=ME, breaks_glass=True),))
    assert judge_plan(broken).allowed
    for lost in (
        approval(user_id=ME, breaks_glass=True),
        approval(R.TECHNICAL_LEAD, age=VALID + 1, breaks_glass=True),
        approval(R.TECHNICAL_LEAD, about_this_plan=False, breaks_glass=True),
    ):
        assert not judge_plan(dataclasses.replace(case, approvals=(lost,))).allowed


def test_what_was_approved_runs_out_with_the_oldest_approval_that_counts() -> None:
    case = Case(
        demands("P0", people=3),
        person(R.INCIDENT_COMMANDER),
        approvals=(
            approval(user_id=10, age=850),  # counts for nothing
            approval(R.TECHNICAL_LEAD, age=600),
            approval(R.ENGINEERING_MANAGER, user_id=THIRD, age=10),
        ),
    )
    assert seconds_left(case) == VALID - 600
    assert seconds_left(Case(demands("P0"), person(R.INCIDENT_COMMANDER))) == VALID


def test_the_demands_in_words() -> None:
    assert describe(demands("P2")) == "Technical Lead decides"
    assert describe(demands("P1", people=3)) == (
        "Technical Lead decides, approved by Incident Commander or Engineering Manager;"
        " 3 different persons must stand behind it"
    )


# Mostly people who hold much, else hardly anything would ever be allowed.
roles = st.one_of(st.frozensets(st.sampled_from(R)), st.frozensets(st.sampled_from(R), min_size=4))
kinds = st.one_of(st.just(K.USER), st.just(K.USER), st.sampled_from(K))
persons = st.builds(Person, kinds, st.one_of(st.integers(1, 5), st.none()), roles)
all_demands = st.builds(
    demands,
    st.sampled_from(SEVERITIES),
    st.sampled_from(LEVELS),
    people=st.integers(1, 4),
    automatic=st.booleans(),
    database=st.booleans(),
)


def given_by(breaking: st.SearchStrategy[bool]) -> st.SearchStrategy[Given]:
    ages = st.sampled_from([0.0, VALID, VALID + 1])
    return st.builds(Given, persons, ages, st.one_of(st.just(True), st.booleans()), breaking)


def cases_of(asked: st.SearchStrategy[Demands], breaking: st.SearchStrategy[bool]) -> st.SearchStrategy[Case]:
    return st.builds(
        Case,
        asked,
        st.one_of(persons, st.none()),
        st.one_of(st.none(), persons),
        st.lists(given_by(breaking), max_size=5).map(tuple),
        st.booleans(),
    )


cases = cases_of(all_demands, st.booleans())
with_approval = cases_of(
    st.builds(
        demands,
        st.just("P1"),
        st.sampled_from([None, 2]),
        people=st.integers(1, 3),
    ),
    st.just(False),
)
few_are_allowed = settings(max_examples=50, suppress_health_check=[HealthCheck.filter_too_much])


def _real(case: Case) -> list[Given]:
    """The approvals that may count at all: in person, of this plan, in time."""
    return [
        given
        for given in case.approvals
        if given.person.kind is K.USER and given.about_this_plan and given.age_seconds <= VALID
    ]


@few_are_allowed
@given(cases)
def test_whatever_runs_is_backed_by_enough_different_persons_or_is_an_open_exception(case: Case) -> None:
    assume(judge_plan(case).allowed)
    real, author = _real(case), case.author
    if any(given.breaks_glass and given.person.roles & set(case.demands.deciding) for given in real):
        assert not case.demands.database or len(persons_behind(case)) >= 2
        return
    if author is not None and author.kind is K.AUTOMATION and case.admitted and not persons_behind(case):
        assert case.demands.automatic
        assert case.demands.people == 1
        assert not case.demands.database
        return
    behind = persons_behind(case)
    assert len(behind) >= case.demands.persons
    in_person = {given.person.user_id for given in real}
    if author is not None and author.kind is K.USER:
        in_person.add(author.user_id)
    assert set(behind) <= in_person


@few_are_allowed
@given(with_approval)
def test_with_approval_the_approver_is_never_who_asked_or_edited(case: Case) -> None:
    by_itself = case.author is not None and case.author.kind is K.AUTOMATION and case.admitted
    assume(judge_plan(case).allowed and not by_itself)
    wrote = {other.user_id for other in (case.requester, case.editor) if other is not None}
    others = [given.person for given in _real(case) if given.person.user_id not in wrote]
    assert any(other.roles & set(case.demands.approvers) for other in others)


@given(persons, cases)
def test_nobody_without_a_role_and_no_machine_ever_approves_or_breaks_glass(who: Person, case: Case) -> None:
    verdicts: list[Verdict] = [judge_approval(who, case), judge_break_glass(who, case)]
    for verdict in verdicts:
        if verdict.allowed:
            assert who.kind is K.USER
            assert verdict.role in who.roles
            assert verdict.role in case.demands.deciding


@given(cases, persons)
def test_one_more_approval_never_takes_authority_away(case: Case, who: Person) -> None:
    if judge_plan(case).allowed:
        assert judge_plan(case.approved_by(who)).allowed


@given(cases)
def test_without_roles_nothing_but_admitted_automation_runs(case: Case) -> None:
    def bare(someone: Person) -> Person:
        return dataclasses.replace(someone, roles=frozenset())

    stripped = dataclasses.replace(
        case,
        requester=case.requester and bare(case.requester),
        editor=case.editor and bare(case.editor),
        approvals=tuple(dataclasses.replace(g, person=bare(g.person)) for g in case.approvals),
    )
    if judge_plan(stripped).allowed:
        author = stripped.author
        assert author is not None
        assert author.kind is K.AUTOMATION
        assert stripped.admitted
