"""Passkey forms: allauth's, which take whatever a client sends for an answer and no more."""

from __future__ import annotations

import struct
from typing import Any

from allauth.account.internal.flows.login import record_authentication
from allauth.core import context
from allauth.mfa.adapter import get_adapter
from allauth.mfa.models import Authenticator
from allauth.mfa.webauthn import forms as allauth_forms
from cryptography.exceptions import InvalidSignature
from django import forms

# What fido2 and json raise at an answer that is none; a form has no business to end in a server error.
MALFORMED = (
    AttributeError, IndexError, InvalidSignature, KeyError, RecursionError, TypeError, ValueError,
    struct.error,
)  # fmt: skip


class CredentialField(forms.JSONField):
    """The browser's answer as JSON."""

    widget = forms.HiddenInput

    def to_python(self, value: Any) -> Any:
        try:
            return super().to_python(value)
        except MALFORMED as error:
            raise get_adapter().validation_error("incorrect_code") from error


class _Answer:
    def clean_credential(self) -> Authenticator:
        try:
            found: Authenticator = super().clean_credential()  # type: ignore[misc]
        except MALFORMED as error:
            raise get_adapter().validation_error("incorrect_code") from error
        return found


class LoginForm(_Answer, allauth_forms.LoginWebAuthnForm):  # type: ignore[misc]
    """Sign-in by passkey alone."""

    credential = CredentialField()


class AuthenticateForm(_Answer, allauth_forms.AuthenticateWebAuthnForm):  # type: ignore[misc]
    """The second factor at sign-in."""

    credential = CredentialField()


class ReauthenticateForm(_Answer, allauth_forms.ReauthenticateWebAuthnForm):  # type: ignore[misc]
    """A passkey before something sensitive."""

    credential = CredentialField()


class EnrolForm(allauth_forms.AddWebAuthnForm):  # type: ignore[misc]
    """A new passkey or security key, which has just answered a challenge of this session."""

    credential = CredentialField()

    def clean(self) -> dict[str, Any]:
        try:
            data: dict[str, Any] = super().clean()
        except MALFORMED as error:
            raise get_adapter().validation_error("incorrect_code") from error
        if not self.errors and data.get("credential"):
            record_authentication(context.request, self.user, "mfa", type="webauthn", enrolled=True)
        return data
