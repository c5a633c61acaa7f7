"""What another app adds to a form of an incident: the shape it fills, and finding what the wiring names."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any, Protocol

from django.conf import settings
from django.http import QueryDict
from django.utils.module_loading import import_string

from core.actors import Actor
from core.errors import FirebreakError, Invalid
from incidents.models import Incident

NOTHING_STORED = "Nothing was stored: the other half needs a correction. Both texts are kept here."


class Companion(Protocol):
    """A second half of a form, shown beside it and sent with it.

    `template` draws it, with the companion as `companion`. `consequences` are lines for the person before
    they send. What it stores is stored in the transaction of the form's own command.
    """

    template: str

    @property
    def consequences(self) -> tuple[str, ...]: ...

    def recall(self, typed: Mapping[str, Any]) -> None:
        """Begin with what was typed before, by the names that the form posts."""

    def is_valid(self) -> bool:
        """Whether what was sent may be stored; else its form says what is wrong."""

    def preview(self, data: Mapping[str, Any], now: dt.datetime) -> None:
        """Show what would be stored; `data` is what the form itself says so far. Stores nothing."""

    def run(self, data: Mapping[str, Any], now: dt.datetime) -> str:
        """Store it; returns what to tell the person, empty where there was nothing to do."""

    def blame(self, error: FirebreakError) -> None:
        """Say in its own form why `run` was refused."""


class CompanionRefused(Invalid):
    """The other half of a form was refused, and the form with it."""

    def __init__(self) -> None:
        super().__init__({"": NOTHING_STORED})


def find_companion(form: str, actor: Actor, incident: Incident, data: QueryDict | None) -> Companion | None:
    """The companion of that form, such as `update`; None where the wiring names none.

    `data` is what was sent, None before anything was.
    """
    for name, path in settings.FORM_COMPANIONS:
        if name == form:
            found: Companion = import_string(path)(actor, incident, data)
            return found
    return None
