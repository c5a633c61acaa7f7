"""Panels of pages rendered once for all who see the same, and never for anybody else.

Who sees the same is decided for each request anew by an *audience*: a text made of everything that what is
shown may depend on (level, grants, the person's part in incidents, which incidents are restricted). Nothing
else of a person gets into a shared panel: it is rendered without a request, so that neither a name nor a
CSRF token is there to be written down.
"""

from __future__ import annotations

import functools
import hashlib
import json
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlencode

from django.conf import settings
from django.utils.module_loading import import_string

from core import live
from core.actors import Actor
from core.live import Position

MOST_KEPT = 512  # pages: an incident's panels are about 50 KB
MOST_PANELS = 30
MOST_CHANGES = 50
KEPT_SECONDS = 5.0
OWN_PARAMETERS = ("panels", "have", "seen")


@dataclass(frozen=True)
class Asked:
    """A request for panels: of which page, which of them, what the reader has already, and how new.

    `seen` are the changes (numbers of transactions) that the reader was told of and that the answer must
    show; without any it must show everything up to `arrived` (time.monotonic).
    """

    page: str
    panels: tuple[str, ...]
    have: frozenset[str]
    seen: frozenset[int]
    arrived: float

    @classmethod
    def read(cls, path: str, query: str) -> Asked | None:
        """`?panels=a,b&have=DIGEST,…&seen=CHANGE,…` beside the page's own parameters; else None."""
        try:
            pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=100)
        except ValueError:
            return None
        given = dict(pairs)
        panels = tuple(dict.fromkeys(key for key in given.get("panels", "").split(",") if key))
        numbers = [number for number in given.get("seen", "").split(",") if number]
        too_many = len(panels) > MOST_PANELS or len(numbers) > MOST_CHANGES
        if not panels or too_many or not all(key.isidentifier() for key in panels):
            return None
        if not all(number.isascii() and number.isdecimal() and len(number) < 20 for number in numbers):
            return None
        own = urlencode(sorted(pair for pair in pairs if pair[0] not in OWN_PARAMETERS))
        return cls(
            page=f"{path}?{own}",
            panels=panels,
            have=frozenset(given.get("have", "").split(",")[:MOST_PANELS]),
            seen=frozenset(map(int, numbers)),
            arrived=time.monotonic(),
        )


@dataclass(frozen=True)
class Rendering:
    """One panel as it was rendered: what that reading saw, and when it began (time.monotonic)."""

    html: str
    digest: str
    position: str
    began: float

    @functools.cached_property
    def whole(self) -> bytes:
        """As it stands in an answer; made once for all who get it."""
        said = {"digest": self.digest, "position": self.position, "html": self.html}
        return json.dumps(said, separators=(",", ":"), ensure_ascii=False).encode()

    @functools.cached_property
    def unchanged(self) -> bytes:
        return json.dumps({"digest": self.digest, "position": self.position}, separators=(",", ":")).encode()

    @functools.cached_property
    def saw(self) -> Position | None:
        return Position.parse(self.position)

    def answers(self, asked: Asked) -> bool:
        if asked.seen and time.monotonic() - self.began < KEPT_SECONDS:
            return self.saw is not None and all(map(self.saw.sees, asked.seen))
        return self.began >= asked.arrived


Key = tuple[str, str]  # page and audience


@dataclass
class SharedPanels:
    """The renderings of this process, by page and audience; one at a time is made of each."""

    _kept: OrderedDict[Key, dict[str, Rendering]] = field(default_factory=OrderedDict)
    _made: set[Key] = field(default_factory=set)
    _turn: threading.Condition = field(default_factory=threading.Condition)

    def find(self, audience: str, asked: Asked) -> dict[str, Rendering] | None:
        """All panels that are asked for, where each is new enough."""
        with self._turn:
            return self._find((asked.page, audience), asked)

    def obtain(
        self, audience: str, asked: Asked, make: Callable[[Sequence[str]], Mapping[str, Rendering]]
    ) -> Mapping[str, Rendering]:
        """The panels, made by `make` unless somebody else made them in the meantime."""
        key = (asked.page, audience)
        with self._turn:
            while (found := self._find(key, asked)) is None:
                if key not in self._made:
                    break
                self._turn.wait(10)
            if found is not None:
                return found
            self._made.add(key)
        try:
            made = make(asked.panels)
            with self._turn:
                self._kept.setdefault(key, {}).update(made)
                self._kept.move_to_end(key)
                while len(self._kept) > MOST_KEPT:
                    self._kept.popitem(last=False)
            return made
        finally:
            with self._turn:
                self._made.discard(key)
                self._turn.notify_all()

    def forget(self) -> None:
        with self._turn:
            self._kept.clear()

    def _find(self, key: Key, asked: Asked) -> dict[str, Rendering] | None:
        kept = self._kept.get(key, {})
        found = {panel: kept[panel] for panel in asked.panels if panel in kept}
        fresh = len(found) == len(asked.panels) and all(one.answers(asked) for one in found.values())
        return found if fresh else None


shared_panels = SharedPanels()


@dataclass(frozen=True)
class Beginning:
    """When reading for panels began (time.monotonic), and what was committed by then."""

    at: float
    position: str

    @classmethod
    def now(cls) -> Beginning:
        return cls(time.monotonic(), live.position())


def render_all(
    panels: Sequence[str], render: Callable[[str], str], beginning: Beginning
) -> dict[str, Rendering]:
    """Each panel by `render`; nothing that they show was read before the `beginning`."""
    made = {}
    for panel in panels:
        html = render(panel)
        digest = hashlib.sha256(html.encode()).hexdigest()[:16]
        made[panel] = Rendering(html, digest, beginning.position, beginning.at)
    return made


def answer(asked: Asked, found: Mapping[str, Rendering]) -> bytes:
    """`{"panels": {KEY: {"digest", "position", "html"}}}`; without `html` where the reader has just that."""
    parts = (
        b'"%s":%s' % (panel.encode(), one.unchanged if one.digest in asked.have else one.whole)
        for panel, one in found.items()
    )
    return b'{"panels":{%s}}' % b",".join(parts)


def audiences(asked: Collection[tuple[Actor, str]]) -> list[str | None]:
    """For each actor and path: the audience, None where nothing is shared (a constant number of queries)."""
    found: list[str | None] = import_string(settings.LIVE_AUDIENCES)(asked)
    return found
