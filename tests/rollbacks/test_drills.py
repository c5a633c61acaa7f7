"""Drills: the same procedure, of which only what is marked safe happens, and which a real rollback pre-empts."""

from __future__ import annotations

import datetime as dt
import threading
import time
from collections.abc import Callable

import pytest
from django.db import connection
from django.test import Client

from comms.consumers import route_event
from comms.models import Message
from core.actors import AUTOMATION, Actor
from core.clock import utcnow
from core.models import Event, User
from incidents.models import Incident, Release, Service
from incidents.services.incidents import declare_incident
from incidents.services.people import assign_role
from rollbacks.executor import acting, rehearsing
from rollbacks.executor.rehearsing import DrillMayNotAct, keep_out_of_production
from rollbacks.facts import ActingStep
from rollbacks.models import Rollback
from rollbacks.selectors.decisions import situation_of
from rollbacks.selectors.plans import why_no_request
from rollbacks.selectors.readiness import last_rehearsals, rehearsal_text
from rollbacks.services.drills import preempt_drill
from rollbacks.services.recovery import flag_lost_rollbacks
from rollbacks.services.requests import RollbackUnderWay, request_rollback
from tests import signing_in
from tests.rollbacks.workshop import PROCEDURE, Workshop, ask, run, states, step

pytestmark = pytest.mark.django_db(transaction=True)
MakeActor = Callable[..., Actor]


@pytest.fixture
def drill(shop: Service, commander: Actor, now: dt.datetime) -> Incident:
    """An exercise on the shop, led by Ida."""
    found = declare_incident(
        actor=commander, now=now, title="What if", severity="P0", services=["shop"], drill=True
    )
    assign_role(incident_id=found.pk, role="incident_commander", username="ida", actor=commander, now=now)
    return found


def _kinds(incident: Incident) -> list[str]:
    return list(Event.objects.filter(stream=incident.stream).order_by("seq").values_list("kind", flat=True))


def test_a_drill_does_what_is_safe_and_shows_the_rest(
    workshop: Workshop, shop: Service, drill: Incident, commander: Actor
) -> None:
    with workshop.open():
        rehearsed = run(ask(drill, commander))
    assert (rehearsed.state, rehearsed.drill, rehearsed.mutated_at) == ("succeeded", True, None)
    assert rehearsed.outcome.startswith("the drill of Shop is through")
    assert states(rehearsed)[:8] == ["succeeded"] * 3 + ["rehearsed"] * 5
    assert workshop.ran[:3] == ["health_check", "backup_config", "verify_rollback_target"]
    assert not {"switch_version", "update_config", "restart_services"} & set(workshop.ran)
    assert workshop.probed == [], "nothing was done, so nothing is read back"
    switch = step(rehearsed, "switch_version")
    assert "1.9.0" in switch.output_tail, "people read what would have run, for this target"
    assert "switch_version" in switch.output_tail
    assert switch.note.startswith("Rehearsed")
    assert switch.output.get().text == switch.output_tail
    assert (
        rehearsed.steps.get(kind="soak").note == "Rehearsed: for real this would watch the service for 1 s."
    )
    releases = dict(Release.objects.filter(service=shop).values_list("version", "state"))
    assert releases == {"1.9.0": "good", "2.0.0": "live"}, "the ledger does not know of it"


def test_what_a_rehearsal_shows_hides_secrets(workshop: Workshop, drill: Incident, commander: Actor) -> None:
    workshop.commands["update_config"]["argv"] = [
        "sh",
        "-c",
        "deploy --password=hunter2hunter2",
        "{target_version}",
    ]
    with workshop.open():
        rehearsed = run(ask(drill, commander))
    shown = step(rehearsed, "update_config").output_tail
    assert "deploy" in shown
    assert "hunter2" not in shown


def test_a_wait_is_rehearsed_a_person_confirms_for_real_and_an_assertion_judges(
    workshop: Workshop, drill: Incident, commander: Actor
) -> None:
    workshop.only(
        {"key": "pause", "kind": "wait", "duration": "1h"},
        {"key": "look", "kind": "assert", "that": "monitors_answer", "on_failure": "continue"},
        {"key": "sure", "kind": "confirm", "question": "Did the sun come out?", "within": "1s"},
    )
    with workshop.open():
        rehearsed = run(ask(drill, commander))
    assert (step(rehearsed, "pause").state, step(rehearsed, "pause").note) == (
        "rehearsed",
        "Rehearsed: for real this would wait 3600 s.",
    )
    assert step(rehearsed, "look").state not in ("pending", "rehearsed", "skipped")


