"""What a text may hold, decided once for the API, the pages and the admin.

Letters of every script, right to left included, are welcome, and so are the zero-width characters
that scripts and emoji need. What only deceives or breaks a terminal, a mail or a log is refused.
"""

from __future__ import annotations

import re
import unicodedata

_LINE_BREAKS = re.compile(r"\s*[\t\n\v\f\r\x85\u2028\u2029]\s*")
# Shown as nothing although they are letters or symbols: Hangul fillers, the blank Braille cell, selectors.
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0") | {
    chr(c) for c in range(0xFE00, 0xFE10)
}
# Embeddings, overrides and isolates: pages isolate every text themselves, so nobody needs them in a line.
_DIRECTIONAL = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def is_blank(text: str) -> bool:
    """Whether a reader would see nothing: only spaces, zero-width and control characters."""
    return all(character in _BLANK or unicodedata.category(character)[0] in "ZC" for character in text)


def tidy(text: str, *, one_line: bool) -> str:
    """`text` without outer spaces; line breaks are `\\n`, in one line they are a space."""
    whole = text.strip().replace("\r\n", "\n").replace("\r", "\n")
    return _LINE_BREAKS.sub(" ", whole) if one_line else whole


def made_harmless(text: str) -> str:
    """One line of a stranger's words, who cannot be asked for others: what is refused elsewhere is U+FFFD."""
    line = tidy(text, one_line=True)
    return "".join(c if what_is_wrong(c, one_line=True) is None else "\ufffd" for c in line)


def what_is_wrong(text: str, *, one_line: bool) -> str | None:
    """Why a tidied text is refused, or None. Source: docs/hostile-input.md."""
    for character in text:
        category = unicodedata.category(character)
        if category == "Cs" or (category == "Cc" and (one_line or character not in "\n\t")):
            return f"Must not contain the control character U+{ord(character):04X}."
        if one_line and character in _DIRECTIONAL:
            return f"Must not contain the directional character U+{ord(character):04X}."
    return None
