"""The post-incident report: drafted, written by several, reviewed by a second person, published, revised."""

from __future__ import annotations

import datetime as dt
import hashlib
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
from incidents.models import (
    Incident,
    PublishedReport,
    Report,
    ReportChange,
    ReportRowChange,
    ReportText,
)
from incidents.rules.markdown import report_markdown
from incidents.rules.reports import CHOSEN_KINDS, PROPOSALS, entries
from incidents.selectors.report_files import markdown_of
from incidents.selectors.reports import (
    MOST_ACTIONS,
    drafted_texts,
    is_report_due,
    report_facts,
    report_lines,
)
from incidents.services import reports
from incidents.services.action_items import complete_action_item, create_action_item, drop_action_item
from incidents.services.closing import NotReported
from incidents.services.incidents import close_incident, declare_incident, reopen_incident, resolve_incident
from incidents.services.notes import add_note
from incidents.services.reports import NotReady, ReportChanged
from incidents.states import ReportSection
from rollbacks.services.endings import end_rollback
from rollbacks.services.requests import request_rollback
from rollbacks.states import RollbackState
from rollbacks.timeline import record_on_rollback
from rollbacks.transitions import move_rollback
from tests.due_work import due_of
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


def test_a_relapse_after_publishing_is_the_next_revision(
    over: Incident, commander: Actor, now: dt.datetime
) -> None:
    """What was published says nothing of the second end: nobody closes on it."""
    by: dict[str, Any] = {"incident_id": over.pk, "actor": commander}
    publish_report_of(over, now=now + 2 * HOUR)
    reopen_incident(reason="again", now=now + 3 * HOUR, **by)
    resolve_incident(resolution="Really", now=now + 5 * HOUR, **by)
    with pytest.raises(NotReported):  # also before the draft is made
        close_incident(now=now + 5 * HOUR, **by)
    deliver_pending(now=now + 5 * HOUR)
    report = Report.objects.get()
    assert (report.state, report.revision) == ("draft", 2)
    assert report.due_at == now + 5 * HOUR + 3 * DAY
    assert (report.reminded_at, report.overdue_at) == (None, None)
    assert kinds(over)[-1] == "report.revised"
    with pytest.raises(NotReported):
        close_incident(now=now + 6 * HOUR, **by)
    publish_report_of(over, now=now + 7 * HOUR)
    first, second = PublishedReport.objects.order_by("revision").values_list("markdown", flat=True)
    assert "**Duration**: 1 h\n" in first and "**Duration**: 5 h\n" in second
    assert "Reopened: again" in second and "Reopened: again" not in first
    assert close_incident(now=now + 8 * HOUR, **by).status == "closed"


def test_the_same_resolution_told_twice_revises_nothing(over: Incident, now: dt.datetime) -> None:
    publish_report_of(over, now=now + 2 * HOUR)
    resolved = Event.objects.get(kind="incident.resolved")
    reports.draft_report(event=resolved, now=now + 3 * HOUR)
    report = Report.objects.get()
    assert (report.state, report.revision) == ("published", 1)


def test_a_relapse_during_the_review_gives_it_back(
    over: Incident, commander: Actor, make_actor: MakeActor, now: dt.datetime
) -> None:
    by: dict[str, Any] = {"incident_id": over.pk, "actor": commander}
    reports.edit_report(texts=everything(), now=now + 2 * HOUR, **by)
    reports.submit_report(now=now + 2 * HOUR, **by)
    reopen_incident(reason="again", now=now + 3 * HOUR, **by)
    resolve_incident(resolution="Really", now=now + 5 * HOUR, **by)
    deliver_pending(now=now + 5 * HOUR)
    assert Report.objects.get().state == "draft"
    returned = Event.objects.get(kind="report.returned")
    assert (returned.actor, returned.data["state"]) == ("Firebreak", "draft")


