"""Finding anything by words: what each app finds, side by side; `SEARCH_PROVIDERS` in the wiring."""

from __future__ import annotations

import datetime as dt
import logging
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from django.conf import settings
from django.db import connection, transaction
from django.db.models import BooleanField, Func, Value
from django.utils.module_loading import import_string

from core.actors import Actor
from core.texts import made_harmless

logger = logging.getLogger(__name__)

LONGEST = 200  # characters of a search
MOST_WORDS = 8  # more are left out
MOST_OF_A_KIND = 8
# A person waits for it with every letter: what takes longer is left out, and said to be missing.
TIMEOUT_MS = 2_000
_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True)
class Hit:
    """One thing that was found. `key` is its reference or short name, `icon` a heroicon, `tone` colours it.

    `also_url` is a second thing to do with it, such as calling a number, in the words of `also_label`.
    `excerpt` is where the words stand in a long text, in pieces as `marked` gives them.
    """

    kind: str
    key: str
    label: str
    detail: str
    url: str
    icon: str
    tone: str = ""
    also_url: str = ""
    also_label: str = ""
    excerpt: tuple[tuple[str, bool], ...] = ()


@dataclass(frozen=True)
class Period:
    """From `since` until before `until`; None is without an end."""

    since: dt.datetime | None = None
    until: dt.datetime | None = None


@dataclass(frozen=True)
class Group:
    """What one provider found, the best first."""

    name: str
    hits: tuple[Hit, ...]

    @property
    def label(self) -> str:
        return self.name.capitalize()


@dataclass(frozen=True)
class Findings:
    """What was found, by provider; `failed` are those that gave no answer."""

    groups: tuple[Group, ...]
    failed: tuple[str, ...]

    @property
    def hits(self) -> tuple[Hit, ...]:
        return tuple(hit for group in self.groups for hit in group.hits)


Provider = Callable[..., Sequence[Hit]]


def search(
    actor: Actor,
    text: str,
    *,
    limit: int = MOST_OF_A_KIND,
    among: Collection[str] = (),
    period: Period | None = None,
) -> Findings:
    """At most `limit` hits of each provider (`among` names some of them), of what the actor may see.

    With a period only those that know one are asked: SEARCH_OF_A_PERIOD.

    Without words each shows what somebody would look for first, which may be nothing. A provider that
    fails or takes longer than TIMEOUT_MS costs its own part alone.
    """
    words = made_harmless(text[:LONGEST])
    groups: list[Group] = []
    failed: list[str] = []
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('statement_timeout', %s, true)", [str(TIMEOUT_MS)])
        for name, path in settings.SEARCH_PROVIDERS:
            if (among and name not in among) or (period and name not in settings.SEARCH_OF_A_PERIOD):
                continue
            find: Provider = import_string(path)
            asked = {"period": period} if period else {}
            try:
                with transaction.atomic():
                    hits = tuple(find(actor, words, limit, **asked))[:limit]
            except Exception:  # whatever it is, the others' hits are worth showing
                logger.exception("search provider failed", extra={"provider": name})
                failed.append(name)
                continue
            if hits:
                groups.append(Group(name, hits))
    return Findings(tuple(groups), tuple(failed))


def words_of(text: str) -> list[str]:
    """What the indexes of words call words: letters and digits in a row; the first MOST_WORDS of them."""
    return _WORD.findall(text)[:MOST_WORDS]


def has_words(function: str, *columns: str, words: Sequence[str]) -> Func:
    """Whether each of `words_of` begins a word that a function of the database makes of the columns.

    Written as the index holds it, `function(columns…)`; in a subquery too, where tables have other names.
    """
    asked = Func(Value(as_prefixes(words)), template="to_tsquery('pg_catalog.simple', %(expressions)s)")
    made = Func(*columns, function=function)
    return Func(made, asked, template="%(expressions)s", arg_joiner=" @@ ", output_field=BooleanField())


def as_prefixes(words: Sequence[str]) -> str:
    """A tsquery of the configuration `simple`: each of `words_of` begins a word of what is found."""
    return " & ".join(f"'{word}':*" for word in words)


def marked(label: str, text: str) -> tuple[tuple[str, bool], ...]:
    """The label in pieces, each with whether a word found it: `(("Check", True), ("out", False))`."""
    words = sorted(words_of(text), key=len, reverse=True)
    if not words:
        return ((label, False),)
    found = re.compile(rf"(?<![^\W_])({'|'.join(map(re.escape, words))})", re.IGNORECASE)
    pieces = found.split(label)
    return tuple((piece, place % 2 == 1) for place, piece in enumerate(pieces) if piece)
