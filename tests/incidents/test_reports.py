"""The post-incident report: drafted, written by several, reviewed by a second person, published, revised."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings
from django.db import ProgrammingError, connection, transaction
from pytest_django import DjangoAssertNumQueries

from comms.models import Message
from core import events
from core.actors import SYSTEM, Actor, ActorKind
from core.clock import utcnow
from core.errors import Invalid, NotAllowed, NotFound
from core.models import Event, User
from core.outbox import deliver_pending
from incidents.models import Incident, PublishedReport, Report, ReportChange, ReportText
from incidents.rules.reports import CHOSEN_KINDS, entries
from incidents.selectors.reports import is_report_due, report_facts, report_lines
from incidents.services import reports
from incidents.services.closing import NotReported
from incidents.services.incidents import close_incident, declare_incident, reopen_incident, resolve_incident
from incidents.services.notes import add_note
from incidents.services.reports import NotReady, ReportChanged
from incidents.states import ReportSection
from rollbacks.services.endings import end_rollback
from rollbacks.services.requests import request_rollback
from rollbacks.states import RollbackState
from rollbacks.transitions import move_rollback
from tests.reporting import publish_report_of

pytestmark = pytest.mark.django_db
MakeActor = Callable[..., Actor]
HOUR = dt.timedelta(hours=1)
DAY = dt.timedelta(days=1)


@pytest.fixture
def now() -> dt.datetime:
    """In the past: what is due is judged by the database's clock, which is not moved."""
    return utcnow() - 20 * DAY


@pytest.fixture
def over(incident: Incident, commander: Actor, now: dt.datetime) -> Incident:
    """A P0 that is resolved, with its report drafted."""
    by: dict[str, Any] = {"incident_id": incident.pk, "actor": commander}
    add_note(summary="Switched the provider off", kind="action", now=now, **by)
    add_note(summary="Coffee is out", now=now, **by)
    resolve_incident(resolution="Provider back", root_cause="Expired key", now=now + HOUR, **by)
    deliver_pending(now=now + HOUR)
    incident.refresh_from_db()
    return incident


def kinds(incident: Incident) -> list[str]:
    found = Event.objects.filter(stream=incident.stream, kind__startswith="report.").order_by("seq")
    return list(found.values_list("kind", flat=True))


def everything() -> dict[str, str]:
    return {str(section): f"{section.label} of it" for section in ReportSection}


def test_it_is_drafted_from_the_timeline_at_the_resolution(
    over: Incident, commander: Actor, now: dt.datetime
) -> None:
    report = Report.objects.get(incident=over)
    assert (report.state, report.revision, report.owner.get_username()) == ("draft", 1, "ida")  # type: ignore[union-attr]
    assert report.due_at == now + HOUR + 3 * DAY
    facts = report_facts(over)
    assert facts.primary_cause == "Expired key"
    assert facts.actions_taken == ("Switched the provider off", "Provider back")
    assert (facts.started_at, facts.ended_at) == (over.started_at, over.resolved_at)
    shown = [(row.event or row.action, row.owner) for row in facts.timeline]
    assert shown[0] == (f"{over.ref} declared", "ida") or "eclared" in shown[0][0]
    assert ("Switched the provider off", "ida") in shown
    assert "Coffee is out" not in [text for text, _owner in shown]
    assert facts.users_affected == ""  # only people know


def test_the_rollback_is_told_by_the_timeline_alone(
    incident: Incident, commander: Actor, now: dt.datetime
) -> None:
    rollback = request_rollback(
        incident_id=incident.pk, service="shop", reason="It is the release", actor=commander, now=now
    )
    move_rollback(rollback, RollbackState.VALIDATING, started_at=now)
    move_rollback(rollback, RollbackState.EXECUTING)
    move_rollback(rollback, RollbackState.VERIFYING)
    end_rollback(rollback, RollbackState.SUCCEEDED, "all well", actor=SYSTEM, now=now + HOUR)
    [part] = report_facts(incident).rollbacks
    assert (part.ref, part.service, part.from_version, part.target_version) == (
        rollback.ref,
        "shop",
        "2.0.0",
        "1.9.0",
    )
    assert (part.initiated_at, part.completed_at, part.method, part.outcome) == (
        now,
        now + HOUR,
        "manual",
        "succeeded",
    )


