"""The history of configuration: which columns are kept, and who is said to have changed them.

Triggers of the database write it (django-pghistory), so that `.update()`, raw SQL and a person at psql
are recorded like a page. The doors add who it was: `by_request` for HTTP, `by_command` for manage.py.
"""

from __future__ import annotations

import getpass
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, TypeVar

import pghistory
from django.db import models
from django.http import HttpRequest

from core.actors import Actor
from core.logs import request_id

M = TypeVar("M", bound=models.Model)


def keep_history(
    *columns: str,
    thing: str,
    named_by: tuple[str, ...] = (),
    seen_by: str = "configure",
    plain: bool = False,
    table: str = "",
) -> Callable[[type[M]], type[M]]:
    """Record every insert, delete and change of these columns of a model; other columns are never looked at.

    Name configuration only: no secret, and nothing that machines write every few seconds. `thing` and
    the columns `named_by` are how a list calls it; `seen_by` is the action of core.access that lets
    somebody read it. `plain` is for rows that are only made and removed, such as a table between two.
    `table` names the history's model where its own would be too long.
    """
    events: tuple[pghistory.RowEvent, ...] = (
        pghistory.InsertEvent("created"),
        pghistory.DeleteEvent("deleted"),
    )
    if not plain:
        events = (*events, pghistory.UpdateEvent("changed"))

    def track(model: type[M]) -> type[M]:
        newest = models.Index(fields=["-pgh_created_at", "-pgh_id"], name="%(class)s_newest")
        made: type[M] = pghistory.track(
            *events,
            fields=list(columns),
            context_id_field=None,  # type: ignore[arg-type]
            model_name=table or f"{model.__name__}Change",
            attrs={"columns": columns, "thing": thing, "named_by": named_by, "seen_by": seen_by},
            meta={"indexes": [newest]},
        )(model)
        return made

    return track


def by_request(request: HttpRequest, *, actor: str = "") -> AbstractContextManager[Any]:
    """Within it, changes are this request's; `say_actor` adds who it is once that is known.

    `actor` is for one that has no account here.
    """
    said = {"door": _door(request.path)}
    if actor:
        said["actor"] = actor
    if known := request_id():
        said["request"] = known
    return pghistory.context(**said)


def by_command(words: Sequence[str]) -> AbstractContextManager[Any]:
    """Within it, changes are those of a command that somebody with a shell runs."""
    command = next((word for word in words[1:] if not word.startswith("-")), Path(words[0]).name)
    return pghistory.context(
        actor=f"command line ({_account()})", kind="command", door=f"manage.py {command}"[:80]
    )


def say_actor(actor: Actor) -> None:
    """Name who the changes of this request are by; does nothing outside of one."""
    pghistory.context(actor=actor.label, kind=str(actor.kind), user=actor.user_id, token=actor.token_id)


def _door(path: str) -> str:
    return "admin" if path.startswith("/admin/") else "API" if path.startswith(("/api/", "/v2/")) else "page"


def _account() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # an id without a name, as in a container
        return "unknown"
