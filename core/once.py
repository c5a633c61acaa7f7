"""What several parts of one answer ask is read once: known while that answer is made, and no longer."""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, ParamSpec, TypeVar

_P = ParamSpec("_P")
_T = TypeVar("_T")

_known: ContextVar[dict[Hashable, Any] | None] = ContextVar("known", default=None)


@contextmanager
def asking_once() -> Iterator[None]:
    """Within, a function marked `once` reads once for the same arguments. For doors that only read."""
    outside = _known.set({})
    try:
        yield
    finally:
        _known.reset(outside)


def once(read: Callable[_P, _T]) -> Callable[_P, _T]:
    """A selector that several panels ask; its arguments can be hashed, and nobody changes what it returns.

    Outside of `asking_once` it reads each time: a command must see what it has just written.
    """

    @functools.wraps(read)
    def asked(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        known = _known.get()
        if known is None:
            return read(*args, **kwargs)
        key = (read, args, tuple(sorted(kwargs.items())))
        if key not in known:
            known[key] = read(*args, **kwargs)
        found: _T = known[key]
        return found

    return asked
