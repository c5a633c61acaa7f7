"""Forgetting a process that will not come back: its host was switched off for good."""

from __future__ import annotations

import datetime as dt

from django.db import transaction

from core import events
from core.access import require
from core.actors import Actor
from core.errors import Conflict, NotFound
from core.models import Process
from core.operation.gather import list_processes
from core.operation.rules import is_silent


class ProcessAlive(Conflict):
    """It shows signs of life, so there is nothing to forget."""

    code = "process_alive"


@transaction.atomic
def forget_process(*, process_id: int, actor: Actor, now: dt.datetime) -> str:
    """Remove a silent process from what is watched; returns its name. Administrators only."""
    require(actor, "administer")
    facts = next((process for process in list_processes() if process.pk == process_id), None)
    if facts is None:
        raise NotFound("No such process.")
    if not is_silent(facts):
        raise ProcessAlive(f"{facts.name} on {facts.host} shows signs of life: stop it first.")
    Process.objects.filter(pk=process_id).delete()
    events.record(
        events.system_stream().pk,
        kind="process.forgotten",
        actor=actor,
        summary=f"{facts.name} on {facts.host} (process {facts.pid}) is no longer watched",
        now=now,
        data={"process": facts.name, "host": facts.host, "pid": facts.pid},
    )
    return f"{facts.name} on {facts.host}"