def test_two_people_write_review_publish_and_close(
    over: Incident, commander: Actor, make_actor: MakeActor, now: dt.datetime
) -> None:
    lena = make_actor("lena")
    ida: dict[str, Any] = {"incident_id": over.pk, "actor": commander, "now": now + 2 * HOUR}
    len_: dict[str, Any] = {**ida, "actor": lena}
    with pytest.raises(NotReported, match="/report/"):
        close_incident(**ida)
    with pytest.raises(NotReady, match=r"Still to be written: .*Users affected"):
        reports.submit_report(**ida)
    reports.edit_report(texts=everything(), **ida)
    reports.submit_report(**ida)
    with pytest.raises(NotReady, match="Another person"):
        reports.publish_report(**ida)
    reports.return_report(reason="Say more about the cause", **len_)
    reports.edit_report(texts={"primary_cause": "The key had expired on Sunday"}, **ida)
    with pytest.raises(NotReady, match="Ask for its review first"):
        reports.publish_report(**len_)
    reports.submit_report(**ida)
    report = reports.publish_report(**len_)
    assert (report.state, report.published_by) == ("published", "lena")
    kept = PublishedReport.objects.get(report=report)
    assert "The key had expired on Sunday" in kept.markdown
    assert kept.sha256 == Event.objects.get(kind="report.published").data["sha256"]
    with pytest.raises(NotReady, match="is published"):
        reports.edit_report(texts={"impact": "None"}, **ida)
    assert close_incident(**ida).status == "closed"
    assert kinds(over)[-1] == "report.published"


def test_a_published_report_is_revised_and_stays_readable(
    over: Incident, commander: Actor, now: dt.datetime
) -> None:
    by: dict[str, Any] = {"incident_id": over.pk, "actor": commander, "now": now + 3 * HOUR}
    publish_report_of(over, now=now + 2 * HOUR)
    with pytest.raises(Invalid):
        reports.revise_report(reason=" ", **by)
    report = reports.revise_report(reason="The vendor answered", **by)
    assert (report.state, report.revision) == ("draft", 2)
    reports.edit_report(texts={"primary_cause": "Their fault"}, **by)
    assert "Their fault" not in PublishedReport.objects.get(report=report).markdown
    assert close_incident(**by).status == "closed"  # one was published, the next is on its way
    publish_report_of(over, now=now + 4 * HOUR)
    assert list(PublishedReport.objects.values_list("revision", flat=True)) == [2, 1]


def test_two_who_write_one_section_at_once_do_not_overwrite_each_other(
    over: Incident, commander: Actor, make_actor: MakeActor, now: dt.datetime
) -> None:
    by: dict[str, Any] = {"incident_id": over.pk, "actor": commander, "now": now + 2 * HOUR}
    seen = {"went_well": 0, "primary_cause": 1}
    reports.edit_report(texts={"went_well": "Paging worked"}, seen=seen, **by)
    with pytest.raises(ReportChanged) as refused:
        reports.edit_report(texts={"went_well": "Nothing"}, seen=seen, **by | {"actor": make_actor("lena")})
    assert (refused.value.theirs, refused.value.version) == ("Paging worked", 1)
    assert "by ida" in refused.value.message
    reports.edit_report(texts={"primary_cause": "Another section"}, seen=seen, **by | {"actor": commander})
    reports.edit_report(texts={"went_well": "Paging worked"}, seen=seen, **by)  # the same text is no change
    history = list(
        ReportChange.objects.filter(section="went_well").values_list("version", "text", "changed_by")
    )
    assert history == [(1, "Paging worked", "ida")]


def test_the_history_is_append_only(over: Incident, commander: Actor, now: dt.datetime) -> None:
    publish_report_of(over, now=now + 2 * HOUR)
    for table in ("incidents_reportchange", "incidents_publishedreport"):
        for statement in (f"UPDATE {table} SET id = id", f"DELETE FROM {table}"):
            with pytest.raises(ProgrammingError), transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(statement)


