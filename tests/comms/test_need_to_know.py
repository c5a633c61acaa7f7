"""A restricted incident leaves as its code name, by every way, but to those who may see it."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core import mail

from comms.deliveries import send_due_deliveries
from comms.models import Contact, Delivery, Message
from comms.selectors.connections import _TO_FILES
from comms.states import ASKING
from core.actors import SYSTEM, Actor
from core.models import User
from core.outbox import deliver_pending
from incidents.models import Incident
from incidents.services.incidents import declare_incident, post_update, resolve_incident
from incidents.services.people import assign_role

pytestmark = pytest.mark.django_db(transaction=True)
CANARY = "CaNaRy"
SEE_IT = {"ida", "rae"}  # a commander, and a responder who is on it


@pytest.fixture
def out(settings: Any, tmp_path: Path) -> Path:
    """Mails in memory, everything else in files."""
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    settings.VAR_DIR = tmp_path
    mail.outbox = []
    return tmp_path


@pytest.fixture
def secret(commander: Actor, make_user: Callable[..., User], now: dt.datetime) -> Incident:
    """Told to five people of the same audience, of whom two may see it."""
    make_user("rae", "responder", "technical_lead")
    make_user("vic", "viewer")
    make_user("gone", "commander")
    User.objects.filter(username="gone").update(is_active=False)
    for number, name in enumerate(("ida", "rae", "vic", "gone", "outsider")):
        Contact.objects.create(
            name=name, email=f"{name}@example.test", phone=f"+1555000000{number}", chat=f"U00000000{number}",
            audiences=["technical_team"], user=User.objects.filter(username=name).first(),
            reach=["sms", "chat", "email"],
        )  # fmt: skip
    incident = declare_incident(
        actor=commander, now=now, title=f"{CANARY} title", description=f"{CANARY} description",
        impact=f"{CANARY} impact", severity="P1", kind="security", security_level=2, restricted=True,
    )  # fmt: skip
    assign_role(incident_id=incident.pk, role="technical_lead", username="rae", actor=SYSTEM, now=now)
    return incident


def mails() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for letter in mail.outbox:
        whole = f"{letter.subject}\n{letter.body}\n{getattr(letter, 'alternatives', '')}"
        found.setdefault(letter.to[0].split("@")[0], []).append(f"{whole}\n{letter.extra_headers}")
    return found


def test_only_those_who_may_see_it_are_told_more_than_its_code_name(
    secret: Incident, out: Path, commander: Actor, now: dt.datetime
) -> None:
    post_update(incident_id=secret.pk, message=f"{CANARY} update", actor=commander, now=now)
    resolve_incident(incident_id=secret.pk, resolution=f"{CANARY} end", actor=commander, now=now)
    deliver_pending(now=now)
    send_due_deliveries(now=now)
    assert {"incident_update", "incident_resolved"} <= set(Message.objects.values_list("template", flat=True))
    letters = mails()
    assert set(letters) == {"ida", "rae", "vic", "gone", "outsider"}
    for name, texts in letters.items():
        for text in texts:
            assert (CANARY in text) == (name in SEE_IT), f"{name}: {text}"
            assert (secret.code_name in text) == (name not in SEE_IT)
            assert f"/incidents/{secret.ref}/" in text
    rooms = (out / "outbox" / "slack.jsonl").read_text()
    assert secret.code_name in rooms
    assert CANARY not in rooms, "anybody may be in a room, also in the security team's"


def test_what_rings_says_no_more(secret: Incident, out: Path, settings: Any, now: dt.datetime) -> None:
    """A page takes each person's first way; a room is told; both are asked to acknowledge."""
    settings.EMAIL_BACKEND = _TO_FILES  # no way is set up: then their own order decides, SMS first
    settings.EMAIL_FILE_PATH = str(out / "mail")
    deliver_pending(now=now)
    send_due_deliveries(now=now)
    assert Message.objects.get().template in ASKING
    told = {delivery.recipient for delivery in Delivery.objects.filter(state="sent")}
    assert {"+15550000000", "+15550000004", "incident_response"} <= told
    lines = "".join(path.read_text() for path in (out / "outbox").iterdir()).splitlines()
    seen = {number: line for line in lines for number in re.findall(r"\+1555000000(\d)", line)}
    assert set(seen) == set("01234")
    for number, line in seen.items():
        assert (CANARY in line) == (number in "01")
        assert (secret.code_name in line) == (number not in "01")
        assert "/a/" in line, "their own link acknowledges"


def test_an_incident_that_became_restricted_meanwhile_is_a_code_name(
    commander: Actor, out: Path, now: dt.datetime
) -> None:
    Contact.objects.create(name="ann", email="ann@example.test", audiences=["technical_team"])
    incident = declare_incident(actor=commander, now=now, title=f"{CANARY} title", severity="P1")
    deliver_pending(now=now)
    Incident.objects.update(restricted=True)
    send_due_deliveries(now=now)
    (letter,) = mails()["ann"]
    assert CANARY not in letter
    assert incident.code_name in letter


def test_nobody_is_kept_from_what_is_not_restricted(commander: Actor, out: Path, now: dt.datetime) -> None:
    Contact.objects.create(name="ann", email="ann@example.test", audiences=["technical_team"])
    declare_incident(actor=commander, now=now, title=f"{CANARY} title", severity="P1")
    deliver_pending(now=now)
    send_due_deliveries(now=now)
    (letter,) = mails()["ann"]
    assert CANARY in letter


def test_a_drill_says_so_first(
    commander: Actor, make_user: Callable[..., User], out: Path, now: dt.datetime
) -> None:
    """Who takes part is told; who has left since, as little as of anything restricted."""
    ann = make_user("ann", "responder")
    Contact.objects.create(name="ann", email="ann@example.test", user=ann)
    incident = declare_incident(
        actor=commander, now=now, title=CANARY, severity="P1", restricted=True, drill=True
    )
    incident.responders.create(user=ann, since=now, added_by="ida")
    deliver_pending(now=now)
    incident.responders.filter(user=ann).update(until=now)
    send_due_deliveries(now=now)
    (letter,) = mails()["ann"]
    assert letter.startswith("DRILL · RESTRICTED-")
    assert CANARY not in letter
