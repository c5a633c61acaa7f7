"""Setting up what channels need: accounts and tokens, sealed before they are stored."""

from __future__ import annotations

import datetime as dt

from django.db import transaction

from comms.facts import Connection
from comms.models import ConnectionSettings
from core import encryption, events
from core.access import require
from core.actors import Actor


@transaction.atomic
def set_connection(*, name: str, settings: Connection, actor: Actor, now: dt.datetime) -> None:
    """Keep the settings of a connection, instead of those it had. The event says that, never what."""
    require(actor, "administer")
    ConnectionSettings.objects.update_or_create(
        name=name,
        defaults={
            "sealed": encryption.encrypt(_plain(settings)),
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
