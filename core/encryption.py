"""Secrets at rest: what the database keeps of them opens only with a key that it does not hold."""

from __future__ import annotations

import functools

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings


class NoEncryptionKey(RuntimeError):
    """ENCRYPTION_KEYS is empty or has something in it that is no key."""


class Undecipherable(ValueError):
    """None of the keys opens this: its key was taken out of ENCRYPTION_KEYS too early, or it was changed."""


def encrypt(text: str) -> str:
    """Seal `text` with the first key; raises NoEncryptionKey."""
    return key_ring().encrypt(text.encode()).decode("ascii")


def decrypt(sealed: str) -> str:
    """Open what `encrypt` sealed, with whichever key does; raises Undecipherable and NoEncryptionKey."""
    try:
        return key_ring().decrypt(sealed.encode()).decode()
    except InvalidToken as error:
        raise Undecipherable("No key in ENCRYPTION_KEYS opens this secret.") from error


def reencrypt(sealed: str) -> str:
    """The same secret, sealed with the first key; raises Undecipherable and NoEncryptionKey."""
    try:
        return key_ring().rotate(sealed.encode()).decode("ascii")
    except InvalidToken as error:
        raise Undecipherable("No key in ENCRYPTION_KEYS opens this secret.") from error


def key_ring() -> MultiFernet:
    """The keys of ENCRYPTION_KEYS: the first seals, all open; raises NoEncryptionKey."""
    return _ring(tuple(settings.ENCRYPTION_KEYS))


@functools.lru_cache(maxsize=8)
def _ring(keys: tuple[str, ...]) -> MultiFernet:
    if not keys:
        raise NoEncryptionKey("ENCRYPTION_KEYS is not set.")
    try:
        return MultiFernet([Fernet(key) for key in keys])
    except ValueError as error:  # its text would not show the key, and ours does not either
        raise NoEncryptionKey("ENCRYPTION_KEYS has an entry that is not 32 bytes in base64.") from error
