"""Secrets at rest: sealed by the first key, opened by any, sealed anew without losing one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP
from cryptography.fernet import Fernet
from django.core.management import CommandError, call_command

from core import encryption
from core.embedded.stack import encryption_key
from core.models import User

ROOT = Path(__file__).resolve().parents[2]
A, B = Fernet.generate_key().decode(), Fernet.generate_key().decode()
SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"


@pytest.fixture
def sealed(settings: Any, make_user: Callable[..., User]) -> User:
    """An account whose factors are sealed with A."""
    settings.ENCRYPTION_KEYS = [A]
    user = make_user("ida")
    TOTP.activate(user, SECRET)
    RecoveryCodes.activate(user)
    return user


def _rotate() -> str:
    said = StringIO()
    call_command("rotate_encryption_key", stdout=said)
    return said.getvalue()


def _opened() -> str:
    totp = Authenticator.objects.get(type=Authenticator.Type.TOTP)
    return encryption.decrypt(totp.data["secret"])


def test_the_database_holds_no_secret_in_the_clear(sealed: User) -> None:
    stored = str(list(Authenticator.objects.values_list("data", flat=True)))
    assert SECRET not in stored
    assert stored.count("gAAAAA") == 2  # Fernet's mark: the secret and the seed
    assert _opened() == SECRET


def test_a_key_is_changed_in_three_steps_and_nothing_is_lost(settings: Any, sealed: User) -> None:
    codes = Authenticator.objects.get(type="recovery_codes").wrap().generate_codes()
    settings.ENCRYPTION_KEYS = [B, A]
    assert _opened() == SECRET  # before the rotation both keys are there
    assert "2 secret(s)" in _rotate()
    assert "2 secret(s)" in _rotate()  # again does no harm
    settings.ENCRYPTION_KEYS = [B]
    assert _opened() == SECRET
    assert Authenticator.objects.get(type="recovery_codes").wrap().generate_codes() == codes
    settings.ENCRYPTION_KEYS = [A]
    with pytest.raises(encryption.Undecipherable):
        _opened()


def test_a_key_taken_out_too_early_changes_nothing(settings: Any, sealed: User) -> None:
    before = list(Authenticator.objects.order_by("pk").values_list("data", flat=True))
    settings.ENCRYPTION_KEYS = [B]
    with pytest.raises(CommandError, match="No key in ENCRYPTION_KEYS opens this secret"):
        _rotate()
    assert list(Authenticator.objects.order_by("pk").values_list("data", flat=True)) == before


@pytest.mark.parametrize("keys", [[], ["changeme"], [A, "x" * 44]], ids=["none", "word", "one of two"])
def test_without_a_real_key_nothing_is_sealed(settings: Any, keys: list[str]) -> None:
    settings.ENCRYPTION_KEYS = keys
    with pytest.raises(encryption.NoEncryptionKey) as refused:
        encryption.encrypt(SECRET)
    assert "changeme" not in str(refused.value)


@pytest.mark.parametrize(
    ("keys", "code"),
    [
        pytest.param("", 1, marks=pytest.mark.faults),
        ("changeme", 1),
        pytest.param(f"{A},{B}", 0, id="two keys"),
    ],  # no random name: workers compare
)
def test_production_starts_with_keys_of_its_own_only(tmp_path: Path, keys: str, code: int) -> None:
    environ = os.environ | {
        "PUBLIC_URL": "https://firebreak.example.test", "SECRET_KEY": "k" * 60 + "Aa1!xyzQ",
        "VAR_DIR": str(tmp_path), "ENCRYPTION_KEYS": keys,
    }  # fmt: skip
    ran = subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == code, ran.stderr
    assert ("firebreak.E002" in ran.stderr) == bool(code)


def test_the_embedded_stack_keeps_a_key_of_its_own(tmp_path: Path) -> None:
    key = encryption_key(tmp_path / "var")
    assert encryption_key(tmp_path / "var") == key != encryption_key(tmp_path / "other")
    assert (tmp_path / "var" / "encryption_key").stat().st_mode & 0o777 == 0o600
    Fernet(key)
