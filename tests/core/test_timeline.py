"""The timeline cannot be changed by the application, and whoever changes it otherwise is seen."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import pytest
from django.db import ProgrammingError, connection, transaction

from core import events
from core.actors import SYSTEM
from core.models import Event, Stream
from core.models.events import StreamKind
from core.verification import verify_stream

AsOwner = Callable[[Callable[[], None]], None]


@pytest.fixture
def stream(transactional_db: None, now: dt.datetime) -> Stream:
    """Five events on one stream."""
    stream = events.open_stream(StreamKind.SYSTEM, "under-test")
    for number in range(1, 6):
        with transaction.atomic():
            events.record(
                stream.pk,
                kind="test.happened",
                actor=SYSTEM,
                summary=f"event {number}",
                now=now,
                data={"n": number},
            )
    return stream


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE core_event SET summary = 'nothing happened'",
        "DELETE FROM core_event",
        "TRUNCATE core_event CASCADE",
        "ALTER TABLE core_event DISABLE TRIGGER ALL",
        "ALTER TABLE core_event DISABLE TRIGGER events_are_append_only",
        "DROP TRIGGER events_are_append_only ON core_event",
        "DROP TABLE core_event CASCADE",
        "SET session_replication_role = replica",
    ],
)
def test_the_application_may_only_append(stream: Stream, statement: str) -> None:
    with (
        pytest.raises(ProgrammingError, match=r"permission denied|must be owner"),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)
    assert Event.objects.filter(stream=stream).count() == 5


@pytest.mark.parametrize(
    "statement",
    ["UPDATE core_event SET summary = ''", "DELETE FROM core_event", "TRUNCATE core_event CASCADE"],
)
def test_even_the_owner_is_refused_by_the_triggers(stream: Stream, as_owner: AsOwner, statement: str) -> None:
    def attempt() -> None:
        with pytest.raises(ProgrammingError, match="append-only"), connection.cursor() as cursor:
            cursor.execute(statement)

    as_owner(attempt)


def _tamper(as_owner: AsOwner, *statements: str) -> None:
    """What an intruder with the owner's rights can do."""

    def work() -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("ALTER TABLE core_event DISABLE TRIGGER USER")
            cursor.execute("SET CONSTRAINTS ALL DEFERRED")
            cursor.execute("DELETE FROM core_pendingevent")  # they have been handled
            for statement in statements:
                cursor.execute(statement)
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            cursor.execute("ALTER TABLE core_event ENABLE TRIGGER USER")

    as_owner(work)


def test_an_untouched_stream_verifies(stream: Stream) -> None:
    assert verify_stream("under-test") == (1, [])


@pytest.mark.parametrize(
    ("tampering", "statements"),
    [
        ("edited summary", ["UPDATE core_event SET summary = 'all is well' WHERE seq = 3"]),
        ("edited data", ["UPDATE core_event SET data = '{\"n\": 99}' WHERE seq = 3"]),
        ("edited time", ["UPDATE core_event SET occurred_at = occurred_at - interval '1 hour' WHERE seq = 2"]),
        ("deleted", ["DELETE FROM core_event WHERE seq = 3"]),
        ("deleted and renumbered", ["DELETE FROM core_event WHERE seq = 3", "UPDATE core_event SET seq = 3 WHERE seq = 4", "UPDATE core_event SET seq = 4 WHERE seq = 5"]),
        ("inserted", [
            "UPDATE core_event SET seq = 6 WHERE seq = 5",
            "INSERT INTO core_event (stream_id, seq, kind, occurred_at, recorded_at, actor_kind, actor, source, summary, data, canonical, hash)"
            " SELECT stream_id, 5, kind, occurred_at, recorded_at, actor_kind, actor, source, 'forged', data, canonical, hash FROM core_event WHERE seq = 4",
        ]),
        ("swapped", ["UPDATE core_event SET seq = 99 WHERE seq = 2", "UPDATE core_event SET seq = 2 WHERE seq = 3", "UPDATE core_event SET seq = 3 WHERE seq = 99"]),
        ("tail cut off", ["DELETE FROM core_event WHERE seq >= 4"]),
        ("everything cut off", ["DELETE FROM core_event"]),
    ],
)  # fmt: skip
def test_tampering_shows(stream: Stream, as_owner: AsOwner, tampering: str, statements: list[str]) -> None:
    _tamper(as_owner, *statements)
    _checked, problems = verify_stream("under-test")
    assert problems, f"{tampering} went unseen"


def test_a_rehashed_forgery_breaks_the_chain(stream: Stream, as_owner: AsOwner) -> None:
    """Somebody who recomputes one row's own hash still cannot fit it between its neighbours."""
    event = Event.objects.get(stream=stream, seq=3)
    event.summary = "forged"
    event.canonical = events.canonical_bytes(
        event, previous_hash=Event.objects.get(stream=stream, seq=2).hash
    )
    import hashlib

    digest = hashlib.sha256(event.canonical).hexdigest()
    _tamper(
        as_owner,
        f"UPDATE core_event SET summary = 'forged', hash = '{digest}', canonical = '\\x{bytes(event.canonical).hex()}' WHERE seq = 3",
    )
    _checked, problems = verify_stream("under-test")
    assert problems and "event 4" in problems[0]


def test_an_event_needs_the_transaction_of_its_change(transactional_db: None, now: dt.datetime) -> None:
    stream = events.open_stream(StreamKind.SYSTEM, "outside")
    with pytest.raises(AssertionError, match="transaction"):
        events.record(stream.pk, kind="test.happened", actor=SYSTEM, summary="", now=now)


def test_data_holds_no_floats(stream: Stream, now: dt.datetime) -> None:
    with pytest.raises(TypeError, match="float"), transaction.atomic():
        events.record(stream.pk, kind="test.happened", actor=SYSTEM, summary="", now=now, data={"ratio": 0.1})
