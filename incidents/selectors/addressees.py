"""Who is told of what waits for somebody after an incident, as routes address people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from core.models import User
from incidents import policy
from incidents.models import Incident, Report, Responder, Review, RoleGrant
from incidents.selectors.people import who_may_see
from incidents.selectors.reports import no_second_person_of
from incidents.states import Role

LEAD = ("role_holders",)  # who leads the incident; while nobody does, the primary contacts
_MAY_SIGN_OFF = ("commander", "administrator")  # where the playbook names no role


def addressed_to(
    owners: Iterable[User | None], incident: Incident | None, *, otherwise: Sequence[str] = LEAD
) -> list[str]:
    """The owners who are still there and may see the incident; `otherwise` as well where one is missing.

    The one rule for everything that has an owner.
    """
    named = {owner.pk if owner is not None else None: owner for owner in owners}
    there = [owner for owner in named.values() if owner is not None and owner.is_active]
    told = who_may_see(incident, there) if incident is not None else there
    accounts = sorted(f"account:{user.get_username()}" for user in told)
    return accounts if accounts and len(told) == len(named) else [*accounts, *otherwise]


def who_may_publish(incident: Incident, report: Report) -> list[str]:
    """Whom a report that was handed in waits for: of the people of its incident those who hold a role, else
    the others, else accounts that may be its commander; never who handed it in, nor, where a second person
    publishes, who wrote it alone (five queries at most, besides what a restricted incident asks).
    """
    not_they = {report.submitted_by_user_id}
    if incident.severity in policy.reports().second_person:
        not_they |= no_second_person_of(report)
    there = Responder.objects.filter(incident=incident, until__isnull=True).select_related("user")
    people = [row for row in there if row.user_id not in not_they]
    leading = {row.user_id: row.user for row in people if row.role}
    others = {row.user_id: row.user for row in people}
    for found in (leading, others):
        if told := who_may_see(incident, found.values()):
            return _accounts(told)
    able = RoleGrant.objects.filter(role=Role.INCIDENT_COMMANDER).select_related("user")
    granted = [row.user for row in able.exclude(user__in=[pk for pk in not_they if pk is not None])]
    return _accounts(who_may_see(incident, granted)) or [policy.follow_up().audience]


def who_may_sign_off(review: Review) -> list[str]:
    """Whom a review that was held waits for: who may hold a role that its kind names, else commanders; never
    who held it, nor who may not see its incident. Nobody such: those who were asked to it (one query).
    """
    kind = policy.reviews().reviews.get(review.kind)
    roles = kind.sign_off if kind else ()
    if roles:
        granted = RoleGrant.objects.filter(role__in=roles).values("user")
        able = User.objects.filter(pk__in=granted, is_active=True)
    else:
        able = User.objects.filter(groups__name__in=_MAY_SIGN_OFF, is_active=True).distinct()
    others = list(able.exclude(pk=review.held_by_user_id or 0))
    told = others if review.incident is None else who_may_see(review.incident, others)
    return _accounts(told) or list(review.asked)


def _accounts(users: Iterable[User]) -> list[str]:
    return sorted({f"account:{user.get_username()}" for user in users})
