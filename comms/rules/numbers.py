"""Telephone numbers as a network takes them. Pure. Source: ITU-T E.164."""

from __future__ import annotations

import re


def e164(written: str) -> str | None:
    """`+49 (0)30 1234-5` as `+493012345`; None for a number without its country's code.

    `00` in front means the same as `+`, and a zero in brackets is for callers from within.
    """
    text = written.strip().replace("(0)", "")
    digits = re.sub(r"[ ()./-]", "", text)
    if digits.startswith("00"):
        digits = f"+{digits[2:]}"
    return digits if re.fullmatch(r"\+[1-9][0-9]{6,14}", digits, re.ASCII) else None
