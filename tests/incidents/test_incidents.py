"""Incidents by their commands: declared, acknowledged, changed, updated, resolved, reopened, closed."""

from __future__ import annotations

import datetime as dt
import re
import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction

from core.actors import SYSTEM, Actor, Level
from core.errors import Conflict, IllegalMove, Invalid, NotAllowed, NotFound
from core.events import record
from core.models import Event
from incidents.models import Incident
from incidents.selectors.timeline import list_events
from incidents.services import incidents as commands
from incidents.services.clocks import mark_breached_responses
from incidents.services.closing import NotReported
from incidents.services.notes import add_note
from incidents.services.people import GrantMissing, add_responder, assign_role, release_role
from incidents.states import MOVES, IncidentStatus
from incidents.transitions import move_incident
from tests.reporting import publish_report_of

pytestmark = pytest.mark.django_db
MakeActor = Callable[..., Actor]


def _declare(actor: Actor, now: dt.datetime, **more: Any) -> Incident:
    given: dict[str, Any] = {"title": "Login is down", "severity": "P1"} | more
    return commands.declare_incident(actor=actor, now=now, **given)


def _kinds(incident: Incident) -> list[str]:
    return list(Event.objects.filter(stream=incident.stream).order_by("seq").values_list("kind", flat=True))


@pytest.mark.parametrize(("severity", "minutes"), [("P0", 15), ("P1", 60), ("P2", 240), ("P3", 1440)])
def test_the_response_clock_is_the_severitys(
    commander: Actor, now: dt.datetime, severity: str, minutes: int
) -> None:
    incident = _declare(commander, now, severity=severity)
    assert incident.response_due_at == now + dt.timedelta(minutes=minutes)
    assert re.fullmatch(rf"INC-{now:%Y-%m-%d}-\d{{4}}", incident.ref)


def test_a_security_levels_clock_counts_where_stricter(commander: Actor, now: dt.datetime) -> None:
    incident = _declare(commander, now, severity="P3", kind="security", security_level=1)
    assert incident.response_due_at == now + dt.timedelta(minutes=15)


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"title": "   "}, "title"),
        ({"security_level": 1}, "security_level"),
        ({"services": ["nowhere"]}, "services"),
        ({"started_at": dt.datetime(2999, 1, 1, tzinfo=dt.UTC)}, "started_at"),
        ({"started_at": dt.datetime(189, 1, 1, tzinfo=dt.UTC)}, "started_at"),
    ],
)
def test_a_wrong_declaration_names_the_field_and_stores_nothing(
    commander: Actor, now: dt.datetime, more: dict[str, object], field: str
) -> None:
    with pytest.raises(Invalid) as caught:
        _declare(commander, now, **more)
    assert field in caught.value.fields
    assert not Incident.objects.exists()


def test_who_acknowledges_first_with_the_grant_commands(
    commander: Actor, make_actor: MakeActor, now: dt.datetime
) -> None:
    incident = _declare(SYSTEM, now)
    commands.acknowledge_incident(incident_id=incident.pk, actor=commander, now=now + dt.timedelta(minutes=5))
    assert incident.responders.get(role="incident_commander").user.username == "ida"
    with pytest.raises(commands.AlreadyAcknowledged):
        commands.acknowledge_incident(incident_id=incident.pk, actor=make_actor("rob"), now=now)


def test_who_acknowledges_without_the_grant_is_a_responder(make_actor: MakeActor, now: dt.datetime) -> None:
    incident = _declare(SYSTEM, now)
    commands.acknowledge_incident(incident_id=incident.pk, actor=make_actor("rob"), now=now)
    assert [(r.user.username, r.role) for r in incident.responders.all()] == [("rob", "")]


def test_an_overdue_response_is_marked_once_and_only_when_due(commander: Actor, now: dt.datetime) -> None:
    incident = _declare(commander, now, severity="P0")
    assert mark_breached_responses(now=now + dt.timedelta(minutes=14, seconds=59)) == 0
    assert mark_breached_responses(now=now + dt.timedelta(minutes=15)) == 1
    assert mark_breached_responses(now=now + dt.timedelta(minutes=16)) == 0
    assert _kinds(incident) == ["incident.declared", "incident.response_breached"]


