"""How sure Firebreak must be that this is the person, and since when: pure, asked by services that decide.

What is known enters at the door as facts of the actor (`authenticated_at`, `second_factor`); page, API and
chat obey the same rule because none of them holds it.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from django.conf import settings

from core.actors import Actor, Level
from core.errors import NotAllowed

ADMINISTRATORS = "administrators"
APPROVING = "approving"
SUBJECTS = (ADMINISTRATORS, APPROVING)  # what MFA_REQUIRED_FOR may name


class SecondFactorRequired(NotAllowed):
    """This needs an account with a second factor, and a session that was opened with it."""

    code = "mfa_required"


class ReauthenticationRequired(NotAllowed):
    """The person has not shown for too long that it is them: password, code or passkey once more."""

    code = "reauthentication_required"


@dataclass(frozen=True)
class Assurance:
    """What is asked: for whom a second factor (of SUBJECTS), and how long a proof of identity lasts."""

    second_factor_for: frozenset[str]
    fresh_for: dt.timedelta


def current_assurance() -> Assurance:
    """As the settings MFA_REQUIRED_FOR and REAUTHENTICATE_AFTER_SECONDS say."""
    return Assurance(
        frozenset(settings.MFA_REQUIRED_FOR), dt.timedelta(seconds=settings.REAUTHENTICATE_AFTER_SECONDS)
    )


def must_enrol(actor: Actor, asked: Assurance) -> bool:
    """Whether this person may do nothing before a second factor is set up: an administrator without one."""
    return (
        ADMINISTRATORS in asked.second_factor_for
        and actor.is_person
        and actor.level is Level.ADMINISTRATOR
        and not actor.second_factor
    )


def doubt_about(actor: Actor, asked: Assurance, now: dt.datetime) -> NotAllowed | None:
    """What keeps this person from deciding now (approve, arm, settle a step); None when nothing does."""
    if APPROVING in asked.second_factor_for and not actor.second_factor:
        return SecondFactorRequired("Deciding needs a second factor: set one up under Account, Security.")
    if actor.authenticated_at is None or now - actor.authenticated_at > asked.fresh_for:
        return ReauthenticationRequired("Confirm that it is you: your last sign-in is too long ago.")
    return None


def require_assurance(actor: Actor, now: dt.datetime) -> None:
    """Raise SecondFactorRequired or ReauthenticationRequired when there is doubt that this person decides."""
    if doubt := doubt_about(actor, current_assurance(), now):
        raise doubt
