"""Living through a short absence of the database while a command runs."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from django.db import InterfaceError, OperationalError, connection

logger = logging.getLogger(__name__)

T = TypeVar("T")
PATIENCE_SECONDS = 60.0
AWAY = (OperationalError, InterfaceError)


@contextmanager
def surviving_the_database() -> Iterator[None]:
    """Skip what needs the database while it is away: the command itself must go on."""
    try:
        yield
    except AWAY as error:
        logger.warning("the database is away: %s", error)
        connection.close()


def patiently(write: Callable[[], T]) -> T:
    """Write an outcome, trying for a minute while the database is away; the fence still decides."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return write()
        except AWAY as error:
            if time.monotonic() >= deadline:
                raise
            logger.warning("the database is away, trying again: %s", error)
            connection.close()
            time.sleep(1)
