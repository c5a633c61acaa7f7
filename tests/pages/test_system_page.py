"""The page "Firebreak itself", the banner, and what an administrator does there."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from core import health, heartbeats
from core.actors import Actor, actor_for_token, actor_for_user
from core.errors import NotAllowed
from core.models import ApiToken, Event, PendingEvent, Process, User
from core.operation import broker
from core.operation.facts import Trouble
from core.operation.forget import forget_process
from core.operation.parked import NothingParked, retry_parked
from core.operation.snapshot import write_snapshot
from incidents.models import Incident
from tests.api.conftest import issue
from tests.pages.conftest import SignIn
from tests.pages.test_reading import count_queries, visible_text

pytestmark = pytest.mark.django_db
NAMES = ("web", "checks", "comms", "runner", "beat", "watchdog")
SECRET_ERROR = "ValueError: the title of the restricted incident"


def alive(name: str, *, host: str = "alpha", ago: float = 2, playbook: str = "a" * 64) -> Process:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO core_process (name, host, pid, version, playbook_digest, started_at, beat_at, skew_seconds,"
            " disk_free_ratio) VALUES (%s, %s, 7, '0.1.0+abc', %s, now() - interval '1 h',"
            " clock_timestamp() - make_interval(secs => %s), 0.01, 0.5) RETURNING id",
            [name, host, playbook, ago],
        )
        return Process.objects.get(pk=cursor.fetchone()[0])


@pytest.fixture
def all_well(settings: Any) -> None:
    for name in NAMES:
        alive(name)
    for name, _function, _seconds in settings.SWEEPS:
        heartbeats.beat(f"sweep:{name}", seconds=0.012)


@pytest.fixture
def parked(incident: Incident, now: dt.datetime) -> PendingEvent:
    """The first event of an incident could not be routed."""
    PendingEvent.objects.all().delete()
    event = Event.objects.filter(stream=incident.stream).order_by("seq")[0]
    return PendingEvent.objects.create(
        event=event, consumer="comms.routing", stream=event.stream, seq=event.seq,
        attempts=8, due_at=now, parked_at=now, last_error=SECRET_ERROR,
    )  # fmt: skip


@pytest.fixture
def root(sign_in: SignIn) -> Client:
    return sign_in("root", "administrator")


def test_an_empty_installation_teaches(sign_in: SignIn) -> None:
    page = sign_in("vic", "viewer").get("/system/")
    assert page.status_code == 200
    text = visible_text(page.content.decode())
    for name in NAMES:
        assert f"{name} is not running" in text
    assert "Set HEARTBEAT_URL" in text
    assert "docs/runbooks/workers-stopped.md" in text
    assert not re.search(r"\bNone\b(?! due)", text)


def test_all_well_says_so(sign_in: SignIn, all_well: None) -> None:
    text = visible_text(sign_in("vic", "viewer").get("/system/").content.decode())
    assert "All well" in text
    assert "What is wrong" not in text
    assert "12 ms" in text


def test_silent_processes_stand_on_top(sign_in: SignIn, all_well: None) -> None:
    Process.objects.all().delete()
    for name in NAMES:
        alive(name, ago=47)
    text = visible_text(sign_in("vic", "viewer").get("/system/").content.decode())
    for name in NAMES:
        assert re.search(rf"{name} has gone silent\s+Its last sign of life came \d+ s ago", text)


def test_queues_of_a_broker_that_is_away_are_unknown(
    sign_in: SignIn, all_well: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.operation.page.queue_lengths", lambda: ({}, "It cannot be reached"))
    text = visible_text(sign_in("vic", "viewer").get("/system/").content.decode())
    assert text.count("unknown") == len(broker.queue_names())
    assert "The broker is away" in text


def test_another_playbook_is_a_warning(sign_in: SignIn, all_well: None) -> None:
    alive("runner", host="beta", playbook="b" * 64)
    text = visible_text(sign_in("vic", "viewer").get("/system/").content.decode())
    assert "runner on beta has another playbook than web" in text
    assert "docs/runbooks/playbook-mismatch.md" in text


def test_the_page_costs_the_same_however_much_is_wrong(
    root: Client, all_well: None, parked: PendingEvent, django_assert_num_queries: Any, now: dt.datetime
) -> None:
    price = count_queries(root, "/system/")
    for number in range(10):
        alive("checks", host=f"host{number}", ago=100)
        PendingEvent.objects.create(
            event=parked.event,
            consumer=f"tests.{number}",
            stream=parked.stream,
            seq=1,
            due_at=now,
            parked_at=now,
        )
    with django_assert_num_queries(price):
        root.get("/system/")
    assert price <= 21


def test_it_renders_again_by_itself(root: Client, all_well: None) -> None:
    page = root.get("/system/").content.decode()
    assert 'id="panel-all" data-live-topics="system"' in page
    fragment = root.get("/system/?panel=all", headers={"HX-Request": "true"}).content.decode().strip()
    assert fragment.startswith("<div")
    assert "<html" not in fragment
    assert "style=" not in page


def test_nobody_without_a_level_reads_it(sign_in: SignIn) -> None:
    assert Client().get("/system/").status_code == 302
    assert Client().get("/system/banners/").status_code == 302
    assert sign_in("nobody", "").get("/system/").status_code == 403
    assert sign_in("vic", "viewer").get("/system/?panel=nope").status_code == 404


# --- parked events ---------------------------------------------------------------------------------


def test_errors_of_parked_events_are_for_those_who_may_see_every_incident(
    sign_in: SignIn, parked: PendingEvent, incident: Incident
) -> None:
    seen = sign_in("vic", "viewer").get("/system/").content.decode()
    assert "incident.declared" in seen
    assert SECRET_ERROR not in seen
    assert incident.ref not in seen
    assert "/system/parked/retry/" not in seen
    assert SECRET_ERROR not in sign_in("com", "commander").get("/system/").content.decode()
    assert SECRET_ERROR in sign_in("root", "administrator").get("/system/").content.decode()


def test_an_administrator_retries_one(root: Client, parked: PendingEvent) -> None:
    assert root.post("/system/parked/retry/", {"pending": parked.pk}).status_code == 302
    parked.refresh_from_db()
    assert (parked.parked_at, parked.attempts) == (None, 0)
    event = Event.objects.get(kind="outbox.retried")
    assert (event.actor, event.data["events"]) == ("root", [parked.event_id])
    assert root.post("/system/parked/retry/", {"pending": parked.pk}).status_code == 409


def test_all_at_once_without_javascript(root: Client, parked: PendingEvent, now: dt.datetime) -> None:
    PendingEvent.objects.create(
        event=parked.event, consumer="tests", stream=parked.stream, seq=1, due_at=now, parked_at=now
    )
    assert root.get("/system/parked/retry/").status_code == 200
    assert root.post("/system/parked/retry/").status_code == 302
    assert not PendingEvent.objects.filter(parked_at__isnull=False).exists()


def test_nonsense_is_refused(root: Client, parked: PendingEvent) -> None:
    for pending in ("0", "-1", "x", "9" * 30):
        assert root.post("/system/parked/retry/", {"pending": pending}).status_code == 422
    assert PendingEvent.objects.filter(parked_at__isnull=False).count() == 1


def test_nobody_else_retries(sign_in: SignIn, parked: PendingEvent) -> None:
    for level in ("viewer", "responder", "commander"):
        browser = sign_in(f"max-{level}", level)
        assert browser.post("/system/parked/retry/", {"pending": parked.pk}).status_code == 403
    parked.refresh_from_db()
    assert parked.parked_at is not None


def test_no_token_retries(make_user: Any, parked: PendingEvent, now: dt.datetime) -> None:
    user: User = make_user("root", "administrator")
    issue(user, "read", "write")
    with pytest.raises(NotAllowed):
        retry_parked(actor=actor_for_token(ApiToken.objects.get()), now=now)
    PendingEvent.objects.update(parked_at=None)
    with pytest.raises(NothingParked):
        retry_parked(actor=actor_for_user(user), now=now)


# --- forgetting ------------------------------------------------------------------------------------


def test_a_process_that_will_not_come_back_is_forgotten(root: Client, all_well: None) -> None:
    gone, here = alive("checks", host="old", ago=3600), Process.objects.get(name="web")
    assert f"/system/processes/{gone.pk}/forget/" in root.get("/system/").content.decode()
    assert root.get(f"/system/processes/{gone.pk}/forget/").status_code == 200
    assert root.post(f"/system/processes/{gone.pk}/forget/").status_code == 302
    assert not Process.objects.filter(pk=gone.pk).exists()
    assert Event.objects.get(kind="process.forgotten").data["host"] == "old"
    assert root.post(f"/system/processes/{here.pk}/forget/").status_code == 409
    assert root.post(f"/system/processes/{gone.pk}/forget/").status_code == 404


def test_only_administrators_forget(commander: Actor, now: dt.datetime) -> None:
    gone = alive("checks", ago=3600)
    with pytest.raises(NotAllowed):
        forget_process(process_id=gone.pk, actor=commander, now=now)
    assert Process.objects.exists()


# --- banners ---------------------------------------------------------------------------------------

TROUBLE = Trouble("x", "critical", "comms has gone silent", "For a minute.", "workers-stopped", True)


def test_the_banner_says_what_is_wrong_and_leads_to_the_page(sign_in: SignIn) -> None:
    write_snapshot((TROUBLE, *(Trouble(f"{n}", "warning", f"More {n}", "") for n in range(3))), by="tests")
    page = sign_in("vic", "viewer").get("/services/").content.decode()
    assert "comms has gone silent" in page
    assert 'href="/system/"' in page
    assert "And 2 more" in page
    assert 'data-live-topics="banners"' in page


def test_recovery_is_shown_and_passes(django_assert_num_queries: Any) -> None:
    write_snapshot((TROUBLE,), by="tests")
    write_snapshot((), by="tests")
    with django_assert_num_queries(1):
        (banner,) = health.banners()
    assert (banner.level, banner.text) == ("ok", "Firebreak itself is well again")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE core_healthsnapshot SET troubled_at = now() - interval '10 min'")
    assert health.banners() == ()


def test_nobody_looking_is_itself_a_trouble() -> None:
    assert [banner.level for banner in health.banners()] == ["critical"]
    write_snapshot((), by="tests")
    assert health.banners() == ()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE core_healthsnapshot SET taken_at = now() - interval '50 s'")
    (banner,) = health.banners()
    assert "50 s ago" in banner.detail


def test_the_banner_renders_by_itself(sign_in: SignIn) -> None:
    write_snapshot((TROUBLE,), by="tests")
    fragment = sign_in("vic", "viewer").get("/system/banners/").content.decode().strip()
    assert fragment.startswith("<div")
    assert "comms has gone silent" in fragment