def test_reopening_keeps_what_people_wrote_and_renews_the_rest(
    over: Incident, commander: Actor, now: dt.datetime
) -> None:
    by: dict[str, Any] = {"incident_id": over.pk, "actor": commander}
    reports.edit_report(texts={"primary_cause": "We are sure of it"}, now=now + 2 * HOUR, **by)
    reopen_incident(reason="again", now=now + 3 * HOUR, **by)
    with pytest.raises(NotReady, match="is open"):
        reports.publish_report(now=now + 3 * HOUR, **by)
    resolve_incident(resolution="Really", root_cause="Something else", now=now + 5 * HOUR, **by)
    deliver_pending(now=now + 5 * HOUR)
    texts = dict(ReportText.objects.values_list("section", "text"))
    assert texts["primary_cause"] == "We are sure of it"
    assert texts["actions_taken"].endswith("Really")
    assert texts["impact_duration"] == "5 h"
    assert Report.objects.get().due_at == now + 5 * HOUR + 3 * DAY


@pytest.mark.parametrize("severity", ["P0", "P1", "P2", "P3"])
@pytest.mark.parametrize("reason", ["", "Nothing to learn"])
def test_only_a_p3_is_closed_without_one_and_only_with_a_reason(
    commander: Actor, now: dt.datetime, severity: str, reason: str
) -> None:
    incident = declare_incident(actor=commander, now=now, title="Typo", severity=severity)
    by: dict[str, Any] = {"incident_id": incident.pk, "actor": commander, "now": now}
    resolve_incident(resolution="Fixed", **by)
    if severity == "P3" and reason:
        assert close_incident(reason=reason, **by).status == "closed"
    else:
        with pytest.raises(Invalid if severity == "P3" else NotReported):
            close_incident(reason=reason, **by)
        incident.refresh_from_db()
        assert incident.status == "resolved"


def test_a_drill_closes_without_a_report(commander: Actor, now: dt.datetime) -> None:
    incident = declare_incident(actor=commander, now=now, title="Exercise", severity="P0", drill=True)
    by: dict[str, Any] = {"incident_id": incident.pk, "actor": commander, "now": now}
    resolve_incident(resolution="Learned", **by)
    deliver_pending(now=now)
    assert not Report.objects.exists()
    assert close_incident(**by).status == "closed"


def test_the_table_says_what_people_want_it_to_say(
    over: Incident, commander: Actor, now: dt.datetime
) -> None:
    by: dict[str, Any] = {"incident_id": over.pk, "actor": commander, "now": now + 2 * HOUR}
    coffee = Event.objects.get(summary="Coffee is out")
    switched = Event.objects.get(summary="Switched the provider off")
    reports.edit_row(seq=coffee.seq, included=True, event_text="No coffee", owner="Everybody", **by)
    reports.edit_row(seq=switched.seq, included=False, **by)
    rows = [(row.event, row.action, row.owner) for row in report_facts(over).timeline]
    assert ("No coffee", "", "Everybody") in rows
    assert not [row for row in rows if "provider off" in row[1]]
    lines = report_lines(over, Report.objects.get())
    assert [(line.included, line.reworded) for line in lines if line.seq == switched.seq] == [(False, True)]
    with pytest.raises(NotFound):
        reports.edit_row(seq=999, included=False, **by)
    with pytest.raises(Invalid):
        reports.edit_row(seq=coffee.seq, included=True, **by)


