"""Old rows go in small batches; nothing else goes, nobody waits, two runs share the work."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable

import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.utils.module_loading import import_string

from comms.models import WebhookAttempt, WebhookDelivery, WebhookEndpoint
from comms.retention import WEBHOOK_ATTEMPTS, WEBHOOK_DELIVERIES
from core import retention
from core.models import ApiToken, Event, Heartbeat, Process, User
from core.selectors.changes import history_models
from incidents.models import Alert, InboundDelivery, Incident, Monitor, RollupMark, Sample, Service
from rollbacks.models import Rollback, RollbackStep, StepOutput
from tests.conftest import make_service
from tests.pages.conftest import watch

DAY = dt.timedelta(days=1)


def add_samples(monitor: Monitor, count: int, at: dt.datetime) -> None:
    Sample.objects.bulk_create(
        Sample(monitor=monitor, at=at + dt.timedelta(seconds=n), outcome="ok", value=0.1, level="ok")
        for n in range(count)
    )


@pytest.fixture
def full(shop: Service, incident: Incident, now: dt.datetime, make_user: Callable[..., User]) -> Monitor:
    """Something old and something new in every table that is forgotten."""
    monitor = watch("shop", now)
    add_samples(monitor, 5, now - 4 * DAY)
    add_samples(monitor, 3, now - 2 * DAY)
    RollupMark.objects.create(rolled_up_to=now)
    user = make_user("ada")
    for age in (3, 1 / 2):
        at = now - age * DAY
        with connection.cursor() as cursor:
            cursor.execute("INSERT INTO core_cache VALUES (%s, '', %s)", [f"k{age}", at])
            cursor.execute("INSERT INTO django_session VALUES (%s, '', %s)", [f"s{age}", at])
    for component, age in (("gone", 8), ("here", 0)):
        Heartbeat.objects.create(component=component, host="h", beat_at=now - age * DAY)
        Process.objects.create(
            name="web", host=component, pid=1, started_at=now - 9 * DAY, beat_at=now - age * DAY
        )
    for name, age in (("ancient", 366), ("ended", 3)):
        ApiToken.issue(user=user, name=name, scopes=["read"], expires_at=now - age * DAY)
    for number, age in enumerate((366, 364)):
        at = now - age * DAY
        Alert.objects.create(
            source="api", sender=user, fingerprint=str(number), title="x", status="resolved", starts_at=at, ends_at=at,
            received_at=at, last_seen_at=at,
        )  # fmt: skip
    long_ago = now - 400 * DAY  # what fires is never old, and what is parked waits for a person
    Alert.objects.create(
        source="api",
        sender=user,
        fingerprint="x",
        title="x",
        starts_at=long_ago,
        received_at=now,
        last_seen_at=now,
    )
    for done in (now - 8 * DAY, now - 6 * DAY, None):
        InboundDelivery.objects.create(
            kind="event", sender=user, token="t", label="l", body="{}", size=2, received_at=now, due_at=now,
            processed_at=done, parked_at=None if done else long_ago,
        )  # fmt: skip
    for number, age in enumerate((91, 89)):
        add_output(incident, number, now - age * DAY)
    return monitor


def add_output(incident: Incident, number: int, at: dt.datetime) -> None:
    """One piece of what the only step said of a rollback that ended then."""
    rollback = Rollback.objects.create(
        ref=f"RB-{number}", incident=incident, service=Service.objects.get(slug="shop"), state="succeeded",
        from_version="2.0.0", target_version="1.9.0", expected_duration_seconds=60, requested_at=at, completed_at=at,
    )  # fmt: skip
    step = RollbackStep.objects.create(rollback=rollback, position=1, key="switch")
    StepOutput.objects.create(step=step, attempt=1, start=0, end=4, raw_end=4, text="said")


def left() -> dict[str, int]:
    tables = ("core_cache", "django_session", "core_heartbeat", "core_process", "core_apitoken")
    with connection.cursor() as cursor:
        found = {}
        for table in (
            *tables,
            "incidents_sample",
            "rollbacks_stepoutput",
            "incidents_alert",
            "incidents_inbounddelivery",
        ):
            cursor.execute(f"SELECT count(*) FROM {table}")
            found[table] = cursor.fetchone()[0]
    return found


def test_the_old_goes_and_the_new_stays(full: Monitor, now: dt.datetime) -> None:
    events, before = Event.objects.count(), left()
    counted = {entry.name: entry.rows for entry in retention.run(now=now, dry_run=True)}
    assert left() == before  # a dry run only counts
    done = {entry.name: entry.rows for entry in retention.run(now=now)}
    assert done == counted | {"admin log": 0}
    assert counted == {
        "samples": 5, "rollups": 0, "output": 1, "sessions": 1, "cache": 1, "heartbeats": 1, "processes": 1, "tokens": 1,
        "admin log": 0, "inbound": 1, "alerts": 1, "webhook attempts": 0, "webhook deliveries": 0,
        "unconfirmed subscriptions": 0, "status days": 0,
    }  # fmt: skip
    assert {table: before[table] - count for table, count in left().items()} == {
        "core_cache": 1, "django_session": 1, "core_heartbeat": 1, "core_process": 1, "core_apitoken": 1, "incidents_sample": 5, "rollbacks_stepoutput": 1,
        "incidents_alert": 1, "incidents_inbounddelivery": 1,
    }  # fmt: skip
    assert Event.objects.count() == events
    assert retention.forget_old(now=now) == 0


def test_zero_days_keep_for_ever(full: Monitor, now: dt.datetime, settings: object) -> None:
    settings.RETENTION_SAMPLES_DAYS = 0  # type: ignore[attr-defined]
    entries = {entry.name: entry for entry in retention.run(now=now)}
    assert entries["samples"].rows == 0
    assert entries["samples"].before is None
    assert Sample.objects.filter(monitor=full).count() == 9


def test_never_the_timeline_nor_the_history() -> None:
    forgotten = {
        getattr(import_string(path), "table", "incidents_sample")
        for _name, path, _setting in settings.RETENTION
    }
    kept = {"core_event", "core_stream", "comms_message", "comms_delivery"}
    assert not forgotten & (kept | {model._meta.db_table for model in history_models()})


def test_it_stops_between_batches_and_goes_on(
    full: Monitor, now: dt.datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "BATCH", 2)
    first = next(retention.run(now=now, seconds=0.01))
    assert (first.rows, first.finished) == (2, False)
    rest = next(retention.run(now=now))
    assert (rest.rows, rest.finished) == (3, True)


def test_the_command(full: Monitor, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("retention", "--dry-run")
    assert "5 would be forgotten" in capsys.readouterr().out
    call_command("retention")
    assert "5 forgotten" in capsys.readouterr().out


@pytest.mark.django_db(transaction=True)
def test_rows_that_somebody_holds_are_skipped_and_two_runs_share_the_rest(now: dt.datetime) -> None:
    make_service("shop", now)
    monitor = watch("shop", now)
    add_samples(monitor, 3_000, now - 40 * DAY)
    RollupMark.objects.create(rolled_up_to=now)
    held = list(
        Sample.objects.filter(monitor=monitor, at__lt=now - 30 * DAY).values_list("pk", flat=True)[:100]
    )
    holding, release = threading.Event(), threading.Event()
    rows: list[int] = []

    def hold() -> None:
        with connection.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute("SELECT FROM incidents_sample WHERE id = ANY(%s) FOR UPDATE", [held])
            holding.set()
            release.wait(30)
            cursor.execute("ROLLBACK")
        connection.close()

    def forget() -> None:
        rows.append(next(retention.run(now=now)).rows)
        connection.close()

    holder = threading.Thread(target=hold)
    holder.start()
    assert holding.wait(30)
    runs = [threading.Thread(target=forget) for _ in range(2)]
    for thread in runs:
        thread.start()
    for thread in runs:
        thread.join(30)
    assert not any(thread.is_alive() for thread in runs)  # nobody waited for the held rows
    assert sum(rows) == 2_900
    release.set()
    holder.join()
    assert next(retention.run(now=now)).rows == 100


@pytest.mark.django_db
def test_attempts_of_webhooks_go_before_their_deliveries_and_what_waits_stays(now: dt.datetime) -> None:
    old = now - 40 * DAY
    endpoint = WebhookEndpoint.objects.create(url="http://1.1.1.1/", not_before=now, created_at=old)
    for finished in (old, now, None):
        delivery = WebhookDelivery.objects.create(
            endpoint=endpoint, kind="x", created_at=old, due_at=old, finished_at=finished
        )
        WebhookAttempt.objects.create(delivery=delivery, at=finished or old, milliseconds=1)
    before = now - 30 * DAY
    assert WEBHOOK_DELIVERIES.forget(before, 100) == 0, "its attempt is there still"
    assert WEBHOOK_ATTEMPTS.forget(before, 100) == 2
    assert WEBHOOK_DELIVERIES.forget(before, 100) == 1
    assert set(WebhookDelivery.objects.values_list("finished_at", flat=True)) == {now, None}
