"""Commands on second factors: what an administrator or a shell does for a person who lost theirs."""

from __future__ import annotations

import datetime as dt

from allauth.mfa.models import Authenticator
from django.db import transaction

from core import events
from core.access import require
from core.actors import Actor
from core.assurance import require_assurance
from core.errors import NotAllowed, NotFound
from core.models import User


@transaction.atomic
def remove_second_factors(*, username: str, actor: Actor, now: dt.datetime) -> int:
    """Remove all of an account's second factors and recovery codes; returns how many there were.

    Its sessions end with the last one, by the database. It opens an account to whoever knows the password,
    so a person must prove who they are as for any decision. Raises NotAllowed and NotFound.
    """
    require(actor, "administer")
    if not actor.is_machine:
        if not actor.is_person:
            raise NotAllowed("Only a person removes second factors, never a token.")
        require_assurance(actor, now)
    owner = User.objects.select_for_update(no_key=True).filter(username=username).first()
    if owner is None:
        raise NotFound(f"There is no account {username}.")
    types = sorted(Authenticator.objects.filter(user=owner).values_list("type", flat=True))
    if not types:
        return 0
    Authenticator.objects.filter(user=owner).delete()
    events.record(
        events.system_stream().pk,
        kind="account.second_factors_removed",
        actor=actor,
        summary=f"Second factors of {username} removed by {actor.label}",
        now=now,
        data={"account": username, "types": types},
    )
    return len(types)
