"""Tasks: written, given, done, dropped; overdue said once of each due time, to whoever it is for."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction

from comms.models import Contact, Message
from comms.rules.routing import is_stale
from comms.selectors.content import facts_for
from core.actors import SYSTEM, Actor
from core.errors import Conflict, Invalid, NotAllowed, NotFound
from core.models import Event, User
from core.outbox import deliver_pending
from incidents.models import Incident, Task
from incidents.selectors.tasks import is_task_overdue, task_board
from incidents.services import tasks
from incidents.services.incidents import close_incident, declare_incident, post_update, resolve_incident
from incidents.services.people import add_responder
from tests.due_work import due_of
from tests.reporting import publish_report_of

pytestmark = pytest.mark.django_db
MakeActor = Callable[..., Actor]
MINUTE = dt.timedelta(minutes=1)


@pytest.fixture
def by(incident: Incident, commander: Actor, now: dt.datetime) -> dict[str, Any]:
    return {"incident_id": incident.pk, "actor": commander, "now": now}


def kinds(incident: Incident) -> list[str]:
    events = Event.objects.filter(stream=incident.stream, kind__startswith="task.").order_by("seq")
    return list(events.values_list("kind", flat=True))


def newest(incident: Incident) -> Event:
    return Event.objects.filter(stream=incident.stream).latest("seq")


def test_each_command_is_one_event_that_says_what_and_for_whom(
    incident: Incident, by: dict[str, Any], make_actor: MakeActor, now: dt.datetime
) -> None:
    make_actor("lena")
    task = tasks.create_task(title="Call\nthe vendor", owner="LENA", due_at=now + 30 * MINUTE, **by)
    assert (task.title, str(task.owner), task.state, task.created_by) == (
        "Call the vendor",
        "lena",
        "open",
        "ida",
    )
    event = newest(incident)
    assert event.summary.startswith("Task: Call the vendor (for lena, due ")
    assert event.data["owner"] == "lena"
    tasks.edit_task(task_id=task.pk, owner=None, due_at=None, **by)
    assert newest(incident).summary == "Task “Call the vendor” is nobody's now, has no due time now"
    tasks.complete_task(task_id=task.pk, **by)
    tasks.reopen_task(task_id=task.pk, **by)
    assert newest(incident).summary == "To be done after all: Call the vendor (was finished by ida)"
    dropped = tasks.drop_task(task_id=task.pk, reason=" they called us ", **by)
    assert newest(incident).summary == "Will not be done: Call the vendor (they called us)"
    assert (dropped.finished_by, dropped.finished_at, dropped.version) == ("ida", now, 5)
    assert kinds(incident) == [
        "task.created", "task.changed", "task.completed", "task.reopened", "task.dropped",
    ]  # fmt: skip


def test_an_edit_that_changes_nothing_records_nothing(
    incident: Incident, by: dict[str, Any], now: dt.datetime
) -> None:
    task = tasks.create_task(title="Look", owner="ida", due_at=now, **by)
    again = tasks.edit_task(task_id=task.pk, title="Look ", owner="ida", due_at=now, **by)
    assert (again.version, kinds(incident)) == (1, ["task.created"])


def test_a_finished_task_says_who_was_first_and_does_not_change(by: dict[str, Any]) -> None:
    task = tasks.create_task(title="Look", **by)
    with pytest.raises(tasks.TaskFinished):
        tasks.reopen_task(task_id=task.pk, **by)
    tasks.complete_task(task_id=task.pk, **by)
    for again in (tasks.complete_task, tasks.drop_task):
        with pytest.raises(tasks.TaskFinished, match="is done already, by ida"):
            again(task_id=task.pk, **by)
    with pytest.raises(tasks.TaskFinished, match="reopen it first"):
        tasks.edit_task(task_id=task.pk, title="Other", **by)


def test_who_may_and_on_which_incident(
    incident: Incident, by: dict[str, Any], make_actor: MakeActor, now: dt.datetime
) -> None:
    task = tasks.create_task(title="Look", **by)
    viewer = by | {"actor": make_actor("vic", "viewer")}
    with pytest.raises(NotAllowed):
        tasks.create_task(title="Look", **viewer)
    with pytest.raises(NotAllowed):
        tasks.complete_task(task_id=task.pk, **viewer)
    other = declare_incident(actor=by["actor"], now=now, title="Other", severity="P2")
    with pytest.raises(NotFound):
        tasks.complete_task(task_id=task.pk, **by | {"incident_id": other.pk})
    resolve_incident(resolution="fixed", **by)
    follow_up = tasks.create_task(title="Write it down", **by)  # resolved, and there is still something to do
    publish_report_of(incident, now=by["now"])
    close_incident(**by)
    with pytest.raises(Conflict, match="is closed"):
        tasks.create_task(title="Late", **by)
    with pytest.raises(Conflict, match="is closed"):
        tasks.complete_task(task_id=follow_up.pk, **by)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [({"title": " \n "}, "title"), ({"title": "x" * 201}, "title"), ({"owner": "nobody"}, "owner")],
)
def test_what_is_wrong_is_named(by: dict[str, Any], wrong: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as refused:
        tasks.create_task(**{"title": "Look", **wrong}, **by)
    assert list(refused.value.fields) == [field]


def test_nobody_owns_a_task_of_an_incident_they_may_not_see(
    commander: Actor, make_actor: MakeActor, now: dt.datetime
) -> None:
    lena = make_actor("lena")
    secret = declare_incident(actor=commander, now=now, title="Leak", severity="P1", restricted=True)
    by: dict[str, Any] = {"incident_id": secret.pk, "actor": commander, "now": now}
    with pytest.raises(Invalid, match="may not see"):
        tasks.create_task(title="Look", owner="lena", **by)
    with pytest.raises(NotFound):
        tasks.create_task(title="Look", **by | {"actor": lena})
    add_responder(incident_id=secret.pk, username="lena", actor=commander, now=now)
    task = tasks.create_task(title="Look", owner="lena", **by)
    assert tasks.complete_task(task_id=task.pk, **by | {"actor": lena}).finished_by == "lena"


def test_an_incident_has_so_many_open_tasks_and_no_more(
    by: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "MOST_OPEN", 2)
    first, _second = (tasks.create_task(title=f"Look {n}", **by) for n in range(2))
    with pytest.raises(Conflict, match="2 open tasks"):
        tasks.create_task(title="Look 3", **by)
    tasks.complete_task(task_id=first.pk, **by)
    tasks.create_task(title="Look 3", **by)


def test_the_database_keeps_what_a_state_promises(by: dict[str, Any], now: dt.datetime) -> None:
    task = tasks.create_task(title="Look", **by)
    for broken in ({"state": "late"}, {"state": "done"}, {"finished_at": now}, {"finished_by": "x"}):
        with pytest.raises(IntegrityError), transaction.atomic():
            Task.objects.filter(pk=task.pk).update(**broken)


# --- overdue --------------------------------------------------------------------------------------


def test_a_due_time_is_said_once_when_it_has_passed_and_another_one_anew(
    incident: Incident, by: dict[str, Any], now: dt.datetime
) -> None:
    task = tasks.create_task(title="Look", owner="ida", due_at=now + MINUTE, **by)
    assert tasks.mark_overdue_tasks(now=now) == 0
    assert tasks.mark_overdue_tasks(now=now + MINUTE) == 1
    assert tasks.mark_overdue_tasks(now=now + 2 * MINUTE) == 0
    event = newest(incident)
    assert (event.kind, event.actor, event.data["to"]) == ("task.overdue", SYSTEM.label, ["account:ida"])
    tasks.edit_task(task_id=task.pk, due_at=now + 3 * MINUTE, **by)
    assert tasks.mark_overdue_tasks(now=now + 3 * MINUTE) == 1
    tasks.complete_task(task_id=task.pk, **by)
    tasks.reopen_task(task_id=task.pk, **by)
    assert tasks.mark_overdue_tasks(now=now + 4 * MINUTE) == 1
    assert kinds(incident).count("task.overdue") == 3


def test_what_is_done_dropped_or_of_a_closed_incident_is_never_overdue(
    incident: Incident, by: dict[str, Any], now: dt.datetime
) -> None:
    done, dropped, _left = (tasks.create_task(title=f"{n}", due_at=now, **by) for n in range(3))
    tasks.complete_task(task_id=done.pk, **by)
    tasks.drop_task(task_id=dropped.pk, **by)
    resolve_incident(resolution="fixed", **by)
    publish_report_of(incident, now=now)
    close_incident(**by)
    assert tasks.mark_overdue_tasks(now=now + MINUTE) == 0
    assert not Task.objects.lapsing(now + MINUTE).exists()  # nor is it looked at again
    assert "task.overdue" not in kinds(incident)


def test_late_work_is_counted_for_the_watch_over_firebreak(by: dict[str, Any], now: dt.datetime) -> None:
    tasks.create_task(title="Later", due_at=now + dt.timedelta(days=1), **by)
    assert due_of("tasks").count == 0
    tasks.create_task(title="Look", due_at=now - 2 * MINUTE, **by)
    found = due_of("tasks")
    assert found.count == 1
    assert found.oldest_seconds >= 120


def test_the_owner_is_told_and_nobody_else_in_person(
    incident: Incident, by: dict[str, Any], make_user: Callable[..., User], now: dt.datetime
) -> None:
    lena = make_user("lena")
    Contact.objects.create(name="Lena", user=lena, email="lena@example.test")
    Contact.objects.create(name="First", kind="primary", email="first@example.test")
    tasks.create_task(title="Call the vendor", owner="lena", due_at=now, **by)
    tasks.create_task(title="Nobody's", due_at=now, **by)
    tasks.mark_overdue_tasks(now=now)
    deliver_pending(now=now)
    told = {
        message.event.data["title"]: {d.recipient for d in message.deliveries.all() if "@" in d.recipient}
        for message in Message.objects.filter(template="task_overdue")
    }
    assert told == {"Call the vendor": {"lena@example.test"}, "Nobody's": {"first@example.test"}}
    message = Message.objects.filter(template="task_overdue").earliest("pk")
    assert "TASK OVERDUE - P0 Checkout fails" in message.subject
    assert "Task overdue: Call the vendor (for lena, due" in message.body


def test_an_owner_without_a_contact_is_told_through_the_role_holders(
    incident: Incident, by: dict[str, Any], make_user: Callable[..., User], now: dt.datetime
) -> None:
    make_user("lena")
    Contact.objects.create(name="First", kind="primary", email="first@example.test")
    tasks.create_task(title="Look", owner="lena", due_at=now, **by)
    tasks.mark_overdue_tasks(now=now)
    deliver_pending(now=now)
    message = Message.objects.get(template="task_overdue")
    assert "first@example.test" in {delivery.recipient for delivery in message.deliveries.all()}


def test_the_message_is_stale_once_it_is_done_or_has_another_time(
    by: dict[str, Any], now: dt.datetime
) -> None:
    task = tasks.create_task(title="Look", due_at=now, **by)
    tasks.mark_overdue_tasks(now=now)
    said = Event.objects.get(kind="task.overdue").data
    assert is_task_overdue(said["task"], said["due_at"], now=now)
    tasks.edit_task(task_id=task.pk, due_at=now - MINUTE, **by)
    assert not is_task_overdue(said["task"], said["due_at"], now=now)
    facts: dict[str, Any] = {"incident_open": True, "acknowledged": True, "rollback_state": ""}
    assert is_stale("task_overdue", **facts, overdue=False)
    assert not is_stale("task_overdue", **facts, overdue=True)


def test_next_steps_of_messages_are_the_open_tasks_then_what_the_update_said(
    incident: Incident, by: dict[str, Any], now: dt.datetime
) -> None:
    post_update(message="Looking", next_steps="Watch it\n\n", **by)
    tasks.create_task(title="Any time", **by)
    late = dt.datetime(2026, 11, 20, 10, 30, tzinfo=dt.UTC)
    tasks.create_task(title="Call the vendor", owner="ida", due_at=late, **by)
    done = tasks.create_task(title="Restart", **by)
    tasks.complete_task(task_id=done.pk, **by)
    incident.refresh_from_db()
    event = Event.objects.filter(stream=incident.stream, kind="incident.updated").get()
    assert facts_for(event, incident, None).next_steps == (
        "Call the vendor (ida, by 2026-11-20 10:30 UTC)", "Any time", "Watch it",
    )  # fmt: skip


def test_the_board_has_mine_first_then_what_is_due_first(
    incident: Incident, by: dict[str, Any], make_actor: MakeActor, now: dt.datetime
) -> None:
    lena = make_actor("lena")
    tasks.create_task(title="sometime", **by)
    tasks.create_task(title="late", due_at=now - MINUTE, **by)
    tasks.create_task(title="soon", due_at=now + MINUTE, **by)
    tasks.create_task(title="hers", owner="lena", **by)
    done = tasks.create_task(title="done", **by)
    tasks.complete_task(task_id=done.pk, **by)
    board = task_board(lena, incident, ("ida",), now=now)
    assert [line.title for line in board.open] == ["hers", "late", "soon", "sometime"]
    assert [line.title for line in board.open if line.overdue] == ["late"]
    assert (board.owners, board.overdue, [line.title for line in board.finished]) == (
        ("lena", "ida"),
        1,
        ["done"],
    )


@pytest.mark.django_db(transaction=True)
def test_two_people_finish_it_at_once_and_one_is_told_of_the_other(
    incident: Incident, by: dict[str, Any], make_actor: MakeActor
) -> None:
    task = tasks.create_task(title="Look", **by)
    rosa = make_actor("rosa")
    ends: list[str] = []
    start = threading.Barrier(2)

    def finish(actor: Actor) -> None:
        start.wait(10)
        try:
            tasks.complete_task(task_id=task.pk, **by | {"actor": actor})
            ends.append("done")
        except tasks.TaskFinished as error:
            ends.append(error.state or "")
        finally:
            connection.close()

    threads = [threading.Thread(target=finish, args=[actor]) for actor in (by["actor"], rosa)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert ends == ["done", "done"]
    assert kinds(incident) == ["task.created", "task.completed"]
