"""Second factors: sealed in the database, single use, and proven in the session that sets them up."""

from __future__ import annotations

from typing import Any

from allauth.account.internal.flows.login import record_authentication
from allauth.core import context
from allauth.core.internal.cryptokit import normalize_user_code
from allauth.mfa.adapter import DefaultMFAAdapter, get_adapter
from allauth.mfa.base import forms as code_forms
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.forms import ActivateTOTPForm
from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.cache import cache
from django.db import transaction

from core import encryption

SEALED = ("secret", "seed")  # the keys of Authenticator.data that hold a secret


class MfaAdapter(DefaultMFAAdapter):  # type: ignore[misc]
    """TOTP secrets and recovery seeds are kept sealed; passkeys belong to Firebreak by name."""

    def encrypt(self, text: str) -> str:
        return encryption.encrypt(text)

    def decrypt(self, encrypted_text: str) -> str:
        return encryption.decrypt(encrypted_text)

    def generate_authenticator_name(self, user: AbstractBaseUser, type: Authenticator.Type) -> str:
        return f"Passkey {Authenticator.objects.filter(user_id=user.pk, type=type).count() + 1}"

    def get_totp_label(self, user: AbstractBaseUser) -> str:
        return user.get_username()

    def get_public_key_credential_rp_entity(self) -> dict[str, str]:
        return {**super().get_public_key_credential_rp_entity(), "name": "Firebreak"}


@transaction.atomic
def second_factors() -> int:
    """Seal every second factor anew with the first key; returns how many. All of them or none."""
    done = 0
    for row in Authenticator.objects.select_for_update().exclude(type=Authenticator.Type.WEBAUTHN).iterator():
        row.data |= {key: encryption.reencrypt(row.data[key]) for key in SEALED if key in row.data}
        row.save(update_fields=["data"])
        done += 1
    return done


def _use_once(user: AbstractBaseUser, code: str) -> None:
    """Refuse a code that was used already: it is valid for more than one period (see MFA_TOTP_TOLERANCE)."""
    valid_for = settings.MFA_TOTP_PERIOD * (2 * settings.MFA_TOTP_TOLERANCE + 1)
    if not cache.add(f"mfa-code:{user.pk}:{normalize_user_code(code)}", "used", timeout=valid_for):
        raise get_adapter().validation_error("incorrect_code")


class _SingleUse:
    def clean_code(self) -> str:
        code: str = super().clean_code()  # type: ignore[misc]
        _use_once(self.user, code)  # type: ignore[attr-defined]
        return code


class AuthenticateForm(_SingleUse, code_forms.AuthenticateForm):  # type: ignore[misc]
    """The code at sign-in."""


class ReauthenticateForm(_SingleUse, code_forms.ReauthenticateForm):  # type: ignore[misc]
    """The code before something sensitive."""


class EnrolTotpForm(_SingleUse, ActivateTOTPForm):  # type: ignore[misc]
    """The first code of a new authenticator app, which proves it for this session too."""

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or self.cleaned_data
        if not self.errors:
            record_authentication(context.request, self.user, "mfa", type="totp", enrolled=True)
        return data
