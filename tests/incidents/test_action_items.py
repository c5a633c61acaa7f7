"""Action items: written, given, done, dropped, taken over from tasks; reminded of; in report, export and metrics."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from comms.models import Contact, Delivery, Message
from core.actors import Actor
from core.errors import Conflict, Invalid, NotAllowed, NotFound
from core.events import system_stream
from core.models import Event, User
from core.outbox import deliver_pending
from incidents.metrics import collect
from incidents.models import ActionItem, Incident
from incidents.selectors.action_items import (
    ActionItemAsk,
    count_action_items,
    is_action_item_due,
    page_of_action_items,
)
from incidents.selectors.export import export_incident
from incidents.selectors.reports import report_facts
from incidents.services import action_items as items
from incidents.services.incidents import close_incident, declare_incident, resolve_incident
from incidents.services.people import add_responder
from incidents.services.tasks import create_task
from tests.due_work import due_of
from tests.reporting import publish_report_of

pytestmark = pytest.mark.django_db
MakeActor = Callable[..., Actor]
DAY = dt.timedelta(days=1)
HOUR = dt.timedelta(hours=1)


@pytest.fixture
def now() -> dt.datetime:
    """In the past: what is due is judged by the database's clock, which is not moved."""
    return dt.datetime(2026, 10, 1, 12, tzinfo=dt.UTC)


@pytest.fixture
def by(commander: Actor, now: dt.datetime) -> dict[str, Any]:
    return {"actor": commander, "now": now}


def newest(incident: Incident) -> Event:
    return Event.objects.filter(stream=incident.stream).latest("seq")


def said() -> list[tuple[str, list[str]]]:
    kinds = ("action_item.due_soon", "action_item.overdue")
    return [(e.kind, e.data["to"]) for e in Event.objects.filter(kind__in=kinds).order_by("pk")]


def test_each_command_is_one_event_that_says_what_and_for_whom(
    incident: Incident, by: dict[str, Any], make_actor: MakeActor, now: dt.datetime
) -> None:
    make_actor("lena")
    due = (now + 9 * DAY).date()
    item = items.create_action_item(
        incident_id=incident.pk, title="Alert\non disk", owner="LENA", due_on=due, kind="immediate", **by
    )
    event = newest(incident)
    assert (event.kind, event.summary) == (
        "action_item.created",
        f"Action item: Alert on disk (for lena, due {due})",
    )
    assert event.data["path"] == f"/action-items/{item.pk}/"
    items.edit_action_item(item_id=item.pk, owner=None, due_on=None, state="in_progress", **by)
    assert newest(incident).summary == (
        "Action item “Alert on disk” is nobody's now, has no due day now, is in progress"
    )
    items.complete_action_item(item_id=item.pk, note="Alerts at 80 %", **by)
    assert newest(incident).summary == "Done: Alert on disk (Alerts at 80 %)"
    items.reopen_action_item(item_id=item.pk, **by)
    dropped = items.drop_action_item(item_id=item.pk, reason=" The disk is gone ", **by)
    assert (dropped.state, dropped.finished_note, dropped.finished_by, dropped.version) == (
        "dropped",
        "The disk is gone",
        "ida",
        5,
    )
    kinds = Event.objects.filter(stream=incident.stream, kind__startswith="action_item.").order_by("seq")
    assert [kind.removeprefix("action_item.") for kind in kinds.values_list("kind", flat=True)] == [
        "created", "changed", "completed", "reopened", "dropped",
    ]  # fmt: skip