def test_nobody_confirming_a_drill_fails_it_and_changes_nothing(
    workshop: Workshop, drill: Incident, commander: Actor
) -> None:
    workshop.only({"key": "sure", "kind": "confirm", "question": "Did the sun come out?", "within": "1s"})
    with workshop.open():
        rehearsed = run(ask(drill, commander))
    assert rehearsed.state == "failed"
    assert "nothing was changed" in rehearsed.outcome


def test_a_safe_step_that_fails_ends_the_drill_with_nothing_to_undo(
    workshop: Workshop, drill: Incident, commander: Actor
) -> None:
    workshop.only(
        {"key": "change", "command": "switch_version", "mutating": True, "verify_after": "release_is_back",
         "compensate_with": "update_config"},
        {"key": "look", "command": "clear_caches", "safe_in_drill": True, "on_failure": "compensate"},
    )  # fmt: skip
    workshop.command("clear_caches", "sys.exit(4)")
    with workshop.open():
        rehearsed = run(ask(drill, commander))
    assert (rehearsed.state, rehearsed.compensating) == ("failed", "")
    assert "nothing was changed" in rehearsed.outcome
    assert "update_config" not in workshop.ran


class _Saying(ActingStep):
    kind: str = "command"


@pytest.mark.parametrize(
    ("said", "row"),
    [
        ({}, {}),
        ({"safe_in_drill": True}, {"mutating": True}),
        ({"safe_in_drill": True}, {"switches": True}),
        ({"safe_in_drill": True}, {"compensating": True}),
        ({"mutating": True, "verify_after": "x"}, {}),
    ],
)
def test_the_wall_stands_on_what_the_playbook_says_and_on_what_was_requested(
    workshop: Workshop, drill: Incident, commander: Actor, said: dict[str, object], row: dict[str, bool]
) -> None:
    with workshop.open():
        rollback = ask(drill, commander)
    first = rollback.steps.get(position=1)
    for name, value in row.items():
        setattr(first, name, value)
    declared = _Saying(key="k", name="K", **said)
    with pytest.raises(DrillMayNotAct):
        keep_out_of_production(rollback, first, declared)
    rollback.drill = False
    keep_out_of_production(rollback, first, declared)