def test_who_wrote_is_not_the_second_person(
    over: Incident, commander: Actor, make_actor: MakeActor, now: dt.datetime
) -> None:
    """Neither who wrote all of it, with their token too, nor who handed it in."""
    lena, rosa, rex, sam = (make_actor(name) for name in ("lena", "rosa", "rex", "sam"))
    by: dict[str, Any] = {"incident_id": over.pk, "now": now + 2 * HOUR}
    token = Actor(ActorKind.TOKEN, "rosa (token ci)", rosa.level, rosa.user_id, token_id="1")
    reports.edit_report(texts=everything(), actor=rosa, **by)
    reports.edit_row(seq=1, included=True, event_text="It broke", actor=token, **by)
    reports.submit_report(actor=sam, **by)
    for nobody in (rosa, sam):
        with pytest.raises(NotReady, match="Another person than who wrote all of it or handed it in"):
            reports.publish_report(actor=nobody, **by)
    assert reports.publish_report(actor=rex, **by).published_by == "rex"
    # What was read then is read: of the next revision only its own writers count. Of two who wrote, each
    # read the other's words.
    reports.revise_report(reason="The vendor answered", actor=rex, **by)
    reports.edit_report(texts={"impact": "More"}, actor=rex, **by)
    reports.edit_row(seq=1, included=True, event_text="All broke", actor=lena, **by)
    reports.submit_report(actor=rex, **by)
    assert reports.publish_report(actor=lena, **by).revision == 2


def test_what_is_written_in_review_is_handed_in_again(
    over: Incident, commander: Actor, make_actor: MakeActor, now: dt.datetime
) -> None:
    by: dict[str, Any] = {"incident_id": over.pk, "actor": commander, "now": now + 2 * HOUR}
    rex = {**by, "actor": make_actor("rex")}
    reports.edit_report(texts=everything(), **by)
    reports.submit_report(**by)
    reports.edit_report(texts={"impact": everything()["impact"]}, **by)  # the same is no change
    assert Report.objects.get().state == "in_review"
    for write in (
        lambda: reports.edit_report(texts={"impact": "Less"}, **by),
        lambda: reports.edit_row(seq=1, included=False, **by),
    ):
        write()
        assert Report.objects.get().state == "draft"
        last = Event.objects.filter(kind__startswith="report.").latest("pk")
        assert last.data["state"] == "draft" and "it is a draft again" in last.summary
        with pytest.raises(NotReady, match="Ask for its review first"):
            reports.publish_report(**rex)
        reports.submit_report(**by)
    reports.edit_row(seq=1, included=False, **by)  # the same again
    assert reports.publish_report(**rex).state == "published"


def test_a_revision_begun_after_closing_is_waited_for(
    over: Incident, commander: Actor, now: dt.datetime
) -> None:
    by: dict[str, Any] = {"incident_id": over.pk, "actor": commander}
    publish_report_of(over, now=now + 2 * HOUR)
    close_incident(now=now + 3 * HOUR, **by)
    report = reports.revise_report(reason="The vendor answered", now=now + 4 * HOUR, **by)
    assert report.due_at == now + 4 * HOUR + 3 * DAY
    assert list(Report.objects.awaited()) == [report] and not Report.objects.skipped()
    assert [reports.remind_of_reports(now=report.due_at - HOUR) for _ in range(2)] == [1, 0]
    assert due_of("reports").count == 1
    assert [reports.remind_of_reports(now=report.due_at + HOUR) for _ in range(2)] == [1, 0]
    assert due_of("reports").count == 0
    publish_report_of(over, now=now + 5 * DAY)
    assert not Report.objects.awaited()


