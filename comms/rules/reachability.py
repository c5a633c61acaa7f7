"""Whether somebody can be reached at all, and why not. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from comms.states import Means

_NUMBER = re.compile(r"\+[1-9][0-9]{7,14}\Z")  # E.164: what providers take
_SPACING = re.compile(r"[ ()./-]|\(0\)")
BY_PHONE = (Means.VOICE, Means.SMS)


def dialled(phone: str) -> str:
    """A phone number as it is dialled: `+49 (0)30 12-34` is `+49301234`."""
    return _SPACING.sub("", phone.replace("(0)", ""))


def is_usable_number(phone: str) -> bool:
    """Whether a provider would take it: with the code of its country."""
    return _NUMBER.fullmatch(dialled(phone)) is not None


def why_unreachable(
    addresses: Mapping[Means, str],
    *,
    ready: Collection[Means],
    account_disabled: bool = False,
    last_failed: bool = False,
) -> tuple[str, ...]:
    """What keeps messages from this person; empty when nothing is known to.

    `ready` are the ways for which a channel is set up, `last_failed` whether their last three deliveries
    were given up.
    """
    found = []
    if account_disabled:
        found.append("The account is disabled.")
    phone = next((addresses[means] for means in BY_PHONE if means in addresses), "")
    usable = {means for means in addresses if means not in BY_PHONE or is_usable_number(phone)}
    if phone and not is_usable_number(phone) and any(means in ready for means in BY_PHONE):
        found.append("The phone number has no country code, such as +49, or is too short or long.")
    if not usable & set(ready):
        ways = ", ".join(str(means.label) for means in Means if means in ready)
        found.append(f"There is no address for {ways}." if ways else "No channel is set up.")
    if last_failed:
        found.append("The last three messages could not be delivered.")
    return tuple(found)