def test_an_acknowledged_incident_is_never_overdue(commander: Actor, now: dt.datetime) -> None:
    incident = _declare(commander, now, severity="P0")
    commands.acknowledge_incident(incident_id=incident.pk, actor=commander, now=now)
    assert mark_breached_responses(now=now + dt.timedelta(days=1)) == 0


def test_a_late_acknowledgement_stays_late(commander: Actor, now: dt.datetime) -> None:
    incident = _declare(commander, now, severity="P0")
    late = commands.acknowledge_incident(
        incident_id=incident.pk, actor=commander, now=now + dt.timedelta(minutes=20)
    )
    assert late.response_breached_at == now + dt.timedelta(minutes=15)
    assert incident.pk == late.pk


def test_changing_severity_moves_the_clock_by_the_ruling(commander: Actor, now: dt.datetime) -> None:
    incident = _declare(commander, now, severity="P2")
    change: dict[str, Any] = {"incident_id": incident.pk, "actor": commander, "reason": "spreads"}
    raised = commands.change_severity(severity="P0", now=now + dt.timedelta(hours=1), **change)
    assert raised.response_due_at == now + dt.timedelta(hours=1, minutes=15)
    lowered = commands.change_severity(severity="P3", now=now + dt.timedelta(hours=2), **change)
    assert lowered.response_due_at == now + dt.timedelta(hours=26)


def test_the_whole_life(commander: Actor, now: dt.datetime) -> None:
    incident = _declare(commander, now)
    act: dict[str, Any] = {"incident_id": incident.pk, "actor": commander, "now": now}
    commands.post_update(message="Looking", next_steps="Check logs\nCall vendor", **act)
    commands.post_update(message="Fixed forward", status="monitoring", **act)
    commands.resolve_incident(resolution="Restarted", root_cause="Disk full", **act)
    with pytest.raises(Conflict):
        commands.post_update(message="too late", **act)
    commands.reopen_incident(reason="again", **act)
    commands.resolve_incident(resolution="Bigger disk", **act)
    with pytest.raises(NotReported, match=f"/incidents/{incident.ref}/report/"):
        commands.close_incident(reason="tired of it", **act)
    publish_report_of(incident, now=now)
    closed = commands.close_incident(**act)
    assert closed.status == "closed"
    assert closed.root_cause == "Disk full"
    with pytest.raises(IllegalMove):
        commands.close_incident(**act)
    lived = [kind for kind in _kinds(incident) if not kind.startswith("report.")]
    assert lived == [
        "incident.declared", "incident.updated", "incident.status_changed", "incident.updated",
        "incident.resolved", "incident.reopened", "incident.resolved", "incident.closed",
    ]  # fmt: skip
    seqs = Event.objects.filter(stream=incident.stream).order_by("seq").values_list("seq", flat=True)
    assert list(seqs) == list(range(1, len(seqs) + 1))


@pytest.mark.parametrize("start", IncidentStatus)
@pytest.mark.parametrize("to", IncidentStatus)
def test_every_move_is_in_the_table_or_refused(
    commander: Actor, now: dt.datetime, start: IncidentStatus, to: IncidentStatus
) -> None:
    incident = _declare(commander, now)
    Incident.objects.filter(pk=incident.pk).update(status=start, resolved_at=now)
    incident.refresh_from_db()
    if to in MOVES[start]:
        move_incident(incident, to)
        assert incident.status == to
    else:
        with pytest.raises(IllegalMove):
            move_incident(incident, to)


def test_a_stale_copy_moves_nothing(commander: Actor, now: dt.datetime) -> None:
    incident = _declare(commander, now)
    stale = Incident.objects.get(pk=incident.pk)
    move_incident(incident, IncidentStatus.MONITORING)
    with pytest.raises(IllegalMove, match="somebody else"):
        move_incident(stale, IncidentStatus.RESOLVED, resolved_at=now)