def test_what_was_closed_with_a_reason_is_waited_for_by_nobody(commander: Actor, now: dt.datetime) -> None:
    """Also where an earlier revision was published before the relapse."""
    incident = declare_incident(actor=commander, now=now, title="Typo", severity="P3")
    by: dict[str, Any] = {"incident_id": incident.pk, "actor": commander}
    resolve_incident(resolution="Fixed", now=now, **by)
    publish_report_of(incident, now=now + HOUR)
    reopen_incident(reason="again", now=now + 2 * HOUR, **by)
    resolve_incident(resolution="Fixed", now=now + 3 * HOUR, **by)
    deliver_pending(now=now + 3 * HOUR)
    close_incident(reason="The same as before", now=now + 4 * HOUR, **by)
    assert Report.objects.skipped().count() == 1 and not Report.objects.awaited()
    assert reports.remind_of_reports(now=now + 90 * DAY) == 0
    assert due_of("reports").count == 0


def test_a_published_report_stays_as_it_was_published(
    over: Incident, commander: Actor, now: dt.datetime
) -> None:
    """Whatever is done, renamed or decided later; its digest is that of the file."""
    by: dict[str, Any] = {"actor": commander, "now": now + 4 * HOUR}
    item = create_action_item(incident_id=over.pk, title="Renew keys", **by)
    publish_report_of(over, now=now + 5 * HOUR)
    said = markdown_of(over)
    complete_action_item(item_id=item.pk, **by)
    Incident.objects.filter(pk=over.pk).update(title="Another", severity="P2", impact="None")
    over.refresh_from_db()
    assert markdown_of(over) == said
    digest = Event.objects.get(kind="report.published").data["sha256"]
    assert hashlib.sha256(markdown_of(over).encode()).hexdigest() == digest
    kept = PublishedReport.objects.get()
    assert (kept.title, kept.severity, kept.severity_name) == ("Checkout fails", "P0", "Critical")
    reports.revise_report(incident_id=over.pk, reason="The vendor answered", **by)
    draft = markdown_of(over)
    assert draft != said and "| Renew keys |  |  | Done |" in draft and "**Severity**: P2" in draft


def test_action_items_and_prevention_are_asked_for(
    over: Incident, commander: Actor, now: dt.datetime
) -> None:
    by: dict[str, Any] = {"actor": commander, "now": now + 2 * HOUR}
    at: dict[str, Any] = {"incident_id": over.pk, **by}
    reports.edit_report(
        texts={key: text for key, text in everything().items() if key != "no_prevention"}, **at
    )
    with pytest.raises(NotReady, match="Still to be written: Action items, Prevention measures"):
        reports.submit_report(**at)
    assert report_markdown(report_facts(over)).count("- Not known yet") == 2
    item = create_action_item(incident_id=over.pk, title="Write it down", **by)
    with pytest.raises(NotReady, match="Still to be written: Prevention measures"):
        reports.submit_report(**at)
    later = create_action_item(incident_id=over.pk, kind="long_term", title="Rotate keys", **by)
    assert report_markdown(report_facts(over)).endswith(
        "### Immediate Actions\n- None\n\n### Long-term Improvements\n- Rotate keys\n"
    )
    drop_action_item(item_id=later.pk, reason="Too dear", **by)
    drop_action_item(item_id=item.pk, reason="Done by others", **by)
    with pytest.raises(NotReady, match="Still to be written: Action items, Prevention measures"):
        reports.submit_report(**at)
    reports.edit_report(texts={"no_prevention": "The vendor *ended* it"}, **at)
    assert report_markdown(report_facts(over)).endswith(
        "### Immediate Actions\n- None: The vendor *ended* it\n\n### Long-term Improvements\n- None\n"
    )
    assert reports.submit_report(**at).state == "in_review"


