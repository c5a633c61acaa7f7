"""System checks of access: what must be right before people sign in."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, Error, Tags, register

from core.accounts.levels import LEVELS
from core.assurance import SUBJECTS
from core.checks import START
from core.encryption import NoEncryptionKey, key_ring

_NEW_KEY = (
    "Make one: python -c 'from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())',"
    " and keep it apart from the database's backups."
)


@register(Tags.security, START)
def secrets_can_be_sealed(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Production does not start without a key of its own for secrets at rest."""
    try:
        key_ring()
    except NoEncryptionKey as error:
        return [Error(str(error), hint=_NEW_KEY, id="firebreak.E002")]
    return []


@register(Tags.security, START)
def access_settings_mean_something(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """A misspelt word must not open what it should close."""
    found: list[CheckMessage] = []
    if unknown := set(settings.MFA_REQUIRED_FOR) - set(SUBJECTS):
        said = f"MFA_REQUIRED_FOR names {', '.join(sorted(unknown))}; it knows {' and '.join(SUBJECTS)}."
        found.append(Error(said, id="firebreak.E003"))
    if unknown := set(settings.OIDC_LEVELS.values()) - set(LEVELS):
        said = f"OIDC_LEVELS names {', '.join(sorted(unknown))}; levels are {', '.join(LEVELS)}."
        found.append(Error(said, id="firebreak.E004"))
    if bool(settings.OIDC_ISSUER) != bool(settings.OIDC_CLIENT_ID and settings.OIDC_CLIENT_SECRET):
        said = "OIDC_ISSUER, OIDC_CLIENT_ID and OIDC_CLIENT_SECRET belong together: set all or none."
        found.append(Error(said, id="firebreak.E005"))
    if settings.BEHIND_TLS and settings.OIDC_ISSUER.startswith("http://"):
        found.append(Error("OIDC_ISSUER has to be https.", id="firebreak.E006"))
    if settings.REAUTHENTICATE_AFTER_SECONDS < 30 or not 300 <= settings.SESSION_MAX_AGE_SECONDS <= 604_800:
        said = "REAUTHENTICATE_AFTER_SECONDS is 30 or more, SESSION_MAX_AGE_SECONDS 300 to 604800 (a week)."
        found.append(Error(said, id="firebreak.E007"))
    return found


@register(Tags.security, deploy=True)
def second_factor_is_asked(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """In production a password alone should neither administer nor approve."""
    if missing := [subject for subject in SUBJECTS if subject not in settings.MFA_REQUIRED_FOR]:
        said = f"MFA_REQUIRED_FOR leaves out {' and '.join(missing)}: a stolen password is enough there."
        return [
            checks.Warning(
                said, hint="Leave it unset: with PUBLIC_URL=https://… both are asked.", id="firebreak.W002"
            )
        ]
    return []
