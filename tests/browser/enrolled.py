"""An account with every second factor, and the pages that only such an account is shown."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from allauth.mfa.webauthn.internal.auth import WebAuthn
from django.test import Client
from fido2.cose import ES256
from fido2.utils import websafe_encode
from fido2.webauthn import AttestationObject, AttestedCredentialData, AuthenticatorData

from core.models import User
from tests.core.accounts.conftest import PASSWORD, confirm
from tests.signing_in import sign_in

_AT = "/accounts/2fa/"


@dataclass(frozen=True)
class State:
    """A browser at one point of signing in, what it has just sent if anything, and the pages that it sees there."""

    name: str
    browser: Client
    pages: Sequence[str]
    refused: Sequence[tuple[str, dict[str, str]]] = ()


def enrol(user: User, *passkeys: str) -> None:
    """An authenticator app, recovery codes and passkeys of these names, as if their set-up had been gone through."""
    user.set_password(PASSWORD)
    user.save(update_fields=["password"])
    TOTP.activate(user, generate_totp_secret())
    RecoveryCodes.activate(user)
    for name in passkeys:
        WebAuthn.add(user, name, _registration())


def states(user: User) -> Iterator[State]:
    """The enrolled account's browsers: signed in, half way through the sign-in; and one that may set an app up."""
    inside, half_way = Client(), Client()
    sign_in(inside, user, second_factor=True)
    assert confirm(inside).status_code == 302
    keys = Authenticator.objects.filter(user=user, type=Authenticator.Type.WEBAUTHN).values_list(
        "pk", flat=True
    )
    yield State(
        "signed in",
        inside,
        [
            _AT, f"{_AT}?required", f"{_AT}recovery-codes/", f"{_AT}recovery-codes/generate/", f"{_AT}totp/deactivate/",
            f"{_AT}webauthn/", f"{_AT}webauthn/add/", f"{_AT}reauthenticate/", f"{_AT}webauthn/reauthenticate/",
            "/accounts/reauthenticate/", "/accounts/sessions/", "/accounts/password/change/",
            *(f"{_AT}webauthn/keys/{key}/{view}/" for key in keys for view in ("edit", "remove")),
        ],
        [(f"{_AT}reauthenticate/", {"code": "000000"})],
    )  # fmt: skip
    half_way.post("/accounts/login/", {"login": user.username, "password": PASSWORD})
    yield State(
        "half way in", half_way, [f"{_AT}authenticate/"], [(f"{_AT}authenticate/", {"code": "000000"})]
    )
    beginner, beginning = User.objects.create_user("beginner", password=PASSWORD), Client()
    sign_in(beginning, beginner)
    assert confirm(beginning).status_code == 302
    activate = f"{_AT}totp/activate/"
    yield State("setting up", beginning, [activate], [(activate, {"code": "000000"})])


def _registration() -> dict[str, object]:
    """What a browser sends of a new passkey, without attestation."""
    key = ES256({1: 2, 3: -7, -1: 1, -2: secrets.token_bytes(32), -3: secrets.token_bytes(32)})
    identity = secrets.token_bytes(16)
    made = AttestedCredentialData.create(b"\0" * 16, identity, key)
    flags = AuthenticatorData.FLAG.UP | AuthenticatorData.FLAG.UV | AuthenticatorData.FLAG.AT
    data = AuthenticatorData.create(hashlib.sha256(b"testserver").digest(), flags, 1, made)
    return {
        "id": websafe_encode(identity),
        "rawId": websafe_encode(identity),
        "type": "public-key",
        "response": {
            "clientDataJSON": websafe_encode(
                b'{"type": "webauthn.create", "challenge": "AA", "origin": "x"}'
            ),
            "attestationObject": websafe_encode(AttestationObject.create("none", data, {})),
        },
        "clientExtensionResults": {"credProps": {"rk": True}},
    }