def test_a_guess_is_marked_and_counts_when_somebody_has_looked_at_it(
    over: Incident, commander: Actor, now: dt.datetime
) -> None:
    by: dict[str, Any] = {"incident_id": over.pk, "actor": commander, "now": now + 2 * HOUR}
    assert ReportText.objects.get(section="functionality_affected").text == "Proposed: Shop"
    assert not ReportText.objects.filter(section="sla_breach").exists()  # never acknowledged, never due
    Incident.objects.filter(pk=over.pk).update(acknowledged_at=now)
    over.refresh_from_db()
    assert drafted_texts(over)[ReportSection.SLA_BREACH] == "Proposed: no, acknowledged in time"
    Incident.objects.filter(pk=over.pk).update(response_breached_at=now)
    reports.draft_report(event=Event.objects.get(kind="incident.resolved"), now=now + HOUR)
    breach = ReportText.objects.get(section="sla_breach").text
    assert breach == "Proposed: yes, nobody had acknowledged when the response was due"
    rest = {key: text for key, text in everything().items() if key not in PROPOSALS}
    reports.edit_report(texts=rest, **by)
    with pytest.raises(NotReady, match="Still to be written: Functionality affected, SLA breach"):
        reports.submit_report(**by)
    reports.edit_report(texts={"functionality_affected": "Paying", "sla_breach": "Yes"}, **by)
    assert reports.submit_report(**by).state == "in_review"


def test_finished_steps_of_the_rollback_are_actions_taken(
    incident: Incident, commander: Actor, now: dt.datetime
) -> None:
    rollback = request_rollback(
        incident_id=incident.pk, service="shop", reason="It is the release", actor=commander, now=now
    )
    for phase, name in (("validate", "Look"), ("execute", "Switch version"), ("verify", "Watch")):
        data = {"phase": phase, "step": name.lower()}
        record_on_rollback(
            rollback, "rollback.step_succeeded", f"{name}: done", actor=SYSTEM, now=now, data=data
        )
    taken = drafted_texts(incident)[ReportSection.ACTIONS_TAKEN]
    assert taken.splitlines() == [f"{rollback.ref}: Switch version: done"]
    with transaction.atomic():
        for number in range(MOST_ACTIONS):
            events.record(
                incident.stream_id, kind="action.taken", actor=SYSTEM, summary=f"Action {number}", now=now
            )
    lines = drafted_texts(incident)[ReportSection.ACTIONS_TAKEN].splitlines()
    assert (len(lines), lines[-1]) == (MOST_ACTIONS + 1, "More stands on the timeline.")


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
    for table in ("incidents_reportchange", "incidents_reportrowchange", "incidents_publishedreport"):
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
    reports.edit_row(seq=coffee.seq, included=True, event_text="No coffee", owner="Everyone", **by)
    history = ReportRowChange.objects.filter(event=coffee).order_by("version")
    assert list(history.values_list("version", "event_text", "owner", "changed_by")) == [
        (1, "No coffee", "Everybody", "ida"),
        (2, "No coffee", "Everyone", "ida"),
    ]
    rows = [(row.event, row.action, row.owner) for row in report_facts(over).timeline]
    assert ("No coffee", "", "Everyone") in rows
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


def test_an_old_incident_gets_its_report_by_the_sweep(
    incident: Incident, commander: Actor, now: dt.datetime
) -> None:
    by: dict[str, Any] = {"incident_id": incident.pk, "actor": commander, "now": now}
    with pytest.raises(NotReady, match="begins with its resolution"):
        reports.edit_report(texts={"impact": "Early"}, **by)
    Incident.objects.filter(pk=incident.pk).update(status="resolved", resolved_at=now, root_cause="Disk")
    with pytest.raises(NotReady, match="drafted within a minute"):
        reports.edit_report(texts={"impact": "Early"}, **by)
    assert [reports.draft_missing_reports(now=now) for _ in range(2)] == [1, 0]
    reports.edit_report(texts={"impact": "Late"}, **by)
    assert dict(ReportText.objects.values_list("section", "text"))["primary_cause"] == "Disk"


def test_a_drill_gets_no_report_by_the_sweep_either(commander: Actor, now: dt.datetime) -> None:
    drill = declare_incident(actor=commander, now=now, title="Exercise", severity="P0", drill=True)
    by: dict[str, Any] = {"incident_id": drill.pk, "actor": commander, "now": now}
    resolve_incident(resolution="Learned", **by)
    assert reports.draft_missing_reports(now=now) == 0
    with pytest.raises(NotReady, match="scorecard"):
        reports.edit_report(texts={"impact": "x"}, **by)


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
