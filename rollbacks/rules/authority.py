"""Who may decide a rollback. Source: seed, Severity Levels and Security Incident Classification; rulings."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

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

    @property
    def in_person(self) -> bool:
        """An account's owner, signed in: no token of theirs and no machine."""
        return self.kind is ActorKind.USER and self.user_id is not None


@dataclass(frozen=True)
class Demands:
    """What the playbook asks of a rollback before it may run.

    `people` is how many different persons must stand behind it, `automatic` whether automation may
    start it alone. A database always takes two persons and is never automatic, whatever those say.
    """

    authority: Authority
    approvers: tuple[Role, ...]
    approval_valid: float
    people: int = 1
    automatic: bool = True
    database: bool = False

    @property
    def persons(self) -> int:
        return max(self.people, 2) if self.database else self.people

    @property
    def may_be_automatic(self) -> bool:
        return self.automatic and self.persons == 1 and not self.database

    @property
    def a_second_person(self) -> bool:
        """Whether nobody decides it alone."""
        return self.authority.approval or self.persons > 1

    @property
    def deciding(self) -> tuple[Role, ...]:
        """The roles that may decide anything about the rollback."""
        return tuple(dict.fromkeys((*self.authority.roles, *self.approvers)))

    @property
    def approving(self) -> tuple[Role, ...]:
        """The roles that may approve; where several persons are asked for, all that decide."""
        if self.persons > 1:
            return self.deciding
        return self.approvers if self.authority.approval else self.authority.roles


@dataclass(frozen=True)
class Given:
    """An approval that was given, by a person with the roles that they hold now.

    `about_this_plan` is False for one that an edit made void; one that `breaks_glass` stands in for
    whoever is missing.
    """

    person: Person
    age_seconds: float
    about_this_plan: bool = True
    breaks_glass: bool = False


@dataclass(frozen=True)
class Case:
    """One plan and who stands behind it.

    `requester` asked first and `editor` changed the plan last; None is an account that is gone, or
    nobody. `admitted` says that automation was let through when it asked.
    """

    demands: Demands
    requester: Person | None
    editor: Person | None = None
    approvals: tuple[Given, ...] = ()
    admitted: bool = False

    @property
    def author(self) -> Person | None:
        """Whose plan it is as it stands."""
        return self.editor or self.requester

    def approved_by(self, person: Person) -> Case:
        """The case once this person has approved."""
        return replace(self, approvals=(*self.approvals, Given(person, 0.0)))


@dataclass(frozen=True)
class Verdict:
    """Allowed or not, why in words, and by which role."""

    allowed: bool
    reason: str
    role: Role | None = None

    @property
    def needs_approval(self) -> bool:
        return not self.allowed


def judge_plan(case: Case) -> Verdict:
    """Is this plan authorised now? Asked at the request, at every approval, and when it is to run."""
    demands, author = case.demands, case.author
    by_itself = author is not None and author.kind is ActorKind.AUTOMATION and case.admitted
    if by_itself and demands.may_be_automatic:
        return Verdict(True, "Automatic by policy: a critical threshold was exceeded.")
    if broken := next(_breaking_glass(case), None):
        role = _first_held(demands.deciding, broken.person.roles)
        return Verdict(True, "Somebody decided it alone: the glass was broken.", role)
    approving, leading = [given.person for given in _counting(case)], _leading_role(case)
    if not _is_decided(demands, leading, approving):
        return Verdict(False, _why_undecided(case, leading, approving), leading)
    behind = persons_behind(case)
    if len(behind) < demands.persons:
        does = "does" if len(behind) == 1 else "do"
        return Verdict(
            False, f"{demands.persons} persons must stand behind it, and {len(behind)} {does}.", leading
        )
    if approving:
        return Verdict(True, "Approved.", _first_held(demands.approving, approving[0].roles))
    return Verdict(True, f"Decided by the {leading.label}." if leading else "", leading)


def judge_approval(person: Person, case: Case) -> Verdict:
    """May this person approve or reject this request?

    Never who asked for it or edited it: only where one person decides alone may who sent the request
    through a token confirm it in person.
    """
    if not person.in_person:
        return Verdict(False, "Only a person approves, never a token or a machine.")
    if own := _why_own(person, case):
        return Verdict(False, own)
    role = _first_held(case.demands.approving, person.roles)
    if role is None:
        return Verdict(False, f"Approval is for {either(case.demands.approving)} of this incident.")
    return Verdict(True, f"Approved as {role.label}.", role)


