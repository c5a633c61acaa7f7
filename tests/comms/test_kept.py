"""The status page as Django serves it is made once for each change, and nobody sees an old one after it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from comms.publishing import kept
from comms.publishing.snapshot import write_due_snapshot
from comms.services.external import approve_message, draft_message
from core.actors import Actor
from incidents.models import Service
from tests.comms.outside import make_outside

Say = Callable[[str], None]


@pytest.fixture(autouse=True)
def files_are_kept(monkeypatch: pytest.MonkeyPatch, status_page_is_made_anew: None) -> None:
    """As outside tests."""
    monkeypatch.setattr(kept, "KEPT_SECONDS", 60.0)


@pytest.fixture
def say(shop: Service, commander: Actor, now: dt.datetime, settings: Any, tmp_path: Path) -> Say:
    """Tell users something about an incident of the component Checkout."""
    settings.VAR_DIR = tmp_path
    outside = make_outside(shop, commander, now)

    def tell(text: str) -> None:
        message = draft_message(
            incident_id=outside.incident.pk, template="external_update", title="Checkout", update_text=text,
            actor=commander, now=now,
        )  # fmt: skip
        approve_message(message_id=message.pk, actor=commander, now=now)

    tell("We look into it.")
    return tell


def test_what_did_not_change_costs_one_query(say: Say, client: Client) -> None:
    for address in ("/status/", "/status/api/v2/summary.json", "/status/feed.atom"):
        first = client.get(address)
        with CaptureQueriesContext(connection) as captured:
            again = client.get(address)
        assert len(captured) == 1, address
        assert (again.content, again["ETag"]) == (first.content, first["ETag"])
        assert b"We look into it." in again.content


def test_a_change_is_seen_at_once(say: Say, client: Client, now: dt.datetime) -> None:
    """One after the other, before it is on disk and after."""
    client.get("/status/")
    for text in ("We found the cause.", "We put it right.", "Really."):
        say(text)
        assert text.encode() in client.get("/status/").content
        assert write_due_snapshot(now=now) in (0, 1)
        assert text.encode() in client.get("/status/").content


def test_what_changes_by_itself_is_seen_after_seconds(
    say: Say, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.get("/status/")
    Service.objects.filter(public_name="Checkout").update(public_name="Till")
    assert b">Till<" not in client.get("/status/").content
    monkeypatch.setattr(kept, "KEPT_SECONDS", 0.0)
    kept._kept.clear()
    for name in ("Checkout", "Till"):
        Service.objects.filter(slug="shop").update(public_name=name)
        assert f">{name}<".encode() in client.get("/status/").content


def test_whoever_hangs_keeps_no_reader_waiting(
    say: Say, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "PATIENCE_SECONDS", 0.05)
    with kept._making["index.html"]:
        assert client.get("/status/").status_code == 200
