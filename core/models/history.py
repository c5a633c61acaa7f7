"""What every row of the history of configuration says besides the values: when, who, through what."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Func, Value
from pghistory.models import Event as HistoryEvent


class DatabaseUser(Func):
    """The role that the statement ran as; no argument gives it, the database does."""

    template = "CURRENT_USER::text"
    output_field = models.TextField()


class Change(HistoryEvent):
    """A row as it was after a change (before it, when it was deleted), written by a trigger.

    `pgh_context` is what the door knew: the actor and the request. Raw SQL has no door, so the
    database itself adds its role and the program that was connected.
    """

    pgh_id = models.BigAutoField(primary_key=True)
    pgh_role = models.TextField(db_default=DatabaseUser(), editable=False)
    pgh_program = models.TextField(
        db_default=Func(Value("application_name"), function="current_setting"), editable=False
    )

    # What core.history.keep_history was told.
    columns: ClassVar[tuple[str, ...]] = ()
    thing: ClassVar[str] = ""
    named_by: ClassVar[tuple[str, ...]] = ()
    seen_by: ClassVar[str] = "administer"

    class Meta:
        abstract = True
