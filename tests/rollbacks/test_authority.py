"""Who may decide a rollback: the seed's table, and what holds for everybody."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.actors import ActorKind
from incidents import policy as incident_policy
from incidents.playbook import Authority
from incidents.states import Role
from rollbacks import policy
from rollbacks.rules.authority import Person, judge_approval, judge_request

K, R = ActorKind, Role
USER = 7


def _person(*roles: Role, kind: ActorKind = K.USER, user_id: int | None = USER) -> Person:
    return Person(kind, user_id, frozenset(roles))


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
    authority = incident_policy.rollback_authority(severity, level)
    verdict = judge_request(_person(role), authority, automatic_allowed=False)
    assert verdict.needs_approval is not at_once


@pytest.mark.parametrize("severity", ["P0", "P1", "P2", "P3"])
@pytest.mark.parametrize("kind", [K.TOKEN, K.SYSTEM])
def test_what_a_token_requests_always_awaits_a_person(severity: str, kind: ActorKind) -> None:
    verdict = judge_request(
        _person(*R, kind=kind),
        incident_policy.rollback_authority(severity, None),
        automatic_allowed=True,
    )
    assert verdict.needs_approval


def test_automation_decides_alone_only_where_policy_and_admission_allow() -> None:
    authority = incident_policy.rollback_authority("P0", None)
    automation = _person(kind=K.AUTOMATION, user_id=None)
    assert not judge_request(automation, authority, automatic_allowed=True).needs_approval
    assert judge_request(automation, authority, automatic_allowed=False).needs_approval


def test_the_requester_of_a_p1_cannot_approve_it_whatever_roles_they_hold() -> None:
    authority = incident_policy.rollback_authority("P1", None)
    own = judge_approval(
        _person(*R),
        authority,
        policy.automation().approvers,
        requester_id=USER,
        requested_by_person=True,
    )
    other = judge_approval(
        _person(R.ENGINEERING_MANAGER, user_id=8),
        authority,
        policy.automation().approvers,
        requester_id=USER,
        requested_by_person=True,
    )
    assert not own.allowed
    assert other.allowed


def test_who_sent_a_p0_through_a_token_may_confirm_it_in_person() -> None:
    authority = incident_policy.rollback_authority("P0", None)
    verdict = judge_approval(
        _person(R.TECHNICAL_LEAD),
        authority,
        policy.automation().approvers,
        requester_id=USER,
        requested_by_person=False,
    )
    assert verdict.allowed


people = st.builds(
    Person,
    st.sampled_from(K),
    st.one_of(st.none(), st.integers(1, 3)),
    st.frozensets(st.sampled_from(R)),
)
authorities = st.builds(
    incident_policy.rollback_authority,
    st.sampled_from(["P0", "P1", "P2", "P3"]),
    st.sampled_from([None, 1, 2, 3]),
)


@given(people, authorities, st.one_of(st.none(), st.integers(1, 3)), st.booleans())
def test_nobody_without_a_role_and_no_machine_ever_approves(
    person: Person, authority: Authority, requester: int | None, by_person: bool
) -> None:
    verdict = judge_approval(
        person,
        authority,
        policy.automation().approvers,
        requester_id=requester,
        requested_by_person=by_person,
    )
    if verdict.allowed:
        assert person.kind is K.USER
        assert verdict.role in person.roles
        assert not (authority.approval and person.user_id == requester and requester is not None)


@given(people, authorities)
def test_only_a_holder_of_the_authority_or_admitted_automation_acts_at_once(
    person: Person, authority: Authority
) -> None:
    verdict = judge_request(person, authority, automatic_allowed=False)
    if not verdict.needs_approval:
        assert person.kind is K.USER
        assert not authority.approval
        assert person.roles & set(authority.roles)
