"""Checklists: opened by what happened, ticked by people and by the machine, overdue once."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from comms.models import Message
from comms.rules.routing import is_stale
from core.actors import SYSTEM, Actor
from core.errors import Conflict, Invalid, NotAllowed, NotFound
from core.live import spoken
from core.models import Event, PendingEvent
from core.outbox import deliver_pending
from incidents import policy
from incidents.consumers import keep_checklists
from incidents.models import ChecklistItem, Incident
from incidents.rules.checklists import relapsed
from incidents.selectors.checklists import guidance_for, is_checklist_due, list_checklists
from incidents.services import incidents as commands
from incidents.services.checklists import (
    AlreadyTicked,
    assign_item,
    mark_lapsed_phases,
    remind_of_phases,
    tick_item,
    untick_item,
)
from incidents.services.people import assign_role
from incidents.services.reports import edit_report, publish_report
from incidents.states import IncidentStatus
from incidents.timeline import record_on_incident
from tests.reporting import publish_report_of

pytestmark = pytest.mark.django_db
MakeActor = Callable[..., Actor]
MINUTE = dt.timedelta(minutes=1)
HOUR = 60 * MINUTE


@pytest.fixture
def began(now: dt.datetime) -> dt.datetime:
    """When the emergency was declared: ten days ago, so that everything may have happened by now."""
    return now - dt.timedelta(days=10)


@pytest.fixture
def emergency(commander: Actor, began: dt.datetime) -> Incident:
    """A P0 whose declaration the consumers have heard of."""
    incident = commands.declare_incident(actor=commander, now=began, title="Checkout fails", severity="P0")
    deliver_pending(now=began)
    return incident


def _happens(incident: Incident, kind: str, at: dt.datetime, **data: Any) -> Event:
    """An event of another app, heard of by the consumers."""
    event = record_on_incident(incident, kind, kind, actor=SYSTEM, now=at, data=data)
    deliver_pending(now=at)
    return event


def _rolled_back(incident: Incident, at: dt.datetime) -> None:
    """A rollback succeeded, and the incident followed it."""
    record_on_incident(incident, "rollback.succeeded", "rollback.succeeded", actor=SYSTEM, now=at)
    follow: dict[str, Any] = {"incident_id": incident.pk, "summary": "RB-1", "actor": SYSTEM, "now": at}
    commands.follow_rollback(to=IncidentStatus.MONITORING, **follow)
    deliver_pending(now=at)


def _relapses(incident: Incident, at: dt.datetime) -> None:
    follow: dict[str, Any] = {"incident_id": incident.pk, "summary": "Relapse", "actor": SYSTEM, "now": at}
    commands.follow_rollback(to=IncidentStatus.INVESTIGATING, **follow)
    deliver_pending(now=at)


def _items(incident: Incident, checklist: str = "emergency") -> dict[str, ChecklistItem]:
    return {row.key: row for row in incident.checklist_items.filter(checklist=checklist)}


def _ticked(incident: Incident, checklist: str = "emergency") -> set[str]:
    return {key for key, row in _items(incident, checklist).items() if row.ticked_at}


def _kinds(incident: Incident, prefix: str = "checklist.") -> list[str]:
    events = Event.objects.filter(stream=incident.stream, kind__startswith=prefix).order_by("seq")
    return list(events.values_list("kind", flat=True))


def _tick(incident: Incident, item: str, actor: Actor, now: dt.datetime, **more: Any) -> ChecklistItem:
    return tick_item(
        incident_id=incident.pk, **{"checklist": "emergency", **more}, item=item, actor=actor, now=now
    )


def test_an_emergency_has_the_policys_four_phases_counted_from_the_declaration(
    emergency: Incident, began: dt.datetime
) -> None:
    windows = {
        row.phase: (row.starts_at - began, row.due_at - began)
        for row in emergency.checklist_items.filter(checklist="emergency")
    }
    assert windows == {
        "immediate": (0 * MINUTE, 5 * MINUTE),
        "preparation": (5 * MINUTE, 15 * MINUTE),
        "execution": (15 * MINUTE, 30 * MINUTE),
        "validation": (30 * MINUTE, 60 * MINUTE),
    }
    assert len(_items(emergency)) == 16
    assert not _items(emergency, "analysis")


def test_a_minor_incident_gets_the_list_when_it_is_raised_with_windows_from_then(
    commander: Actor, began: dt.datetime
) -> None:
    minor = commands.declare_incident(actor=commander, now=began, title="Slow", severity="P2")
    deliver_pending(now=began)
    assert not _items(minor)
    raised = began + 3 * HOUR
    commands.change_severity(
        incident_id=minor.pk, severity="P0", reason="everybody", actor=commander, now=raised
    )
    deliver_pending(now=raised)
    assert _items(minor)["assess_severity"].due_at == raised + 5 * MINUTE
    assert _ticked(minor) == {"document_issue"}  # it was declared before the list was opened


def test_the_machine_ticks_what_it_did_itself_as_the_system(emergency: Incident, began: dt.datetime) -> None:
    assert _ticked(emergency) == {"document_issue"}
    row = _items(emergency)["document_issue"]
    assert (row.ticked_by, row.ticked_at) == (SYSTEM.label, began)
    later = began + MINUTE
    _happens(emergency, "message.sent", later, template="incident_update")
    _happens(emergency, "rollback.step_succeeded", later, step="switch_version")
    assert _ticked(emergency) == {"document_issue"}  # neither shows that an item is done
    _happens(emergency, "message.sent", later, template="incident_alert")
    for step in ("backup_config", "update_load_balancer", "clear_caches", "smoke_tests"):
        _happens(emergency, "rollback.step_succeeded", later, step=step)
    _happens(emergency, "rollback.succeeded", later)
    assert _ticked(emergency) == {
        "document_issue",
        "notify_team",
        "backup_state",
        "update_load_balancer",
        "clear_caches",
        "verify_functionality",
        "execute_rollback",
    }
    assert _items(emergency)["clear_caches"].note == "rollback.step_succeeded"  # the event's own words


def test_the_same_event_again_changes_nothing_even_after_a_person_disagreed(
    emergency: Incident, commander: Actor, began: dt.datetime
) -> None:
    cleared = _happens(emergency, "rollback.step_succeeded", began + MINUTE, step="clear_caches")
    declared = Event.objects.get(stream=emergency.stream, kind="incident.declared")
    ended = _happens(emergency, "rollback.succeeded", began + 20 * MINUTE)
    untick_item(
        incident_id=emergency.pk, checklist="emergency", item="clear_caches", reason="the CDN still serves",
        actor=commander, now=began + 21 * MINUTE,
    )  # fmt: skip
    before = list(ChecklistItem.objects.order_by("pk").values())
    events = _kinds(emergency)
    for event in (declared, cleared, ended):
        keep_checklists(event, began + HOUR)
    assert list(ChecklistItem.objects.order_by("pk").values()) == before
    assert _kinds(emergency) == events
    again = _happens(emergency, "rollback.step_succeeded", began + HOUR, step="clear_caches")
    assert _items(emergency)["clear_caches"].answered_event == again  # a later run does show it


def test_the_analysis_counts_from_the_end_of_the_rollback_and_not_again_from_the_resolution(
    emergency: Incident, commander: Actor, began: dt.datetime
) -> None:
    ended = began + HOUR
    _happens(emergency, "rollback.succeeded", ended)
    windows = {row.phase: row.due_at - ended for row in _items(emergency, "analysis").values()}
    assert windows == {"immediate": 2 * HOUR, "short_term": 24 * HOUR, "long_term": 7 * 24 * HOUR}
    assert len(_items(emergency, "analysis")) == 12
    resolved = ended + HOUR
    commands.resolve_incident(incident_id=emergency.pk, resolution="back", actor=commander, now=resolved)
    deliver_pending(now=resolved)
    assert {row.due_at - ended for row in _items(emergency, "analysis").values()} == set(windows.values())


def test_without_a_rollback_the_analysis_counts_from_the_resolution(
    emergency: Incident, commander: Actor, began: dt.datetime
) -> None:
    _happens(emergency, "rollback.failed", began + MINUTE)  # nothing was changed: nothing to analyse yet
    assert not _items(emergency, "analysis")
    resolved = began + 3 * HOUR
    commands.resolve_incident(incident_id=emergency.pk, resolution="fixed", actor=commander, now=resolved)
    deliver_pending(now=resolved)
    assert _items(emergency, "analysis")["root_cause"].due_at == resolved + 24 * HOUR


def test_open_pages_hear_of_a_list_that_was_opened(
    emergency: Incident, commander: Actor, began: dt.datetime
) -> None:
    commands.resolve_incident(incident_id=emergency.pk, resolution="fixed", actor=commander, now=began)
    resolved = Event.objects.filter(stream=emergency.stream).latest("seq")
    with CaptureQueriesContext(connection) as queries:
        keep_checklists(resolved, began)
    pokes = [query["sql"] for query in queries if "pg_notify" in query["sql"]]
    assert _items(emergency, "analysis")
    assert len(pokes) == 1
    assert spoken(f"incident:{emergency.ref}") in pokes[0]


def test_a_second_rollback_gives_what_is_open_new_windows(
    emergency: Incident, commander: Actor, began: dt.datetime
) -> None:
    first, second = began + HOUR, began + 5 * HOUR
    _rolled_back(emergency, first)
    for item in ("test_functions", "root_cause"):
        _tick(emergency, item, commander, first + MINUTE, checklist="analysis")
    assert mark_lapsed_phases(now=first + 2 * HOUR) >= 1
    _relapses(emergency, first + 3 * HOUR)
    _rolled_back(emergency, second)
    rows = _items(emergency, "analysis")
    assert rows["verify_stability"].due_at == rows["test_functions"].due_at == second + 2 * HOUR
    assert rows["root_cause"].due_at == first + 24 * HOUR  # done is done
    assert _ticked(emergency, "analysis") == {"root_cause"}  # but stability is to be looked at once more
    reopened = Event.objects.get(stream=emergency.stream, kind="checklist.reopened")
    assert (reopened.summary, reopened.actor) == ("To be done again: Test critical functions", SYSTEM.label)
    assert mark_lapsed_phases(now=second + HOUR) == 0
    assert mark_lapsed_phases(now=second + 2 * HOUR) == 1
    commands.resolve_incident(incident_id=emergency.pk, resolution="back", actor=commander, now=second + HOUR)
    deliver_pending(now=second + HOUR)
    assert _items(emergency, "analysis")["verify_stability"].due_at == second + 2 * HOUR


def test_an_incident_that_came_back_is_analysed_from_its_second_resolution_on(
    emergency: Incident, commander: Actor, began: dt.datetime
) -> None:
    by: dict[str, Any] = {"incident_id": emergency.pk, "actor": commander}
    first, again = began + HOUR, began + 3 * 24 * HOUR
    commands.resolve_incident(resolution="fixed", now=first, **by)
    deliver_pending(now=first)
    _happens(emergency, "message.sent", first, template="incident_resolved")
    for item in ("verify_stability", "root_cause"):
        _tick(emergency, item, commander, first, checklist="analysis", note="calm")
    commands.reopen_incident(reason="it is back", now=first + HOUR, **by)
    deliver_pending(now=first + HOUR)
    assert _ticked(emergency, "analysis") == {"verify_stability", "update_stakeholders", "root_cause"}
    # While it is open again nobody is asked for a root cause.
    assert remind_of_phases(now=again - HOUR) + mark_lapsed_phases(now=again - HOUR) == 4  # the emergency's
    assert not _reminders(emergency)
    emergency.refresh_from_db()
    shown = {one.key: one for one in list_checklists(SYSTEM, emergency, now=again)}["analysis"]
    assert (shown.asked_for, shown.waits, shown.overdue) == (False, True, 0)
    commands.resolve_incident(resolution="fixed for good", now=again, **by)
    deliver_pending(now=again)
    rows = _items(emergency, "analysis")
    assert {row.due_at for row in rows.values() if row.ticked_at is None} == {
        again + 2 * HOUR,
        again + 24 * HOUR,
        again + 7 * 24 * HOUR,
    }
    assert _ticked(emergency, "analysis") == {"root_cause"}
    reopened = Event.objects.get(stream=emergency.stream, kind="checklist.reopened")
    assert reopened.summary == "To be done again: Verify system stability, Update stakeholders"
    assert rows["verify_stability"].note == ""
    _tick(emergency, "monitor_metrics", commander, again, checklist="analysis")
    resolutions = Event.objects.filter(stream=emergency.stream, kind="incident.resolved").order_by("seq")
    for event in resolutions:  # told once more, they change nothing
        keep_checklists(event, again)
    assert _ticked(emergency, "analysis") == {"root_cause", "monitor_metrics"}
    _happens(emergency, "message.sent", again, template="incident_resolved")
    assert "update_stakeholders" in _ticked(emergency, "analysis")  # the second time is one, too
    assert [remind_of_phases(now=again + at * MINUTE) for at in (89, 91)] == [0, 1]
    assert [kind for kind, *_rest in _reminders(emergency)] == ["checklist.due_soon"]
    assert mark_lapsed_phases(now=again + 2 * HOUR) == 1


HAND, LOOK, CALM, BACK = (
    ("rollback.resolved_by_hand", ""), ("incident.status_changed", "investigating"),
    ("incident.status_changed", "monitoring"), ("incident.status_changed", "rollback_initiated"),
)  # fmt: skip
DONE, OVER, OPEN = ("rollback.succeeded", ""), ("incident.resolved", ""), ("incident.reopened", "")


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        ((BACK, DONE, CALM), False),
        ((BACK, DONE, CALM, LOOK), True),  # a relapse that was mended forward
        ((BACK, DONE, CALM, LOOK, CALM), True),
        ((BACK, DONE, CALM, LOOK, BACK, DONE, CALM), False),  # its second rollback was its end
        ((BACK, DONE, CALM, OVER, OPEN), True),
        ((BACK, DONE, CALM, OVER, OPEN, BACK, DONE, CALM), False),
        ((OVER, OPEN), True),
        ((BACK, HAND, LOOK), True),  # completed by hand, and looked into until the resolution
        ((BACK, HAND, LOOK, CALM), False),
        ((BACK, LOOK, HAND, CALM), False),
        ((DONE,), False),
    ],
)
def test_a_relapse_is_over_with_its_resolution_where_no_rollback_ended_it(
    history: tuple[tuple[str, str], ...], expected: bool
) -> None:
    assert relapsed(history) is expected


def test_a_tick_says_who_and_when_and_stands_on_the_timeline(
    emergency: Incident, commander: Actor, began: dt.datetime
) -> None:
    at = began + MINUTE
    row = _tick(emergency, "preserve_evidence", commander, at, note="logs are in the bucket")
    row.refresh_from_db()
    assert (row.ticked_by, row.ticked_at, row.note) == ("ida", at, "logs are in the bucket")
    event = Event.objects.filter(stream=emergency.stream).latest("seq")
    assert (event.kind, event.actor) == ("checklist.ticked", "ida")
    assert event.summary == "Done: Preserve evidence (logs are in the bucket)"
    assert event.data["item"] == "preserve_evidence"


def test_who_comes_second_learns_who_was_first_and_when(
    emergency: Incident, commander: Actor, make_actor: MakeActor, began: dt.datetime
) -> None:
    at = began.replace(hour=9, minute=8, second=7)
    _tick(emergency, "assess_severity", commander, at)
    with pytest.raises(AlreadyTicked) as caught:
        _tick(emergency, "assess_severity", make_actor("rob"), at + MINUTE)
    assert caught.value.message == "“Assess severity” is already ticked by ida at 09:08:07 UTC."


@pytest.mark.django_db(transaction=True)
def test_of_twelve_who_click_at_once_one_ticks_and_the_others_learn_who(
    emergency: Incident, commander: Actor, began: dt.datetime
) -> None:
    start, said = threading.Barrier(12), []

    def click() -> None:
        start.wait()
        try:
            _tick(emergency, "assess_severity", commander, began + MINUTE)
            said.append("ticked")
        except AlreadyTicked as error:
            said.append(error.message)
        finally:
            connection.close()

    threads = [threading.Thread(target=click) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert said.count("ticked") == 1
    assert len([text for text in said if "already ticked by ida at" in text]) == 11
    assert _kinds(emergency).count("checklist.ticked") == 2  # and the declaration's own


def test_unticking_needs_a_reason_and_keeps_who_had_ticked_it_on_the_timeline(
    emergency: Incident, commander: Actor, began: dt.datetime
) -> None:
    ask: dict[str, Any] = {
        "incident_id": emergency.pk,
        "checklist": "emergency",
        "actor": commander,
        "now": began,
    }
    with pytest.raises(Conflict):
        untick_item(**ask, item="assess_severity", reason="never was")
    with pytest.raises(Invalid):
        untick_item(**ask, item="document_issue", reason="  ")
    row = untick_item(**ask, item="document_issue", reason="no details in it")
    assert (row.ticked_at, row.ticked_by, row.note) == (None, "", "")
    event = Event.objects.filter(stream=emergency.stream).latest("seq")
    assert event.summary == "Not done after all: Document issue (was ticked by Firebreak): no details in it"


def test_only_who_may_and_only_what_there_is(
    emergency: Incident, commander: Actor, make_actor: MakeActor, began: dt.datetime
) -> None:
    with pytest.raises(NotAllowed):
        _tick(emergency, "assess_severity", make_actor("vic", "viewer"), began)
    for wrong in ({"item": "nothing"}, {"item": "assess_severity", "checklist": "analysis"}):
        with pytest.raises(NotFound):
            _tick(emergency, actor=commander, now=began, **wrong)
    Incident.objects.filter(pk=emergency.pk).update(restricted=True)
    with pytest.raises(NotFound):
        _tick(emergency, "assess_severity", make_actor("rob"), began)


def test_a_closed_incident_is_ticked_by_nobody_and_by_no_machine(
    emergency: Incident, commander: Actor, began: dt.datetime
) -> None:
    commands.resolve_incident(incident_id=emergency.pk, resolution="fixed", actor=commander, now=began)
    _tick(emergency, "assess_severity", commander, began)  # late, but true: the record may be completed
    publish_report_of(emergency, now=began)
    commands.close_incident(incident_id=emergency.pk, actor=commander, now=began)
    with pytest.raises(Conflict, match="closed"):
        _tick(emergency, "preserve_evidence", commander, began)
    _happens(emergency, "message.sent", began + MINUTE, template="incident_alert")
    assert _ticked(emergency) == {"assess_severity", "document_issue"}


def test_what_is_not_done_when_its_phase_ends_is_said_once_for_the_whole_phase(
    emergency: Incident, commander: Actor, began: dt.datetime
) -> None:
    _tick(emergency, "assess_severity", commander, began)
    end = began + 5 * MINUTE
    assert mark_lapsed_phases(now=end - dt.timedelta(seconds=1)) == 0
    assert mark_lapsed_phases(now=end) == 1
    event = Event.objects.filter(stream=emergency.stream).latest("seq")
    assert (event.kind, event.actor) == ("checklist.overdue", SYSTEM.label)
    assert event.summary == "Overdue in immediate actions: Notify team, Preserve evidence"
    assert event.data["items"] == ["notify_team", "preserve_evidence"]
    assert mark_lapsed_phases(now=end) == 0
    untick_item(
        incident_id=emergency.pk, checklist="emergency", item="assess_severity", reason="too early",
        actor=commander, now=end,
    )  # fmt: skip
    assert mark_lapsed_phases(now=end) == 0  # the phase was said
    assert mark_lapsed_phases(now=began + HOUR) == 3
    assert _kinds(emergency).count("checklist.overdue") == 4


def test_a_phase_done_in_time_is_never_overdue(
    emergency: Incident, commander: Actor, began: dt.datetime
) -> None:
    for item in ("assess_severity", "notify_team", "preserve_evidence"):
        _tick(emergency, item, commander, began + MINUTE)
    assert mark_lapsed_phases(now=began + 5 * MINUTE) == 0
    assert not any(
        checklist.overdue for checklist in list_checklists(SYSTEM, emergency, now=began + 5 * MINUTE)
    )


def test_after_the_resolution_the_emergency_is_not_overdue_but_the_analysis_still_is(
    emergency: Incident, commander: Actor, began: dt.datetime
) -> None:
    resolved = began + MINUTE
    commands.resolve_incident(incident_id=emergency.pk, resolution="fixed", actor=commander, now=resolved)
    deliver_pending(now=resolved)
    assert mark_lapsed_phases(now=began + HOUR) == 0
    assert "checklist.overdue" not in _kinds(emergency)
    assert not ChecklistItem.objects.lapsing(began + HOUR).exists()  # nor is it looked at again
    assert mark_lapsed_phases(now=resolved + 2 * HOUR) == 1
    emergency.refresh_from_db()
    shown = {
        c.key: (c.asked_for, c.overdue) for c in list_checklists(SYSTEM, emergency, now=resolved + 2 * HOUR)
    }
    assert shown == {"emergency": (False, 0), "analysis": (True, 4)}
    publish_report_of(emergency, now=resolved)
    commands.close_incident(incident_id=emergency.pk, actor=commander, now=resolved + 3 * HOUR)
    assert mark_lapsed_phases(now=resolved + 30 * HOUR) == 0


def test_an_overdue_phase_is_announced_once_and_not_when_it_was_done_meanwhile(
    emergency: Incident, commander: Actor, began: dt.datetime
) -> None:
    end = began + 5 * MINUTE
    mark_lapsed_phases(now=end)
    deliver_pending(now=end)
    message = Message.objects.get(template="checklist_overdue")
    assert "CHECKLIST OVERDUE - P0 Checkout fails" in message.subject
    assert "Overdue in immediate actions: Assess severity, Notify team, Preserve evidence" in message.body
    assert emergency.ref in message.body
    mark_lapsed_phases(now=end)
    deliver_pending(now=end)
    assert Message.objects.filter(template="checklist_overdue").count() == 1
    facts: dict[str, Any] = {"incident_open": True, "acknowledged": True, "rollback_state": ""}
    assert is_stale("checklist_overdue", **facts, overdue=False)
    assert not is_stale("checklist_overdue", **facts, overdue=True)


def test_what_is_next_is_what_is_due_first(emergency: Incident, commander: Actor, began: dt.datetime) -> None:
    guidance = guidance_for(commander, emergency, now=began + MINUTE)
    assert [item.key for item in guidance.next_items] == [
        "assess_severity",
        "notify_team",
        "preserve_evidence",
    ]
    _tick(emergency, "notify_team", commander, began + MINUTE)
    guidance = guidance_for(commander, emergency, now=began + 6 * MINUTE)
    assert [(item.key, item.overdue) for item in guidance.next_items] == [
        ("assess_severity", True),
        ("preserve_evidence", True),
        ("identify_target", False),
    ]
    assert guidance.overdue == 2
    Incident.objects.filter(pk=emergency.pk).update(status=IncidentStatus.RESOLVED, resolved_at=began)
    emergency.refresh_from_db()
    assert guidance_for(commander, emergency, now=began + 6 * MINUTE).next_items == ()


def test_the_database_keeps_one_item_per_key_and_a_tick_with_its_name(
    emergency: Incident, began: dt.datetime
) -> None:
    row = _items(emergency)["assess_severity"]
    with pytest.raises(IntegrityError, match="ticked_item_says_when_and_by_whom"), transaction.atomic():
        ChecklistItem.objects.filter(pk=row.pk).update(ticked_at=began)
    row.pk = None
    with pytest.raises(IntegrityError, match="one_item_per_key_and_checklist"), transaction.atomic():
        row.save(force_insert=True)


def test_events_that_concern_no_checklist_cost_one_look_at_the_playbook(
    emergency: Incident, now: dt.datetime, django_assert_num_queries: Any
) -> None:
    event = record_on_incident(emergency, "incident.edited", "Changed title", actor=SYSTEM, now=now)
    assert not PendingEvent.objects.filter(event=event, consumer="incidents.checklists").exists()
    with django_assert_num_queries(0):  # where a row of the version before is there all the same
        keep_checklists(event, now)


def test_the_shipped_checklists_are_the_policys() -> None:
    """Source: seed, Emergency Rollback Checklist, Immediate Security Response, Post-Rollback Analysis."""
    shape = {
        key: [(phase.starts / 60, phase.ends / 60, len(phase.items)) for phase in checklist.phases]
        for key, checklist in policy.checklists().items()
    }
    assert shape == {
        "emergency": [(0, 5, 4), (5, 15, 4), (15, 30, 4), (30, 60, 4)],
        "security": [(0, 15, 3), (0, 30, 3), (15, 60, 3)],
        "analysis": [(0, 120, 4), (120, 1440, 4), (1440, 10080, 4)],
    }


@pytest.fixture
def analysed(emergency: Incident, commander: Actor, make_actor: MakeActor, began: dt.datetime) -> Incident:
    """Resolved, with Ida as incident commander and Tess as technical lead: its analysis is open."""
    make_actor("tess", "responder", "technical_lead")
    by: dict[str, Any] = {"incident_id": emergency.pk, "actor": commander, "now": began}
    assign_role(role="incident_commander", username="ida", **by)
    assign_role(role="technical_lead", username="tess", **by)
    commands.resolve_incident(resolution="fixed", **by)
    deliver_pending(now=began)
    emergency.refresh_from_db()
    return emergency


def _reminders(incident: Incident) -> list[tuple[str, list[str], list[str]]]:
    kinds = ("checklist.due_soon", "checklist.overdue")
    rows = Event.objects.filter(stream=incident.stream, kind__in=kinds, data__checklist="analysis")
    return [(e.kind, e.data["items"], e.data["to"]) for e in rows.order_by("seq")]


def test_each_item_is_who_holds_its_role_or_the_commanders(analysed: Incident) -> None:
    owners = {key: str(row.owner) for key, row in _items(analysed, "analysis").items()}
    assert owners["root_cause"] == owners["verify_stability"] == "tess"
    assert owners["review"] == "ida"
    assert owners["update_stakeholders"] == "ida"  # nobody holds the role
    assert set(owners.values()) == {"ida", "tess"}


def test_owners_are_told_once_before_a_window_ends_and_after_it(
    analysed: Incident, commander: Actor, began: dt.datetime
) -> None:
    _tick(analysed, "monitor_metrics", commander, began, checklist="analysis")
    assert remind_of_phases(now=began + 89 * MINUTE) == 0
    assert [remind_of_phases(now=began + at * MINUTE) for at in (90, 91)] == [1, 0]
    left = ["verify_stability", "test_functions", "update_stakeholders"]
    to = ["account:ida", "account:tess"]
    assert _reminders(analysed) == [("checklist.due_soon", left, to)]
    due = Event.objects.get(kind="checklist.due_soon")
    assert is_checklist_due(due)
    deliver_pending(now=began + 91 * MINUTE)
    assert Message.objects.get(event=due, template="reminder").audiences == to
    assert mark_lapsed_phases(now=began + 2 * HOUR) >= 1
    assert _reminders(analysed)[1] == ("checklist.overdue", left, to)
    for item in left:
        _tick(analysed, item, commander, began + 2 * HOUR, checklist="analysis")
    assert not is_checklist_due(due)


def test_late_sweeps_do_not_say_soon_of_what_is_overdue(analysed: Incident, began: dt.datetime) -> None:
    assert remind_of_phases(now=began + 3 * HOUR) == 0
    mark_lapsed_phases(now=began + 3 * HOUR)
    assert [kind for kind, _items_of, _to in _reminders(analysed)] == ["checklist.overdue"]
    assert remind_of_phases(now=began + 23 * HOUR) == 1  # the next phase's own


def test_an_item_is_given_to_somebody_else_who_may_see_the_incident(
    analysed: Incident, commander: Actor, make_actor: MakeActor, began: dt.datetime
) -> None:
    by: dict[str, Any] = {
        "incident_id": analysed.pk, "checklist": "analysis", "item": "root_cause", "actor": commander, "now": began,
    }  # fmt: skip
    make_actor("lena")
    row = assign_item(user="Lena", **by)
    assert str(row.owner) == "lena"
    event = Event.objects.filter(stream=analysed.stream).latest("seq")
    assert (event.kind, event.summary) == ("checklist.assigned", "“Root cause analysis” is given to lena")
    assert assign_item(user="lena", **by).owner == row.owner
    assert assign_item(user=None, **by).owner is None
    with pytest.raises(Invalid, match="No such account"):
        assign_item(user="nobody-at-all", **by)
    Incident.objects.filter(pk=analysed.pk).update(restricted=True)
    with pytest.raises(Invalid, match="may not see this incident"):
        assign_item(user="lena", **by)
    _tick(analysed, "root_cause", commander, began, checklist="analysis")
    with pytest.raises(AlreadyTicked):
        assign_item(user="ida", **by)


def test_who_may_not_see_it_any_more_is_not_told(analysed: Incident, began: dt.datetime) -> None:
    Incident.objects.filter(pk=analysed.pk).update(restricted=True)
    analysed.responders.filter(user__username="tess").update(until=began)
    remind_of_phases(now=began + 91 * MINUTE)
    assert _reminders(analysed)[0][2] == ["account:ida", "role_holders"]


def test_the_published_report_ticks_what_it_is(analysed: Incident, began: dt.datetime) -> None:
    publish_report_of(analysed, now=began + HOUR)
    deliver_pending(now=began + HOUR)
    assert _ticked(analysed, "analysis") == {"timeline_documentation", "lessons_learned"}
    _happens(analysed, "message.sent", began + HOUR, template="incident_resolved")
    assert "update_stakeholders" in _ticked(analysed, "analysis")


@pytest.mark.parametrize("severity", ["P0", "P1", "P2", "P3"])
def test_the_analysis_opens_for_every_severity_and_in_no_drill(
    severity: str, commander: Actor, began: dt.datetime
) -> None:
    for drill in (False, True):
        by: dict[str, Any] = {"actor": commander, "now": began}
        one = commands.declare_incident(title="x", severity=severity, drill=drill, **by)
        commands.resolve_incident(incident_id=one.pk, resolution="fixed", **by)
        deliver_pending(now=began)
        assert len(_items(one, "analysis")) == (0 if drill else 12)


def test_a_report_without_lessons_teaches_none(
    analysed: Incident, commander: Actor, began: dt.datetime
) -> None:
    Incident.objects.filter(pk=analysed.pk).update(severity="P3")  # where nobody is asked for them
    by: dict[str, Any] = {"incident_id": analysed.pk, "actor": commander, "now": began + HOUR}
    edit_report(texts={"primary_cause": "Key", "actions_taken": "New key"}, **by)
    publish_report(**by)
    deliver_pending(now=began + HOUR)
    assert _ticked(analysed, "analysis") == {"timeline_documentation"}
