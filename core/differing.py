"""What two texts do not have in common, for a reader who sees them side by side."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

Pieces = tuple[tuple[str, bool], ...]  # of a text in its order, each with whether the other text lacks it

MOST = 250_000  # pairs of words that are compared, about 0.1 s; of longer differences lines are
_WORDS = re.compile(r"\S+\s*|\s+")
_LINES = re.compile(r"[^\n]*\n|[^\n]+")


def side_by_side(one: str, other: str) -> tuple[Pieces, Pieces]:
    """Both texts in pieces: by words, where much differs by lines, and where even more does, by halves."""
    one, other = (text.replace("\r\n", "\n") for text in (one, other))
    for kind in (_WORDS, _LINES):
        left, right = kind.findall(one), kind.findall(other)
        start = _alike(left, right)
        end = _alike(left[start:][::-1], right[start:][::-1])
        middle, other_middle = left[start : len(left) - end], right[start : len(right) - end]
        if len(middle) * len(other_middle) <= MOST:
            kept = list(_common(middle, other_middle))
            break
    else:
        kept = []
    before, after = left[:start], left[len(left) - end :]
    return (
        _pieces(before, middle, {place for place, _other in kept}, after),
        _pieces(before, other_middle, {place for _one, place in kept}, after),
    )


def _alike(one: Sequence[str], other: Sequence[str]) -> int:
    """How many they begin with in common."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((place for place, (a, b) in pairs if a != b), min(len(one), len(other)))


def _common(one: Sequence[str], other: Sequence[str]) -> Iterator[tuple[int, int]]:
    """The places of the longest sequence that both have."""
    longest = [[0] * (len(other) + 1)]
    for word in reversed(one):
        row, below = [0], longest[-1]
        for place in range(len(other) - 1, -1, -1):
            row.append(below[place] + 1 if word == other[place] else max(row[-1], below[place + 1]))
        row.reverse()
        longest.append([*row[:-1], 0])
    longest.reverse()
    a = b = 0
    while a < len(one) and b < len(other):
        if one[a] == other[b]:
            yield a, b
            a, b = a + 1, b + 1
        elif longest[a + 1][b] >= longest[a][b + 1]:
            a += 1
        else:
            b += 1


def _pieces(before: Sequence[str], middle: Sequence[str], kept: set[int], after: Sequence[str]) -> Pieces:
    words = [(word, False) for word in before]
    words += [(word, place not in kept) for place, word in enumerate(middle)]
    words += [(word, False) for word in after]
    joined: list[tuple[str, bool]] = []
    for word, differs in words:
        if joined and joined[-1][1] == differs:
            joined[-1] = (joined[-1][0] + word, differs)
        else:
            joined.append((word, differs))
    return tuple(joined)
