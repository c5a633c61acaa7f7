"""Setting up what channels need: accounts and tokens, sealed before they are stored."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from django.db import transaction
from pydantic import ValidationError

from comms.facts import Connection
from comms.models import ConnectionSettings
from comms.selectors.connections import connection_model
from core import encryption, events
from core.access import require
from core.actors import Actor
from core.errors import Conflict, Invalid

ANY: Any = object()  # whatever there is; None is nothing


@transaction.atomic
def set_connection(
    *,
    name: str,
    settings: Mapping[str, Any],
    actor: Actor,
    now: dt.datetime,
    replaces: dt.datetime | None = ANY,
) -> None:
    """Keep the settings of a connection, instead of those it had. The event says that, never what.

    `replaces` is when it was set up as far as the person saw, None for never. Raises NotFound for a name
    that no channel has, Conflict where it was set up since, and Invalid, which names fields and quotes no
    value.
    """
    require(actor, "administer")
    checked = check_settings(name, settings)
    if replaces is not ANY:
        row = ConnectionSettings.objects.select_for_update().filter(name=name).first()
        if (row.changed_at if row else None) != replaces:
            raise Conflict(f"The connection {name} was set up by somebody else just now. Look again.")
    ConnectionSettings.objects.update_or_create(
        name=name,
        defaults={
            "sealed": encryption.encrypt(_plain(checked)),
            "changed_at": now,
            "changed_by": actor.label[:200],
        },
    )
    _record("connection.changed", f"The connection {name} was set up", name, actor, now)


@transaction.atomic
def remove_connection(*, name: str, actor: Actor, now: dt.datetime) -> None:
    """Forget the settings: the channels that use them write to files again. Without any, nothing happens."""
    require(actor, "administer")
    deleted, _rows = ConnectionSettings.objects.filter(name=name).delete()
    if deleted:
        _record("connection.removed", f"The connection {name} was removed", name, actor, now)


@transaction.atomic
def connections() -> int:
    """Seal every connection anew with the first key; returns how many. All of them or none."""
    done = 0
    for row in ConnectionSettings.objects.select_for_update():
        row.sealed = encryption.reencrypt(row.sealed)
        row.save(update_fields=["sealed"])
        done += 1
    return done


def check_settings(name: str, settings: Mapping[str, Any]) -> Connection:
    """The settings as the connection's own model; raises NotFound and Invalid."""
    try:
        return connection_model(name).model_validate(dict(settings))
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_context=False, include_input=False)
        raise Invalid({_field(one["loc"]): _said(one["msg"]) for one in wrong}) from None


def _field(location: tuple[int | str, ...]) -> str:
    return str(location[0])[:60] if location else "settings"


def _said(text: str) -> str:
    text = text.removeprefix("Value error, ")
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith('.') else '.'}"


def _plain(settings: Connection) -> str:
    """As JSON with its secrets, which no other serialization of the model shows."""
    return settings.model_dump_json(context={"secrets": True})


def _record(kind: str, summary: str, name: str, actor: Actor, now: dt.datetime) -> None:
    events.record(
        events.system_stream().pk,
        kind=kind,
        actor=actor,
        now=now,
        summary=summary,
        data={"connection": name},
    )
