"""What a person types into the search, as PostgreSQL's `websearch_to_tsquery` reads it."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

MOST_TERMS = 16  # more are left out
_TERM = re.compile(r'(?P<minus>(?<!\S)-)?(?:"(?P<phrase>[^"]*)"?|(?P<word>[^\s"]+))')
_WORD = re.compile(r"(?:[^\W\d_]|[0-9])+")


def folded(text: str) -> list[str]:
    """The words of a text: letters and digits in a row, in lower case, without accents.

    As the function `incidents_folded` of the database writes them into the search.
    """
    plain = unicodedata.normalize("NFKD", text).lower().replace("ς", "σ")
    return _WORD.findall("".join(letter for letter in plain if not _is_mark(letter)))


@dataclass(frozen=True)
class Asked:
    """What is to be found, and any of what must not be there, each for `websearch_to_tsquery`."""

    words: str
    without: str


def read_search(text: str) -> Asked | None:
    """Words in any order, `"phrases"`, `-without`, `this or that`; None where nothing is asked for.

    What has signs in it is a phrase: `1.4.2`, `db-01`. Only words and quotes come out, so that nothing a
    person types means anything else. What is only to be left out asks for nothing.
    """
    words: list[str] = []
    without: list[str] = []
    for found in list(_TERM.finditer(text))[:MOST_TERMS]:
        said = folded(found["phrase"] if found["phrase"] is not None else found["word"])
        if not said:
            continue
        term = f'"{" ".join(said)}"'
        if found["minus"]:
            without.append(term)
        elif (found["word"] or "").lower() == "or":
            words += ["or"] if words and words[-1] != "or" else []
        else:
            words.append(term)
    return Asked(" ".join(words), " or ".join(without)) if words else None


def _is_mark(letter: str) -> bool:
    return "\u0300" <= letter <= "\u036f"