def judge_break_glass(person: Person, case: Case) -> Verdict:
    """May this person let it run although another person is missing?"""
    if not person.in_person:
        return Verdict(False, "Only a person breaks the glass, never a token or a machine.")
    if case.demands.database:
        return Verdict(False, "A database is always returned by two persons: there is no glass to break.")
    role = _first_held(case.demands.deciding, person.roles)
    if role is None:
        return Verdict(False, f"This is for {either(case.demands.deciding)} of this incident.")
    if judge_plan(case.approved_by(person)).allowed:
        return Verdict(False, "Nobody else is missing: approve it instead.")
    return Verdict(True, f"Glass broken as {role.label}.", role)


def persons_behind(case: Case) -> dict[int, Role]:
    """The different persons who stand behind the plan, each with the role that counts."""
    author, leading = case.author, _leading_role(case)
    behind = {author.user_id: leading} if author and author.user_id is not None and leading else {}
    for given in _counting(case):
        role = _first_held(case.demands.approving, given.person.roles)
        if given.person.user_id is not None and role is not None:
            behind.setdefault(given.person.user_id, role)
    return behind


def seconds_left(case: Case) -> float:
    """How long what was approved may still be begun: until the first of the approvals runs out."""
    counted = list(_breaking_glass(case))[:1] or list(_counting(case))
    return case.demands.approval_valid - max((given.age_seconds for given in counted), default=0.0)


def describe(demands: Demands) -> str:
    """The demands in one line, for people."""
    said = f"{either(demands.authority.roles)} decides"
    if demands.authority.approval:
        said += f", approved by {either(demands.approvers)}"
    if demands.persons > 1:
        said += f"; {demands.persons} different persons must stand behind it"
    return said


def either(roles: Collection[Role]) -> str:
    return " or ".join(role.label for role in roles)


def _stands(given: Given, demands: Demands) -> bool:
    return given.about_this_plan and given.age_seconds <= demands.approval_valid


def _counting(case: Case) -> Iterator[Given]:
    """The approvals that count now: in time, about this plan, and still that person's to give."""
    for given in case.approvals:
        if given.breaks_glass or not _stands(given, case.demands):
            continue
        if judge_approval(given.person, case).allowed:
            yield given


def _breaking_glass(case: Case) -> Iterator[Given]:
    """Those who broke the glass and still hold a role that decides; never for a database."""
    for given in case.approvals:
        decides = given.person.in_person and given.person.roles & set(case.demands.deciding)
        if given.breaks_glass and decides and _stands(given, case.demands) and not case.demands.database:
            yield given


def _leading_role(case: Case) -> Role | None:
    """The role by which the plan's author counts: in person, and holding the authority."""
    if case.author is None or not case.author.in_person:
        return None
    return _first_held(case.demands.authority.roles, case.author.roles)


def _is_decided(demands: Demands, leading: Role | None, approving: Collection[Person]) -> bool:
    """Whether whoever must be among those behind it is: an approver, or else a holder of the authority."""
    if demands.authority.approval:
        return any(person.roles & set(demands.approvers) for person in approving)
    return leading is not None or any(person.roles & set(demands.authority.roles) for person in approving)


def _why_undecided(case: Case, leading: Role | None, approving: Collection[Person]) -> str:
    authority, author = case.demands.authority, case.author
    if approving:
        among = case.demands.approvers if authority.approval else authority.roles
        return f"{either(among)} must be among those who approve."
    if any(_stands(given, case.demands) for given in case.approvals):
        return f"Nobody who approved holds the role any more; {_who(authority)}."
    if case.approvals:
        return "Its approval is no longer valid."
    if author is None:
        return "The account that requested it is gone."
    if author.kind is ActorKind.AUTOMATION:
        return f"Automation may not decide this alone; {_who(authority)}."
    if author.kind is not ActorKind.USER:
        return "Requested by a token: a person decides."
    if leading is not None:
        return f"{leading.label} with approval."
    return f"The requester is not {either(authority.roles)} of this incident; {_who(authority)}."


def _why_own(person: Person, case: Case) -> str:
    """Why this would be approving one's own request; empty when it is another's."""

    def is_same(other: Person | None) -> bool:
        return other is not None and other.user_id is not None and other.user_id == person.user_id

    by_person = case.author is not None and case.author.in_person
    if is_same(case.author) and (by_person or case.demands.a_second_person):
        edited = "Who edited the plan cannot approve it."
        return edited if case.editor else "The requester cannot approve their own request."
    if is_same(case.requester) and case.demands.a_second_person:
        return "The requester cannot approve their own request."
    return ""


def _first_held(wanted: Collection[Role], held: frozenset[Role]) -> Role | None:
    return next((role for role in wanted if role in held), None)


def _who(authority: Authority) -> str:
    return f"{either(authority.roles)} decides" + (" with approval" if authority.approval else "")
