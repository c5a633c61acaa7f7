"""Addresses with passwords in them: one that cannot be read is named, never repeated."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

T = TypeVar("T")


def read_address(name: str, url: str, parse: Callable[[str], T]) -> T:
    """`parse(url)`; raises ImproperlyConfigured with the variable's name and without its value.

    The parsers' own errors quote what they stumbled over, which is mostly the password.
    """
    try:
        _ = urlsplit(url).port
        return parse(url)
    except Exception:  # noqa: BLE001 - whatever it says, it may quote the password
        said = f"{name} cannot be read as an address. Percent-encode : / ? # @ % in its user and password."
        raise ImproperlyConfigured(said) from None