def test_no_defect_further_up_lets_a_drill_reach_an_effect(
    workshop: Workshop, drill: Incident, commander: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if the executor forgot that drills only rehearse: the step stops before anything is done."""
    monkeypatch.setattr("rollbacks.executor.run.is_only_rehearsed", lambda _said: False)
    with workshop.open():
        rehearsed = run(ask(drill, commander))
    assert "switch_version" not in workshop.ran
    assert rehearsed.state == "failed"
    assert "must not do" in rehearsed.outcome
    assert step(rehearsed, "switch_version").state == "failed"


def test_not_even_a_step_that_runs_already_is_done_in_a_drill(
    workshop: Workshop, drill: Incident, commander: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second door: past the commit of the intent, right before the work itself."""
    monkeypatch.setattr("rollbacks.executor.run.is_only_rehearsed", lambda _said: False)
    asked: list[str] = []

    def once(rollback: Rollback, step_: object, said: ActingStep) -> None:
        asked.append(said.key)
        if asked.count(said.key) > 1:
            rehearsing.keep_out_of_production(rollback, step_, said)  # type: ignore[arg-type]

    monkeypatch.setattr(acting, "keep_out_of_production", once)
    with workshop.open():
        rehearsed = run(ask(drill, commander))
    assert asked[-2:] == ["switch_version"] * 2
    assert "switch_version" not in workshop.ran
    assert rehearsed.state == "needs_attention", "the intent was committed: a person looks"


def test_a_drill_stands_beside_a_real_rollback_but_not_beside_another_drill(
    incident: Incident, drill: Incident, commander: Actor, shop: Service
) -> None:
    real = ask(incident, commander)
    assert why_no_request(commander, drill, shop) == ""
    rehearsed = ask(drill, commander)
    assert (real.state, rehearsed.state) == ("approved", "approved")
    assert rehearsed.ref in why_no_request(commander, drill, shop)
    with pytest.raises(RollbackUnderWay, match=rehearsed.ref):
        ask(drill, commander)


def test_a_drill_asks_for_the_same_authority(drill: Incident, make_actor: MakeActor) -> None:
    assert ask(drill, make_actor("rob")).state == "awaiting_approval"


@pytest.mark.parametrize("who", ["a person", "automation"])
def test_a_real_rollback_preempts_the_drill_of_its_service_at_once(
    incident: Incident, drill: Incident, commander: Actor, who: str
) -> None:
    rehearsed = ask(drill, commander)
    actor = commander if who == "a person" else AUTOMATION
    real = ask(incident, actor, automatic_allowed=True)
    rehearsed.refresh_from_db()
    assert (real.state, rehearsed.state) == ("approved", "cancelled")
    assert rehearsed.outcome == f"pre-empted by {real.ref}"
    assert _kinds(drill)[-1] == "rollback.preempted"
    assert not drill.holds.exists()
    assert "rollback.preempted" not in _kinds(incident)


def test_a_drill_that_needs_a_person_is_preempted_too(
    incident: Incident, drill: Incident, commander: Actor
) -> None:
    rehearsed = ask(drill, commander)
    Rollback.objects.filter(pk=rehearsed.pk).update(state="executing", started_at=utcnow(), due_at=utcnow())
    rehearsed.steps.filter(position=4).update(state="running", attempt=1, host="gone")
    assert flag_lost_rollbacks(now=utcnow()) == 1
    ask(incident, commander)
    rehearsed.refresh_from_db()
    assert rehearsed.state == "cancelled"


def test_the_worker_of_a_preempted_drill_stops_its_step_and_writes_nothing_more(
    workshop: Workshop, incident: Incident, drill: Incident, commander: Actor
) -> None:
    workshop.command("backup_config", "time.sleep(40)", timeout="60s")
    with workshop.open():
        rehearsed = ask(drill, commander)
        worker = threading.Thread(target=_work_on, args=(rehearsed,))
        worker.start()
        _until(lambda: "backup_config" in workshop.ran)
        began = time.monotonic()
        real = ask(incident, commander)
        rehearsed.refresh_from_db()
        assert rehearsed.state == "cancelled", "in the same transaction as the request"
        worker.join(timeout=30)
    assert not worker.is_alive()
    assert time.monotonic() - began < 20, "the step was stopped, not waited for"
    rehearsed.refresh_from_db()
    assert (rehearsed.outcome, step(rehearsed, "backup_config").state) == (
        f"pre-empted by {real.ref}",
        "cancelled",
    )
    assert Rollback.objects.get(pk=real.pk).state in (
        "succeeded",
        "approved",
        "validating",
        "executing",
        "verifying",
    )


def _work_on(rollback: Rollback) -> None:
    from rollbacks.executor.lease import claim
    from rollbacks.executor.run import run_claimed

    try:
        claimed = claim()
        assert claimed
        run_claimed(*claimed)
    finally:
        connection.close()


def _until(look: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not look():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_requests_for_drills_and_real_rollbacks_at_once_never_wait_in_a_circle(
    incident: Incident, drill: Incident, commander: Actor
) -> None:
    """Whatever the order, at the end one real rollback lives, and the drill only if it came later."""
    errors: list[BaseException] = []

    def ask_for(which: Incident) -> None:
        try:
            ask(which, commander)
        except RollbackUnderWay:
            pass
        except BaseException as error:
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=ask_for, args=(which,)) for which in [drill, incident] * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert Rollback.objects.live().filter(drill=False).count() == 1
    assert Rollback.objects.live().filter(drill=True).count() <= 1


def test_a_drill_does_not_preempt_and_nothing_to_preempt_is_well(
    incident: Incident, drill: Incident, commander: Actor
) -> None:
    real = ask(incident, commander)
    ask(drill, commander)
    real.refresh_from_db()
    assert real.state == "approved"
    Rollback.objects.filter(drill=True).delete()
    assert preempt_drill(real, actor=commander, now=utcnow()) is None


def test_automation_counts_no_drill_as_an_attempt(
    workshop: Workshop, drill: Incident, commander: Actor, shop: Service, now: dt.datetime
) -> None:
    before = situation_of(shop, metric="error_rate", now=now)
    with workshop.open():
        live = ask(drill, commander)
        assert situation_of(shop, metric="error_rate", now=now) == before
        run(live)
    assert situation_of(shop, metric="error_rate", now=now) == before


@pytest.mark.parametrize(
    "kind", ["rollback.requested", "rollback.started", "rollback.needs_attention", "rollback.succeeded"]
)
def test_every_message_about_a_drill_says_so_in_subject_and_body(
    drill: Incident, make_actor: MakeActor, now: dt.datetime, kind: str
) -> None:
    rollback = ask(drill, make_actor("rob"))
    Rollback.objects.filter(pk=rollback.pk).update(attention="somebody must look")
    event = Event.objects.filter(stream=drill.stream, kind="rollback.requested").get()
    event.kind = kind
    route_event(event, now)
    message = Message.objects.get(rollback_ref=rollback.ref)
    assert message.subject.startswith("DRILL · ")
    assert message.body.startswith("*** DRILL - this is an exercise ***\n\n")


def test_the_service_says_when_it_was_last_rehearsed(
    workshop: Workshop, drill: Incident, commander: Actor, shop: Service, make_user: Callable[..., User]
) -> None:
    browser = Client()
    signing_in.sign_in(browser, make_user("vic", "viewer"))
    assert "Never rehearsed" in browser.get("/services/shop/").content.decode()
    workshop.command("verify_rollback_target", "sys.exit(3)")
    with workshop.open():
        failed = run(ask(drill, commander))
    long_ago = utcnow() - dt.timedelta(days=94, hours=2)
    Rollback.objects.filter(pk=failed.pk).update(completed_at=long_ago)
    page = browser.get("/services/shop/").content.decode()
    assert "Rehearsed 94 days ago, failed at step 3" in page
    assert failed.ref in page


def test_the_times_of_a_drill_are_read_from_its_steps(
    workshop: Workshop, drill: Incident, commander: Actor, shop: Service
) -> None:
    with workshop.open():
        first = run(ask(drill, commander))
        cancelled = ask(drill, commander)
    Rollback.objects.filter(pk=cancelled.pk).update(
        state="cancelled", completed_at=utcnow(), started_at=utcnow()
    )
    asked = first.requested_at
    Incident.objects.filter(pk=drill.pk).update(started_at=asked - dt.timedelta(minutes=4))
    Rollback.objects.filter(pk=first.pk).update(approved_at=asked + dt.timedelta(minutes=2))
    first.steps.filter(phase="validate").update(
        started_at=asked + dt.timedelta(minutes=2), finished_at=asked + dt.timedelta(minutes=5)
    )
    found = last_rehearsals(commander, [shop.pk])[shop.pk, PROCEDURE]
    assert (found.ref, found.succeeded, found.failed_step) == (first.ref, True, None)
    assert (found.detect_seconds, found.decide_seconds, found.validate_seconds) == (240, 120, 180)
    assert found.execute_seconds is not None
    assert rehearsal_text(found, now=utcnow()) == "Rehearsed today"


def test_who_may_not_see_the_drill_does_not_hear_of_it(
    workshop: Workshop, drill: Incident, commander: Actor, shop: Service, make_actor: MakeActor
) -> None:
    with workshop.open():
        run(ask(drill, commander))
    Incident.objects.filter(pk=drill.pk).update(restricted=True)
    assert last_rehearsals(make_actor("rob"), [shop.pk]) == {}
    assert last_rehearsals(make_actor("sue", "viewer", "security_lead"), [shop.pk]) != {}


def test_requesting_says_which_queue_the_procedure_names(
    workshop: Workshop, incident: Incident, commander: Actor, now: dt.datetime
) -> None:
    workshop.procedure["queue"] = "edge"
    with workshop.open():
        rollback = request_rollback(
            incident_id=incident.pk, service="shop", reason="broken", actor=commander, now=now
        )
    assert rollback.queue == "edge"
