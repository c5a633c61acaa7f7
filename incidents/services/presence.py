"""Being on an incident's page: said by the page itself every twenty seconds, and no event of anything."""

from __future__ import annotations

import datetime as dt

from django.db import connection, transaction

from core import live
from core.access import require
from core.actors import Actor
from core.errors import Invalid
from incidents.selectors.incident_page import get_incident
from incidents.selectors.presence import DOING, GONE_AFTER

# What is written anew: another doing at once, else no more often than this, however often a page says it.
_SEEN = """
INSERT INTO incidents_presence AS known (user_id, incident_id, doing, since, seen_at)
VALUES (%(user)s, %(incident)s, %(doing)s, %(now)s, %(now)s)
ON CONFLICT (incident_id, user_id) DO UPDATE SET doing = EXCLUDED.doing, seen_at = EXCLUDED.seen_at
 WHERE known.doing <> EXCLUDED.doing OR known.seen_at < EXCLUDED.seen_at - interval '10 seconds'
"""
_GONE = """
DELETE FROM incidents_presence AS known USING incidents_incident
 WHERE incidents_incident.id = known.incident_id AND known.seen_at < %(gone)s
RETURNING incidents_incident.ref
"""
_BEFORE = "SELECT doing FROM incidents_presence WHERE incident_id = %(incident)s AND user_id = %(user)s"


@transaction.atomic
def say_here(*, ref: str, actor: Actor, now: dt.datetime, doing: str = "") -> None:
    """The actor has the incident's page open, and in it the form of `doing` (a key of DOING, or empty).

    Who has not said so for a minute is taken off. Other pages are told only when somebody came, went or
    does something else. Raises NotFound, Invalid.
    """
    require(actor, "read")
    incident = get_incident(actor, ref)
    if doing and doing not in DOING:
        raise Invalid({"doing": "Nobody knows what that is."})
    values = {
        "user": actor.user_id,
        "incident": incident.pk,
        "doing": doing,
        "now": now,
        "gone": now - GONE_AFTER,
    }
    with connection.cursor() as cursor:
        cursor.execute(_GONE, values)
        changed = {row[0] for row in cursor.fetchall()}
        cursor.execute(_BEFORE, values)
        before = cursor.fetchone()
        cursor.execute(_SEEN, values)
    if before is None or before[0] != doing:
        changed.add(incident.ref)
    if changed:
        live.poke(*(f"presence:{each}" for each in changed))


@transaction.atomic
def say_gone(*, ref: str, actor: Actor, now: dt.datetime) -> None:
    """The actor closed the page. Raises NotFound."""
    require(actor, "read")
    incident = get_incident(actor, ref)
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM incidents_presence WHERE incident_id = %s AND user_id = %s",
            [incident.pk, actor.user_id],
        )
        if cursor.rowcount:
            live.poke(f"presence:{incident.ref}")