def test_nothing_new_records_nothing_and_what_is_finished_does_not_change(by: dict[str, Any]) -> None:
    item = items.create_action_item(title="Look", owner="ida", **by)
    assert items.edit_action_item(item_id=item.pk, title=" Look", owner="ida", due_on=None, **by).version == 1
    assert list(Event.objects.filter(stream=system_stream()).values_list("kind", flat=True)) == [
        "action_item.created"
    ]  # of no incident: on Firebreak's own stream
    with pytest.raises(items.ActionItemFinished):
        items.reopen_action_item(item_id=item.pk, **by)
    items.complete_action_item(item_id=item.pk, **by)
    again: dict[Callable[..., ActionItem], dict[str, str]] = {
        items.edit_action_item: {"title": "Other"},
        items.complete_action_item: {},
        items.drop_action_item: {"reason": "no"},
    }
    for command, more in again.items():
        with pytest.raises(items.ActionItemFinished, match="done already, by ida"):
            command(item_id=item.pk, **more, **by)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"title": " "}, "title"),
        ({"title": "x" * 201}, "title"),
        ({"kind": "other"}, "kind"),
        ({"owner": "nobody-at-all"}, "owner"),
        ({"due_on": dt.date(1999, 12, 31)}, "due_on"),
        ({"description": "x" * 10_001}, "description"),
    ],
)
def test_what_is_wrong_is_named(by: dict[str, Any], wrong: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as refused:
        items.create_action_item(**{"title": "Look", **wrong}, **by)
    assert set(refused.value.fields) == {field}
    item = items.create_action_item(title="Look", **by)
    with pytest.raises(Invalid):
        items.edit_action_item(item_id=item.pk, **wrong, **by)
    with pytest.raises(Invalid):
        items.edit_action_item(item_id=item.pk, state="done", **by)


def test_what_is_hidden_is_hidden_and_its_owner_must_see_it(
    by: dict[str, Any], make_actor: MakeActor, commander: Actor, now: dt.datetime
) -> None:
    secret = declare_incident(title="Leak", severity="P1", restricted=True, **by)
    rosa, lena = make_actor("rosa"), make_actor("lena")
    with pytest.raises(Invalid, match="may not see this incident"):
        items.create_action_item(incident_id=secret.pk, title="Rotate keys", owner="rosa", **by)
    add_responder(incident_id=secret.pk, username="lena", **by)
    item = items.create_action_item(incident_id=secret.pk, title="Rotate keys", owner="lena", **by)
    assert [line.title for line in page_of_action_items(lena, ActionItemAsk(), page=1, now=now).lines] == [
        "Rotate keys"
    ]
    assert page_of_action_items(rosa, ActionItemAsk(), page=1, now=now).lines == ()
    assert count_action_items(rosa, now=now).open == 0
    with pytest.raises(NotFound):
        items.complete_action_item(item_id=item.pk, actor=rosa, now=now)
    with pytest.raises(NotAllowed):
        items.complete_action_item(item_id=item.pk, actor=make_actor("vic", "viewer"), now=now)


def test_a_closed_incident_has_action_items_still(
    incident: Incident, by: dict[str, Any], commander: Actor, now: dt.datetime
) -> None:
    at: dict[str, Any] = {"incident_id": incident.pk, **by}
    resolve_incident(resolution="fixed", **at)
    publish_report_of(incident, now=now)
    close_incident(**at)
    item = items.create_action_item(title="Look", **at)
    items.complete_action_item(item_id=item.pk, **by)
    assert newest(incident).kind == "action_item.completed"


def test_open_tasks_go_on_as_action_items_once_it_is_resolved(
    incident: Incident, by: dict[str, Any], make_actor: MakeActor, now: dt.datetime
) -> None:
    at: dict[str, Any] = {"incident_id": incident.pk, **by}
    create_task(title="Call the vendor", owner="ida", due_at=now + DAY, **at)
    create_task(title="Sometime", **at)
    with pytest.raises(Conflict, match="once it is resolved"):
        items.take_over_tasks(**at)
    resolve_incident(resolution="fixed", **at)
    made = items.take_over_tasks(**at)
    assert [(i.title, i.due_on, i.owner and i.owner.username) for i in made] == [
        ("Call the vendor", (now + DAY).date(), "ida"),
        ("Sometime", None, None),
    ]
    assert set(incident.tasks.values_list("state", flat=True)) == {"dropped"}
    assert list(items.take_over_tasks(**at)) == []


def test_its_owner_is_reminded_before_and_after_until_it_is_done(
    incident: Incident, by: dict[str, Any], now: dt.datetime
) -> None:
    due = dt.date(2026, 10, 10)
    item = items.create_action_item(incident_id=incident.pk, title="Look", owner="ida", due_on=due, **by)

    def at(day: int, hour: int = 9) -> int:
        return items.remind_of_action_items(now=dt.datetime(2026, 10, day, hour, tzinfo=dt.UTC))

    assert [at(6), at(7, 7), at(7, 8), at(7, 23), at(8)] == [0, 0, 1, 0, 0]  # three days before
    assert [at(9), at(9), at(10, 23), at(11, 0), at(11, 1)] == [1, 0, 0, 1, 0]  # one day; when it has ended
    assert [at(17), at(18, 0), at(24), at(25)] == [0, 1, 0, 1]  # and every week
    assert said() == [(f"action_item.{kind}", ["account:ida"]) for kind in (
        "due_soon", "due_soon", "overdue", "overdue", "overdue",
    )]  # fmt: skip
    late = Event.objects.filter(kind="action_item.overdue").latest("pk")
    assert late.summary == "Action item overdue since 2026-10-10: Look"
    assert is_action_item_due(late)
    assert due_of("action_items").count == 1  # the next week, by the real clock
    items.complete_action_item(item_id=item.pk, **by)
    assert not is_action_item_due(late)
    assert (at(31), due_of("action_items").count) == (0, 0)


def test_what_was_due_while_nothing_swept_is_said_once_afterwards(by: dict[str, Any]) -> None:
    items.create_action_item(title="Look", owner="ida", due_on=dt.date(2026, 10, 10), **by)
    later = dt.datetime(2026, 10, 16, 12, tzinfo=dt.UTC)  # three reminders were missed
    assert [items.remind_of_action_items(now=later) for _ in range(2)] == [1, 0]
    assert said() == [("action_item.overdue", ["account:ida"])]
    assert items.remind_of_action_items(now=later + DAY) == 0
    assert items.remind_of_action_items(now=later + 2 * DAY) == 1  # a week after the day had ended


def test_another_owner_or_day_makes_a_reminder_untrue(by: dict[str, Any], make_actor: MakeActor) -> None:
    make_actor("lena")
    item = items.create_action_item(title="Look", owner="ida", due_on=dt.date(2026, 10, 2), **by)
    items.remind_of_action_items(now=dt.datetime(2026, 10, 5, tzinfo=dt.UTC))
    event = Event.objects.get(kind="action_item.overdue")
    assert is_action_item_due(event)
    items.edit_action_item(item_id=item.pk, owner="lena", **by)
    assert not is_action_item_due(event)
    items.edit_action_item(item_id=item.pk, owner="ida", due_on=dt.date(2026, 11, 2), **by)
    assert not is_action_item_due(event)


def test_who_left_or_may_not_see_it_is_not_told(
    by: dict[str, Any], make_actor: MakeActor, commander: Actor, now: dt.datetime
) -> None:
    secret = declare_incident(title="Leak", severity="P1", restricted=True, **by)
    make_actor("lena")
    make_actor("rosa")
    add_responder(incident_id=secret.pk, username="lena", **by)
    due: dict[str, Any] = {"due_on": now.date() + DAY, **by}
    items.create_action_item(incident_id=secret.pk, title="Rotate keys", owner="lena", **due)
    items.create_action_item(title="Buy a lock", owner="rosa", **due)
    items.create_action_item(title="Nobody's", **due)
    secret.responders.filter(user__username="lena").update(until=now)
    User.objects.filter(username="rosa").update(is_active=False)
    assert items.remind_of_action_items(now=now + 3 * DAY) == 3
    assert [to for _kind, to in said()] == [["technical_team"]] * 3


def test_the_reminder_reaches_its_owner_and_nobody_else(by: dict[str, Any], now: dt.datetime) -> None:
    ida = User.objects.get(username="ida")
    Contact.objects.create(name="Ida", user=ida, email="ida@example.test", audiences=[])
    Contact.objects.create(name="Tech", email="tech@example.test", audiences=["technical_team"])
    items.create_action_item(title="Look", owner="ida", due_on=now.date(), **by)
    items.create_action_item(title="Nobody's", due_on=now.date(), **by)
    items.remind_of_action_items(now=now + DAY)
    deliver_pending(now=now + DAY)
    assert Message.objects.filter(template="reminder").count() == 2
    told = {d.recipient: d.message.body for d in Delivery.objects.filter(message__template="reminder")}
    assert set(told) == {"ida@example.test", "tech@example.test"}
    assert "Look" in told["ida@example.test"] and "/action-items/" in told["ida@example.test"]


def test_of_drills_nobody_is_reminded_and_no_figure_speaks(
    by: dict[str, Any], commander: Actor, now: dt.datetime
) -> None:
    drill = declare_incident(title="Exercise", severity="P1", drill=True, **by)
    items.create_action_item(incident_id=drill.pk, title="Rehearsed", due_on=now.date(), **by)
    assert items.remind_of_action_items(now=now + 9 * DAY) == 0
    assert due_of("action_items").count == 0
    assert count_action_items(commander, now=now).open == 0
    assert page_of_action_items(commander, ActionItemAsk(), page=1, now=now).lines == ()
    asked = page_of_action_items(commander, ActionItemAsk(drills=True), page=1, now=now)
    assert len(asked.lines) == 1
    assert metric("firebreak_open_action_items") == 0


def metric(name: str) -> float:
    return next(family.samples[0].value for family in collect() if family.name == name)


def test_metrics_count_what_is_open_and_overdue(by: dict[str, Any], now: dt.datetime) -> None:
    today = dt.datetime.now(dt.UTC).date()
    for title, day in (("late", today - DAY), ("today", today), ("any", None)):
        items.create_action_item(title=title, due_on=day, **by)
    done = items.create_action_item(title="done", due_on=today - DAY, **by)
    items.complete_action_item(item_id=done.pk, **by)
    assert (metric("firebreak_open_action_items"), metric("firebreak_overdue_action_items")) == (3, 1)


def test_they_stand_in_the_report_and_the_export(
    incident: Incident, by: dict[str, Any], commander: Actor, now: dt.datetime
) -> None:
    at: dict[str, Any] = {"incident_id": incident.pk, **by}
    items.create_action_item(title="Page on disk", kind="immediate", owner="ida", due_on=now.date(), **at)
    items.create_action_item(title="Two regions", kind="long_term", **at)
    dropped = items.create_action_item(title="Blame somebody", **at)
    items.drop_action_item(item_id=dropped.pk, reason="no", **by)
    facts = report_facts(incident)
    assert [(row.action, row.owner, row.due_on, row.status) for row in facts.action_items] == [
        ("Page on disk", "ida", now.date(), "Open"),
        ("Two regions", "", None, "Open"),
    ]
    assert (facts.immediate_actions, facts.long_term_improvements) == (("Page on disk",), ("Two regions",))
    exported = json.loads(export_incident(commander, incident, now=now).read())["action_items"]
    first = exported[0]
    assert (first["title"], first["due_on"], first["assigned_to"]) == (
        "Page on disk", now.date().isoformat(), "ida",
    )  # fmt: skip


@pytest.mark.parametrize(
    "broken",
    [
        {"state": "lost"},
        {"kind": "lost"},
        {"state": "done"},
        {"finished_by": "x"},
        {"due_on": None, "remind_at": dt.datetime(2026, 1, 1, tzinfo=dt.UTC)},
    ],
)
def test_the_database_keeps_the_promises(by: dict[str, Any], broken: dict[str, Any]) -> None:
    item = items.create_action_item(title="Look", due_on=dt.date(2027, 1, 1), **by)
    with pytest.raises(IntegrityError), transaction.atomic():
        ActionItem.objects.filter(pk=item.pk).update(**broken)


def test_mine_are_first_and_what_is_late_is_on_top(
    by: dict[str, Any],
    make_actor: MakeActor,
    now: dt.datetime,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    lena = make_actor("lena")
    day = now.date()
    for title, owner, due in (
        ("any", None, None),
        ("his late", "ida", day - DAY),
        ("her late", "lena", day - 2 * DAY),
        ("soon", None, day + DAY),
        ("hers", "lena", None),
    ):
        items.create_action_item(title=title, owner=owner, due_on=due, **by)
    with django_assert_num_queries(1):
        page = page_of_action_items(lena, ActionItemAsk(), page=1, now=now)
    assert [line.title for line in page.lines] == ["her late", "hers", "his late", "soon", "any"]
    assert [line.title for line in page.lines if line.overdue] == ["her late", "his late"]
    counts = count_action_items(lena, now=now)
    assert (counts.open, counts.overdue, counts.mine, counts.mine_overdue) == (5, 2, 2, 1)
    late = page_of_action_items(lena, ActionItemAsk(overdue=True, owner="me"), page=1, now=now)
    assert [line.title for line in late.lines] == ["her late"]
    nobody = page_of_action_items(lena, ActionItemAsk(owner="nobody"), page=1, now=now)
    assert [line.title for line in nobody.lines] == ["soon", "any"]


def test_signed_out_nobody_reads_them(db: None) -> None:
    assert Client().get("/action-items/").status_code == 302
