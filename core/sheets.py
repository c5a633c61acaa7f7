"""Cells of a sheet (CSV) that no spreadsheet takes for a formula. Pure."""

from __future__ import annotations

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def guarded(text: str) -> str:
    """A cell that a spreadsheet shows as it stands, never computes."""
    return f"'{text}" if _looks_guarded(text) else text


def unguarded(cell: str) -> str:
    """What `guarded` was given."""
    return cell[1:] if cell.startswith("'") and _looks_guarded(cell) else cell


def _looks_guarded(text: str) -> bool:
    """Whether it is a formula, or one after apostrophes, so that each gets exactly one more."""
    return text.lstrip("'").startswith(_FORMULA)
