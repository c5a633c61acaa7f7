"""Due work: each kind is found, by an index of what is due, and all of it is counted by one statement."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import connection, models
from django.utils.module_loading import import_string

from comms.models import Delivery, EscalationClock, StatusSnapshot, Subscriber, WebhookDelivery
from core.actors import Actor
from core.clock import utcnow
from core.models import Event, PendingEvent
from core.operation.facts import DueWork, Trouble
from core.operation.gather import DueWorkUncounted, list_due_work
from core.operation.rules import judge
from incidents import policy
from incidents.models import (
    ActionItem,
    Alert,
    ChecklistItem,
    Document,
    InboundDelivery,
    Incident,
    MaintenanceWindow,
    Monitor,
    Report,
    Review,
    ReviewSchedule,
    Task,
    TrainingRecord,
)
from incidents.selectors import due
from incidents.services.searching import keep_documents
from incidents.services.training import remind_of_training
from rollbacks.models import Drill, Rollback
from tests.core.test_operation_rules import well
from tests.due_work import due_of
from tests.pages.conftest import declare

pytestmark = pytest.mark.django_db
NOW = utcnow()
LATER = NOW + dt.timedelta(days=1)
PAST = NOW - dt.timedelta(seconds=100)
_numbers = itertools.count(1)


def make(model: type[models.Model], **given: Any) -> Any:
    """A row with what it must have, and nothing due in it but what is given."""
    for field in model._meta.concrete_fields:
        if not (
            {field.name, field.attname} & given.keys()
            or field.null or field.blank or field.primary_key or field.has_default()
        ):  # fmt: skip
            given[field.name] = _filler(field)
    return model._default_manager.create(**given)


def _filler(field: Any) -> Any:
    if field.is_relation:
        return make(field.related_model)
    if field.choices:
        return field.choices[0][0]
    match field:
        case models.DateTimeField():
            return LATER
        case models.JSONField():
            return {}
        case models.BinaryField():
            return b""
        case models.IntegerField():
            return next(_numbers)
        case _:
            return f"x{next(_numbers)}"[-(field.max_length or 10) :]


def _resolved() -> Incident:
    incident: Incident = make(Incident, status="resolved", resolved_at=NOW)
    return incident


def _training(at: dt.datetime) -> TrainingRecord:
    course = next(iter(policy.training().courses))
    done = at - dt.timedelta(days=9)
    record: TrainingRecord = make(TrainingRecord, course=course, done_at=done, recorded_at=done, due_at=at)
    return record


def _window(model: type[models.Model], at: dt.datetime, starts: str, ends: str, **more: Any) -> Any:
    return make(model, **{starts: at - dt.timedelta(days=9), ends: at}, **more)


# What is due of each kind at a moment, one row each.
ROWS: dict[str, tuple[Callable[[dt.datetime], object], ...]] = {
    "checks": (lambda at: make(Monitor, next_check_due_at=at),),
    "alerts": (lambda at: make(InboundDelivery, due_at=at),),
    "quiet": (
        lambda at: make(Alert, held_until=at),
        lambda at: _window(MaintenanceWindow, at, "starts_at", "ends_at"),
    ),
    "responses": (lambda at: make(Incident, response_due_at=at),),
    "checklists": (lambda at: _window(ChecklistItem, at, "starts_at", "due_at"),),
    "tasks": (lambda at: make(Task, due_at=at),),
    "reports": (lambda at: make(Report, due_at=at, incident=_resolved()),),
    "phases": (lambda at: make(ChecklistItem, remind_at=at, starts_at=NOW),),
    "action_items": (lambda at: make(ActionItem, remind_at=at, due_on=at.date()),),
    "reviews": (
        lambda at: make(ReviewSchedule, next_at=at),
        lambda at: _window(Review, NOW, "begins_at", "ends_at", due_at=at),
    ),
    "documents": (lambda at: make(Document, due_at=at),),
    "training": (_training,),
    "search": (lambda at: make(Event, stream=make(Incident).stream, recorded_at=at),),
    "rollbacks": (lambda at: make(Rollback, state="approved", due_at=at),),
    "expiries": (lambda at: make(Rollback, state="awaiting_approval", approval_expires_at=at),),
    "drills": (lambda at: make(Drill, due_at=at),),
    "deliveries": (lambda at: make(Delivery, due_at=at),),
    "escalations": (lambda at: make(EscalationClock, due_at=at),),
    "webhooks": (lambda at: make(WebhookDelivery, due_at=at),),
    "status_page": (lambda at: make(StatusSnapshot, due_at=at),),
    "subscriptions": (lambda at: make(Subscriber, mail_due_at=at),),
    "events": (lambda at: make(PendingEvent, due_at=at),),
}
WITHOUT_A_LATER = {"search", "status_page"}  # whatever happened is to be read; there is one row


def test_every_kind_is_found_when_it_is_due_and_not_before(django_assert_num_queries: Any) -> None:
    assert set(ROWS) == {key for key, *_ in django_settings.DUE_WORK}
    for key in ROWS.keys() - WITHOUT_A_LATER:
        for row in ROWS[key]:
            row(LATER)
    assert {work.key: work.count for work in list_due_work() if work.count} == {}
    for rows in ROWS.values():
        for row in rows:
            row(PAST)
    with django_assert_num_queries(1):
        found = list_due_work()
    assert {work.key: work.count for work in found} == {key: len(rows) for key, rows in ROWS.items()}
    age = (utcnow() - PAST).total_seconds()
    assert [work for work in found if abs(work.oldest_seconds - age) > 5] == []


def test_one_more_kind_costs_no_query(settings: Any, django_assert_num_queries: Any) -> None:
    settings.DUE_WORK = (*settings.DUE_WORK, ("more", "More", f"{__name__}.due_since_a_minute", 50.0))
    with django_assert_num_queries(1):
        found = due_of("more")
    assert (found.count, round(found.oldest_seconds), found.limit_seconds) == (2, 60, 50.0)


def due_since_a_minute() -> DueWork:
    since = "SELECT statement_timestamp() - make_interval(secs => %s)"
    return DueWork(f"{since} UNION ALL {since}", (60, 30))


def unanswerable() -> DueWork:
    return DueWork("SELECT due_at FROM nowhere")


@pytest.mark.django_db(transaction=True)
def test_a_kind_that_cannot_be_counted_is_named(settings: Any) -> None:
    settings.DUE_WORK = (
        *settings.DUE_WORK[:2],
        ("lost", "Lost", f"{__name__}.unanswerable", 60.0),
        *settings.DUE_WORK[2:],
    )
    with pytest.raises(DueWorkUncounted, match=r'^lost: relation "nowhere" does not exist$'):
        list_due_work()


def test_each_kind_is_searched_by_an_index() -> None:
    """Where it may not read a whole table, PostgreSQL does so only for want of an index."""
    kinds = {key: import_string(path)() for key, _label, path, _limit in django_settings.DUE_WORK}
    assert [key for key, work in kinds.items() if "clock_timestamp" in work.moments] == []
    read_whole = {}
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        for key, work in kinds.items():
            cursor.execute(f"EXPLAIN (FORMAT JSON) {work.moments}", work.parameters)
            (plans,) = cursor.fetchone()
            tables = {
                node["Relation Name"] for node in _nodes(plans[0]["Plan"]) if node["Node Type"] == "Seq Scan"
            }
            if tables:
                read_whole[key] = tables
    assert read_whole == {
        "status_page": {"comms_statussnapshot"},
        "search": {"incidents_searchmark"},
    }  # of one row


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", ()):
        yield from _nodes(part)


# --- the search ------------------------------------------------------------------------------------------


def search_troubles() -> tuple[int, list[Trouble]]:
    work = due_of("search")
    return work.count, list(judge(replace(well(), work=(work,))))


def test_a_search_that_stopped_is_a_warning_and_then_critical(
    commander: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ago(seconds: float) -> dt.datetime:
        return utcnow() - dt.timedelta(seconds=seconds)

    declare(commander, ago(5000), 1)
    assert search_troubles()[1][0].level == "critical", "it never looked"
    keep_documents(now=utcnow())
    assert search_troubles() == (0, [])
    declare(commander, ago(200), 2)
    assert search_troubles() == (1, [])
    declare(commander, ago(100), 3)
    keep_documents(now=utcnow())
    assert search_troubles() == (0, [])

    declare(commander, ago(310), 4)
    declare(commander, ago(5), 5)
    count, (trouble,) = search_troubles()
    assert (count, trouble.level, trouble.silences) == (2, "warning", False)
    declare(commander, ago(610), 6)
    count, (trouble,) = search_troubles()
    assert (count, trouble.level, trouble.silences) == (3, "critical", True)
    monkeypatch.setattr(due, "SEARCH_EVENTS", 1)
    assert search_troubles()[0] == 1, "however much waits, no more is looked at"
    keep_documents(now=utcnow())
    assert search_troubles() == (0, [])


def test_training_that_is_recorded_when_it_has_lapsed_is_late_from_then_on(db: None) -> None:
    """Else writing down what was done last year would say that Firebreak itself has been late for a year."""
    record = _training(PAST)
    TrainingRecord.objects.filter(pk=record.pk).update(recorded_at=utcnow())
    assert due_of("training").count == 1 and due_of("training").oldest_seconds < 60


def test_training_that_is_asked_of_nobody_any_more_is_no_late_work(db: None) -> None:
    """Such as of an account that lost its level: nothing is said of it, and nothing waits to be."""
    _training(PAST)
    assert due_of("training").count == 1
    assert remind_of_training(now=utcnow()) == 0
    assert due_of("training").count == 0
    assert not Event.objects.filter(kind__startswith="training.").exists()