def test_the_database_refuses_to_leave_closed(commander: Actor, now: dt.datetime) -> None:
    incident = _declare(commander, now)
    Incident.objects.filter(pk=incident.pk).update(status="closed", resolved_at=now)
    with pytest.raises(IntegrityError), transaction.atomic():
        Incident.objects.filter(pk=incident.pk).update(status="investigating")


def test_a_role_needs_the_grant_and_handing_over_keeps_history(
    commander: Actor, make_actor: MakeActor, now: dt.datetime
) -> None:
    incident = _declare(commander, now)
    rob, ann = make_actor("rob"), make_actor("ann", "responder", "incident_commander")
    with pytest.raises(GrantMissing):
        assign_role(incident_id=incident.pk, role="incident_commander", username="rob", actor=rob, now=now)
    with pytest.raises(NotAllowed):
        assign_role(incident_id=incident.pk, role="incident_commander", username="ida", actor=rob, now=now)
    for name, actor in (("ida", commander), ("ann", ann)):
        assign_role(incident_id=incident.pk, role="incident_commander", username=name, actor=actor, now=now)
    history = incident.responders.filter(role="incident_commander").values_list("user__username", "until")
    assert {name: until is None for name, until in history} == {"ann": True, "ida": False}
    release_role(incident_id=incident.pk, role="incident_commander", actor=ann, now=now)
    with pytest.raises(Conflict):
        release_role(incident_id=incident.pk, role="incident_commander", actor=ann, now=now)


def test_a_restricted_incident_does_not_exist_for_others(
    commander: Actor, make_actor: MakeActor, now: dt.datetime
) -> None:
    incident = _declare(commander, now, restricted=True)
    rob = make_actor("rob")
    assert not Incident.objects.visible_to(rob).exists()
    with pytest.raises(NotFound):
        add_note(incident_id=incident.pk, summary="peek", actor=rob, now=now)
    add_responder(incident_id=incident.pk, username="rob", actor=commander, now=now)
    assert Incident.objects.visible_to(rob).get() == incident
    nobody = make_actor("newcomer", "")
    assert nobody.level is Level.NONE
    assert not Incident.objects.visible_to(nobody).exists()


def test_notes_may_be_back_dated_but_stand_where_they_were_written(
    commander: Actor, now: dt.datetime
) -> None:
    incident = _declare(commander, now)
    earlier = now - dt.timedelta(hours=1)
    event = add_note(
        incident_id=incident.pk,
        summary="users complained",
        actor=commander,
        now=now,
        occurred_at=earlier,
    )
    assert (event.seq, event.occurred_at, event.kind) == (2, earlier, "note.added")


@pytest.mark.django_db(transaction=True)
def test_fifty_declarations_at_once_get_fifty_dense_references(commander: Actor, now: dt.datetime) -> None:
    failures: list[str] = []
    start = threading.Barrier(50)

    def declare(number: int) -> None:
        start.wait()
        try:
            if number % 10 == 0:  # some fail after their number was taken
                with transaction.atomic():
                    _declare(commander, now)
                    raise LookupError
            _declare(commander, now)
        except LookupError:
            _declare(commander, now)
        except Exception as error:
            failures.append(repr(error))
        finally:
            connection.close()

    threads = [threading.Thread(target=declare, args=(number,)) for number in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    refs = sorted(Incident.objects.values_list("ref", flat=True))
    assert refs == [f"INC-{now:%Y-%m-%d}-{n:04d}" for n in range(1, 51)]


def test_the_text_behind_a_line_is_words_never_a_number(incident: Incident, now: dt.datetime) -> None:
    record(
        incident.stream_id,
        kind="message.sent",
        actor=SYSTEM,
        summary="Update: 7 delivered",
        now=now,
        data={"message": 3},
    )
    record(
        incident.stream_id, kind="incident.updated", actor=SYSTEM, summary="Half…", now=now,
        data={"message": "Half of it, and the other half."},
    )  # fmt: skip
    updated, sent = list_events(incident)[:2]
    assert (updated.detail, sent.detail) == ("Half of it, and the other half.", "")
