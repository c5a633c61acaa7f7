"""An account with every second factor, and the pages that only such an account is shown."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from allauth.mfa.webauthn.internal.auth import WebAuthn
from django.test import Client
from django.urls import resolve
from fido2.cose import ES256
from fido2.utils import websafe_encode
from fido2.webauthn import AttestationObject, AttestedCredentialData, AuthenticatorData

from core.models import User
from tests.access.matrix import read_matrix, readable
from tests.core.accounts.conftest import PASSWORD, confirm
from tests.signing_in import sign_in

_AT = "/accounts/2fa/"
NO_PAGES = {f"{_AT}recovery-codes/download/", f"{_AT}webauthn/login/"}  # a file, and what a script fetches


@dataclass(frozen=True)
class State:
    """A browser somewhere on the way into an account, the pages that it is shown, and which of them ask for a code."""

    browser: Client
    pages: Sequence[str]
    asking: Sequence[str]


def enrol(user: User, *passkeys: str) -> None:
    """An authenticator app, recovery codes and passkeys of these names, as if their set-up had been gone through."""
    user.set_password(PASSWORD)
    user.save(update_fields=["password"])
    TOTP.activate(user, generate_totp_secret())
    RecoveryCodes.activate(user)
    for name in passkeys:
        WebAuthn.add(user, name, _registration())


def states(user: User) -> Iterator[State]:
    """The enrolled account signed in and half way through its sign-in, and another one that sets an app up."""
    inside, half_way, beginning = Client(), Client(), Client()
    sign_in(inside, user, second_factor=True)
    assert confirm(inside).status_code == 302
    keys = Authenticator.objects.filter(user=user, type=Authenticator.Type.WEBAUTHN).order_by("pk")
    yield State(
        inside,
        [
            _AT, f"{_AT}?required", f"{_AT}recovery-codes/", f"{_AT}recovery-codes/generate/", f"{_AT}totp/deactivate/",
            f"{_AT}webauthn/", f"{_AT}webauthn/add/", f"{_AT}reauthenticate/", f"{_AT}webauthn/reauthenticate/",
            "/accounts/reauthenticate/", "/accounts/sessions/", "/accounts/password/change/",
            *(f"{_AT}webauthn/keys/{key.pk}/{view}/" for key in keys for view in ("edit", "remove")),
        ],
        [f"{_AT}reauthenticate/"],
    )  # fmt: skip
    half_way.post("/accounts/login/", {"login": user.username, "password": PASSWORD})
    yield State(half_way, [f"{_AT}authenticate/"], [f"{_AT}authenticate/"])
    sign_in(beginning, User.objects.create_user("beginner", password=PASSWORD))
    assert confirm(beginning).status_code == 302
    yield State(beginning, [f"{_AT}totp/activate/"], [f"{_AT}totp/activate/"])


def unseen(addresses: Iterable[str]) -> set[str]:
    """The pages of second factors in the access matrix that are at none of the addresses."""
    seen = {readable(f"/{resolve(urlsplit(address).path).route}") for address in addresses}
    return {
        case.path for case in read_matrix().cases if case.method == "GET" and case.path.startswith(_AT)
    } - {*seen, *NO_PAGES}


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