def test_a_long_timeline_costs_no_more(
    over: Incident, now: dt.datetime, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with transaction.atomic():
        for number in range(300):
            events.record(
                over.stream_id,
                kind="action.taken",
                actor=SYSTEM,
                summary=f"Action {number}",
                now=now + 2 * HOUR,
            )
    with django_assert_num_queries(6):
        assert len(report_facts(over).timeline) > 300


def test_its_owner_is_reminded_before_and_every_week_after(
    over: Incident, commander: Actor, now: dt.datetime
) -> None:
    due = Report.objects.get().due_at
    assert reports.remind_of_reports(now=due - 2 * DAY) == 0
    assert [reports.remind_of_reports(now=due - HOUR) for _ in range(2)] == [1, 0]
    assert [reports.remind_of_reports(now=due + HOUR) for _ in range(2)] == [1, 0]
    soon, late = Event.objects.filter(kind__in=("report.due_soon", "report.overdue")).order_by("pk")
    assert (soon.kind, late.kind) == ("report.due_soon", "report.overdue")
    assert late.data["to"] == ["account:ida"]
    assert late.data["path"] == f"/incidents/{over.ref}/report/"
    assert is_report_due(late)
    deliver_pending(now=due + HOUR)
    assert Message.objects.filter(event__in=[soon, late], template="reminder").count() == 2
    assert [reports.remind_of_reports(now=due + days * DAY) for days in (6, 7, 8, 15)] == [0, 1, 0, 1]
    publish_report_of(over, now=due + 16 * DAY)
    assert not is_report_due(late)
    assert reports.remind_of_reports(now=due + 30 * DAY) == 0


def test_a_reminder_goes_to_the_owner_or_to_who_leads(
    over: Incident, commander: Actor, make_actor: MakeActor, now: dt.datetime
) -> None:
    make_actor("lena")
    reports.give_report(incident_id=over.pk, owner="lena", actor=commander, now=now)
    due = Report.objects.get().due_at
    assert reports.remind_of_reports(now=due) == 1
    User.objects.filter(username="lena").update(is_active=False)  # she left
    assert reports.remind_of_reports(now=due + 7 * DAY) == 1
    User.objects.filter(username="lena").update(is_active=True)
    Incident.objects.filter(pk=over.pk).update(restricted=True)  # and here she may not see it any more
    assert reports.remind_of_reports(now=due + 14 * DAY) == 1
    told = [event.data["to"] for event in Event.objects.filter(kind="report.overdue").order_by("pk")]
    assert told == [["account:lena"], ["role_holders"], ["role_holders"]]


def test_whoever_may_not_may_not(over: Incident, make_actor: MakeActor, now: dt.datetime) -> None:
    by: dict[str, Any] = {"incident_id": over.pk, "now": now + 2 * HOUR}
    with pytest.raises(NotAllowed):
        reports.edit_report(texts=everything(), actor=make_actor("vic", "viewer"), **by)
    lena = make_actor("lena")
    reports.edit_report(texts=everything(), actor=lena, **by)
    reports.submit_report(actor=lena, **by)
    token = Actor(ActorKind.TOKEN, "bot", lena.level, make_actor("rosa").user_id, token_id="1")
    with pytest.raises(NotReady, match="A person publishes"):
        reports.publish_report(actor=token, **by)
    Incident.objects.filter(pk=over.pk).update(restricted=True)
    with pytest.raises(NotFound):
        reports.publish_report(actor=make_actor("eve", "commander"), **by)


def test_an_old_incident_gets_its_report_when_somebody_writes_it(
    incident: Incident, commander: Actor, now: dt.datetime
) -> None:
    by: dict[str, Any] = {"incident_id": incident.pk, "actor": commander, "now": now}
    with pytest.raises(NotReady, match="begins with its resolution"):
        reports.edit_report(texts={"impact": "Early"}, **by)
    Incident.objects.filter(pk=incident.pk).update(status="resolved", resolved_at=now, root_cause="Disk")
    reports.edit_report(texts={"impact": "Late"}, **by)
    assert dict(ReportText.objects.values_list("section", "text"))["primary_cause"] == "Disk"


def test_entries_are_lines_without_their_marks() -> None:
    assert entries("- one\n* two\n\n  three\n-four") == ("one", "two", "three", "-four")


def test_every_kind_that_stands_in_a_report_is_recorded_somewhere() -> None:
    """A kind that was renamed would silently be left out of every report."""
    apps = [settings.BASE_DIR / app for app in ("incidents", "rollbacks", "comms")]
    sources = [file.read_text() for app in apps for file in app.rglob("*.py") if file.name != "reports.py"]
    assert [kind for kind in CHOSEN_KINDS if not any(f'"{kind}"' in text for text in sources)] == []


def test_nobody_is_given_a_report_they_may_not_see(
    over: Incident, commander: Actor, make_actor: MakeActor, now: dt.datetime
) -> None:
    by: dict[str, Any] = {"incident_id": over.pk, "actor": commander, "now": now + 2 * HOUR}
    make_actor("eve")
    assert reports.give_report(owner="eve", **by).owner.get_username() == "eve"  # type: ignore[union-attr]
    reports.give_report(owner=None, **by)
    Incident.objects.filter(pk=over.pk).update(restricted=True)
    with pytest.raises(Invalid, match="may not see"):
        reports.give_report(owner="eve", **by)
