"""Who may decide a rollback. Source: seed, Severity Levels and Security Incident Classification; rulings."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from core.actors import ActorKind
from incidents.playbook import Authority
from incidents.states import Role


@dataclass(frozen=True)
class Person:
    """Whoever asks or decides, as far as authority goes.

    `roles` are the roles held on this incident with a grant that still stands, plus engineering
    manager when granted (it is not a role on an incident).
    """

    kind: ActorKind
    user_id: int | None
    roles: frozenset[Role]


@dataclass(frozen=True)
class Verdict:
    """`allowed` with or without a further approval, and why in words."""

    allowed: bool
    needs_approval: bool
    reason: str
    role: Role | None = None


def judge_request(person: Person, authority: Authority, *, automatic_allowed: bool) -> Verdict:
    """May this actor's request run at once, or does a person have to approve it?

    A request is never refused here: whoever may ask, may ask; what it lacks is approval. What a
    token requests always awaits a person, whatever its owner may do.
    """
    if person.kind is ActorKind.AUTOMATION:
        if automatic_allowed:
            return Verdict(True, False, "Automatic by policy: a critical threshold was exceeded.")
        return Verdict(True, True, f"Automation may not decide this alone; {_who(authority)}.")
    if person.kind is not ActorKind.USER:
        return Verdict(True, True, "Requested by a token: a person decides.")
    role = _first_held(authority.roles, person.roles)
    if role is None:
        return Verdict(
            True,
            True,
            f"The requester is not {_either(authority.roles)} of this incident; {_who(authority)}.",
        )
    if authority.approval:
        return Verdict(True, True, f"{role.label} with approval.", role)
    return Verdict(True, False, f"Decided by the {role.label}.", role)


def judge_approval(
    person: Person,
    authority: Authority,
    approvers: Collection[Role],
    *,
    requester_id: int | None,
    requested_by_person: bool,
) -> Verdict:
    """May this person approve (or reject) this request?

    With approval: one of `approvers`, never the requester. Without: whoever holds the authority; who
    sent the request through a token may then confirm it in person.
    """
    if person.kind is not ActorKind.USER:
        return Verdict(False, False, "Only a person approves, never a token or a machine.")
    same = requester_id is not None and person.user_id == requester_id
    if same and (requested_by_person or authority.approval):
        return Verdict(False, False, "The requester cannot approve their own request.")
    wanted = tuple(approvers) if authority.approval else authority.roles
    role = _first_held(wanted, person.roles)
    if role is None:
        return Verdict(False, False, f"Approval is for {_either(wanted)} of this incident.")
    return Verdict(True, False, f"Approved as {role.label}.", role)


def describe(authority: Authority, approvers: Collection[Role]) -> str:
    """The authority in one line, for people."""
    if not authority.approval:
        return f"{_either(authority.roles)} decides"
    return f"{_either(authority.roles)} decides, approved by {_either(tuple(approvers))}"


def _first_held(wanted: Collection[Role], held: frozenset[Role]) -> Role | None:
    return next((role for role in wanted if role in held), None)


def _either(roles: Collection[Role]) -> str:
    return " or ".join(role.label for role in roles)


def _who(authority: Authority) -> str:
    return f"{_either(authority.roles)} decides" + (" with approval" if authority.approval else "")
