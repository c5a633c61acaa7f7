"""`python -m bench.live_scene ACCOUNTS`: an incident, accounts of several levels with a session each, and a token.

Prints them as one line of JSON.
"""

from __future__ import annotations

import datetime as dt
import json
import sys

import django

django.setup()

from django.conf import settings  # noqa: E402
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY  # noqa: E402
from django.contrib.auth.models import Group  # noqa: E402
from django.utils.module_loading import import_string  # noqa: E402

from core.actors import SYSTEM  # noqa: E402
from core.clock import utcnow  # noqa: E402
from core.live import spoken  # noqa: E402
from core.models import ApiToken, User  # noqa: E402
from incidents.models import Incident  # noqa: E402
from incidents.services.incidents import declare_incident  # noqa: E402

LEVELS = ("viewer", "viewer", "responder", "responder", "commander")


def _session(user: User) -> str:
    session = import_string(f"{settings.SESSION_ENGINE}.SessionStore")()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.save()
    return str(session.session_key)


def main() -> None:
    now, sessions = utcnow(), []
    for number in range(int(sys.argv[1])):
        user = User.objects.create_user(f"reader{number}")
        user.groups.add(Group.objects.get_or_create(name=LEVELS[number % len(LEVELS)])[0])
        sessions.append(_session(user))
    writer = User.objects.create_user("writer")
    writer.groups.add(Group.objects.get_or_create(name="responder")[0])
    _token, text = ApiToken.issue(
        user=writer, name="bench", scopes=["read", "write"], expires_at=now + dt.timedelta(days=1)
    )
    incident = declare_incident(actor=SYSTEM, now=now, title="Change 0 begins", severity="P3")
    # Now shows those that are due first; among all the others of the bench this one has to be on it.
    Incident.objects.filter(pk=incident.pk).update(response_due_at=now - dt.timedelta(days=3650))
    scene = {"sessions": sessions, "token": text, "ref": incident.ref}
    sys.stdout.write(json.dumps(scene | {"topic": spoken(f"incident:{incident.ref}")}) + "\n")


if __name__ == "__main__":
    main()
