"""Every event reaches its consumers, in order, and one that cannot be handled holds up nobody else."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.db import connection, transaction

from core import events, outbox
from core.actors import SYSTEM
from core.models import Event, PendingEvent
from core.models.events import StreamKind

SEEN: list[tuple[str, int]] = []
POISON: set[int] = set()


def consume(event: Event, now: dt.datetime) -> None:
    if event.pk in POISON:
        raise ValueError("cannot be handled")
    SEEN.append((event.stream.name, event.seq))


@pytest.fixture(autouse=True)
def _one_consumer(settings: Any) -> None:
    settings.EVENT_CONSUMERS = (("tests", f"{__name__}.consume", ("test.",)),)
    settings.EVENT_INTERESTS = {}
    settings.PATIENT_CONSUMERS = ()
    SEEN.clear()
    POISON.clear()


def _record(name: str, count: int, now: dt.datetime) -> list[Event]:
    stream = events.open_stream(StreamKind.SYSTEM, name)
    made = []
    for _ in range(count):
        with transaction.atomic():
            made.append(events.record(stream.pk, kind="test.happened", actor=SYSTEM, summary="", now=now))
    return made


def _make_due() -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE core_pendingevent SET due_at = clock_timestamp() - interval '1 s'")


@pytest.mark.django_db(transaction=True)
def test_events_are_handled_in_order_once(now: dt.datetime) -> None:
    _record("a", 3, now)
    assert outbox.deliver_pending(now=now) == 3
    assert outbox.deliver_pending(now=now) == 0
    assert SEEN == [("a", 1), ("a", 2), ("a", 3)]


@pytest.mark.django_db(transaction=True)
def test_a_roll_back_takes_event_and_outbox_row_with_it(now: dt.datetime) -> None:
    stream = events.open_stream(StreamKind.SYSTEM, "a")
    with pytest.raises(RuntimeError), transaction.atomic():
        events.record(stream.pk, kind="test.happened", actor=SYSTEM, summary="", now=now)
        raise RuntimeError("the change fails")
    assert not Event.objects.exists()
    assert not PendingEvent.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_poison_holds_up_its_own_stream_only_until_it_is_parked_with_an_alarm(
    now: dt.datetime,
) -> None:
    poison, _after = _record("poisoned", 2, now)
    POISON.add(poison.pk)
    _record("healthy", 2, now)
    outbox.deliver_pending(now=now)
    assert SEEN == [("healthy", 1), ("healthy", 2)]

    for _ in range(outbox.MAX_ATTEMPTS):
        _make_due()
        outbox.deliver_pending(now=now)
    assert ("poisoned", 2) in SEEN, "what stands behind a parked event goes on"
    parked = PendingEvent.objects.get(event=poison)
    assert parked.parked_at is not None
    assert "cannot be handled" in parked.last_error
    assert Event.objects.filter(kind="outbox.parked").count() == 1


def wants_nothing(kind: str) -> bool:
    return False


def cannot_say(kind: str) -> bool:
    raise KeyError(kind)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("asked", "rows"), [("wants_nothing", 0), ("cannot_say", 1)])
def test_no_row_is_written_for_who_wants_nothing(
    now: dt.datetime, settings: Any, asked: str, rows: int
) -> None:
    settings.EVENT_INTERESTS = {"tests": f"{__name__}.{asked}"}
    _record("a", 1, now)
    assert PendingEvent.objects.count() == rows


def consume_patiently(event: Event, now: dt.datetime) -> None:
    SEEN.append((f"patient {event.stream.name}", event.seq))


@pytest.mark.django_db(transaction=True)
def test_people_are_told_before_programs_however_long_those_wait(now: dt.datetime, settings: Any) -> None:
    settings.EVENT_CONSUMERS += (("programs", f"{__name__}.consume_patiently", ("test.",)),)
    settings.PATIENT_CONSUMERS = ("programs",)
    _record("storm", 2, now - dt.timedelta(minutes=5))
    _record("page", 1, now)
    assert outbox.deliver_pending(now=now) == 6
    assert SEEN == [
        ("storm", 1),
        ("storm", 2),
        ("page", 1),
        ("patient storm", 1),
        ("patient storm", 2),
        ("patient page", 1),
    ]
