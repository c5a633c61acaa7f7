"""A rollback as people see it: the plan before the click, the decision, the needs of a person."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any

import pytest
from django.test import Client

from core.actors import SYSTEM, Actor
from core.playbook import get_playbook, use_playbook
from incidents.models import Incident, Release, Service
from incidents.services.incidents import change_severity
from incidents.services.services import quarantine_release, switch_back
from incidents.states import ReleaseState
from rollbacks import policy
from rollbacks.models import AutomationSwitch, Rollback, RollbackStep
from rollbacks.playbook import ConfirmStep
from rollbacks.services.endings import ask_for_a_person
from rollbacks.services.requests import request_rollback
from rollbacks.states import RollbackState, StepState
from rollbacks.transitions import move_rollback, move_step
from tests.pages.conftest import SignIn
from tests.pages.test_reading import count_queries

FORM = {"service": "shop", "target_version": "1.9.0", "reason": "errors", "expected_duration_seconds": "45"}


@pytest.fixture
def rollback(incident: Incident, commander: Actor, now: dt.datetime) -> Rollback:
    return request_rollback(
        incident_id=incident.pk, service="shop", reason="errors", actor=commander, now=now
    )


@pytest.fixture
def stuck(rollback: Rollback, now: dt.datetime) -> Rollback:
    """A rollback whose worker died while the version was switched."""
    for state in (RollbackState.VALIDATING, RollbackState.EXECUTING):
        move_rollback(rollback, state, started_at=now, mutated_at=now)
    for step in RollbackStep.objects.filter(rollback=rollback, position__lte=4):
        move_step(step, StepState.STARTING, started_at=now)
        move_step(step, StepState.RUNNING)
        end = StepState.UNKNOWN if step.position == 4 else StepState.SUCCEEDED
        move_step(step, end, finished_at=now + dt.timedelta(seconds=2), output_tail="<b>half way</b>\n" * 3)
    ask_for_a_person(
        rollback, "the worker died while “Switch to previous version” ran", actor=SYSTEM, now=now
    )
    return rollback


def test_before_the_click_the_page_says_what_will_happen(ida: Client, incident: Incident) -> None:
    answer = ida.get(f"/incidents/{incident.ref}/roll-back/")
    plan = answer.context["plan"]
    assert (plan.from_version, [judged.version for judged in plan.candidates]) == ("2.0.0", ["1.9.0"])
    assert next(step.label for step in plan.steps if step.mutating) == "Switch to previous version"
    assert not plan.needs_approval
    page = answer.content.decode()
    for text in (
        "Roll back now",
        "everyone",
        "Decided by the Incident Commander",
        "45 s",
        "Requests may be slow",
    ):
        assert text in page, text


def test_another_procedure_of_the_playbook_is_two_clicks_away(ida: Client, incident: Incident) -> None:
    """The service's own is the suggestion; the policy's others are offered with what they do."""
    address = f"/incidents/{incident.ref}/roll-back/"
    others = {other.name: other.url for other in ida.get(address).context["plan"].other_procedures}
    assert set(others) == {
        "Automated rollback", "Configuration rollback", "Database rollback", "Manual frontend rollback",
        "Performance rollback", "Security rollback",
    }  # fmt: skip
    page = ida.get(others["Configuration rollback"])
    assert page.context["plan"].returns == "configuration"
    assert 'name="target_version"' not in page.content.decode()
    sent = {name: field.value() for name, field in _fields(page.context["form"])} | {
        "reason": "wrong currency"
    }
    ida.post(address, sent)
    rollback = Rollback.objects.get()
    assert (rollback.procedure, rollback.returns) == ("configuration_rollback", "configuration")
    assert rollback.from_version == rollback.target_version == "2.0.0"
    assert ida.get(f"{address}?procedure=no_such").status_code == 404


def _fields(form: Any) -> list[tuple[str, Any]]:
    return [(name, form[name]) for name in form.fields]


def test_requested_by_its_commander_a_p0_is_approved_at_once(ida: Client, incident: Incident) -> None:
    answer = ida.post(f"/incidents/{incident.ref}/roll-back/", FORM)
    rollback = Rollback.objects.get()
    assert answer["Location"] == f"/rollbacks/{rollback.ref}/"
    assert (rollback.state, rollback.target_version) == (RollbackState.APPROVED, "1.9.0")
    again = ida.post(f"/incidents/{incident.ref}/roll-back/", FORM)
    assert again.status_code == 409
    assert "one at a time" in again.content.decode()


@pytest.mark.parametrize(
    "change",
    [{"target_version": "3.0.0"}, {"target_version": "2.0.0"}, {"reason": " "}, {"expected_duration_seconds": "0"},
     {"expected_duration_seconds": "9" * 30}],
)  # fmt: skip
def test_a_wrong_request_comes_back(ida: Client, incident: Incident, change: dict[str, str]) -> None:
    answer = ida.post(f"/incidents/{incident.ref}/roll-back/", FORM | change)
    assert answer.status_code == 422
    assert set(answer.context["form"].errors) == set(change)
    assert not Rollback.objects.exists()


def test_a_rollback_of_another_service_is_not_found(ida: Client, incident: Incident) -> None:
    assert ida.post(f"/incidents/{incident.ref}/roll-back/", FORM | {"service": "other"}).status_code == 404


def test_the_incident_offers_a_rollback_or_says_why_not(
    ida: Client, incident: Incident, shop: Service
) -> None:
    def action() -> tuple[bool, str]:
        actions = ida.get(f"/incidents/{incident.ref}/").context["actions"]
        found = next(action for action in actions if action.key == "roll_back")
        return found.enabled, found.why_not

    assert action() == (True, "")
    Release.objects.filter(service=shop, version="1.9.0").update(state=ReleaseState.SUPERSEDED, good_at=None)
    assert action() == (
        False,
        "Shop has no verified good release to return to (1.9.0: never clean for long enough).",
    )
    Release.objects.filter(service=shop, state=ReleaseState.LIVE).delete()
    assert action() == (False, "No live release of Shop is recorded.")
    Service.objects.update(procedure="")
    assert action() == (False, "Shop has no rollback procedure; set one in the admin.")
    assert ida.get(f"/incidents/{incident.ref}/roll-back/").status_code == 404


def test_a_second_person_approves_what_the_requester_cannot(
    ida: Client, sign_in: SignIn, incident: Incident, commander: Actor, now: dt.datetime
) -> None:
    change_severity(incident_id=incident.pk, severity="P1", reason="less", actor=commander, now=now)
    ida.post(f"/incidents/{incident.ref}/roll-back/", FORM)
    rollback = Rollback.objects.get()
    address = f"/rollbacks/{rollback.ref}/"
    assert rollback.state == RollbackState.AWAITING_APPROVAL
    approve = next(action for action in ida.get(address).context["actions"] if action.key == "approve")
    assert (approve.enabled, approve.why_not) == (False, "The requester cannot approve their own request.")
    assert ida.post(f"{address}approve/").status_code == 403
    emma = sign_in("emma", "responder", "engineering_manager")
    assert "starts at once" in emma.get(f"{address}approve/").content.decode()
    assert emma.post(f"{address}approve/", {"reason": "go"}).status_code == 302
    rollback.refresh_from_db()
    assert rollback.state == RollbackState.APPROVED
    approvals = emma.get(address).context["approvals"]
    assert [(line.who, line.decision, line.valid) for line in approvals] == [("emma", "approved", True)]
    assert emma.post(f"{address}approve/").status_code == 409


def test_a_rollback_is_cancelled_with_a_reason(ida: Client, sign_in: SignIn, rollback: Rollback) -> None:
    address = f"/rollbacks/{rollback.ref}/cancel/"
    assert sign_in("vic", "viewer").post(address, {"reason": "x"}).status_code == 403
    assert ida.post(address, {"reason": ""}).status_code == 422
    assert ida.post(address, {"reason": "fixed forward"}).status_code == 302
    rollback.refresh_from_db()
    assert rollback.state == RollbackState.CANCELLED
    assert ida.get(f"/rollbacks/{rollback.ref}/").context["actions"] == ()


def test_the_three_phases_say_where_it_stands(ida: Client, stuck: Rollback) -> None:
    context = ida.get(f"/rollbacks/{stuck.ref}/").context
    assert [(phase.key, phase.state) for phase in context["phases"]] == [
        ("validate", "succeeded"), ("execute", "unknown"), ("verify", "pending"),
    ]  # fmt: skip
    step = context["phases"][1].steps[0]
    assert (step.state_label, step.duration_text) == ("Nobody knows", "2 s")
    assert "switch-version" in step.command_text
    assert "1.9.0" in step.command_text
    page = ida.get(f"/rollbacks/{stuck.ref}/").content.decode()
    assert "<b>half way" not in page
    assert "&lt;b&gt;half way" in page


def test_a_command_of_another_playbook_is_not_shown(ida: Client, stuck: Rollback) -> None:
    Rollback.objects.update(procedure_digest="0" * 64)
    phases = ida.get(f"/rollbacks/{stuck.ref}/").context["phases"]
    assert {step.command_text for phase in phases for step in phase.steps} == {""}


def test_what_needs_a_person_is_explained_with_its_choices(
    ida: Client, sign_in: SignIn, stuck: Rollback
) -> None:
    attention = ida.get(f"/rollbacks/{stuck.ref}/").context["attention"]
    assert attention.known[0].startswith("The worker died")
    assert "3 of 13 steps are done" in attention.known[1]
    assert "took effect" in attention.unknown[0]
    assert [(choice.key, choice.enabled, choice.needs_reason) for choice in attention.choices] == [
        ("mark_done", True, True), ("retry", True, True), ("undo", False, True), ("hand_over", False, True), ("abort", True, True),
    ]  # fmt: skip
    assert [choice.why_not for choice in attention.choices[2:4]] == [
        "“Switch to previous version” did not succeed: mark it done if it took effect, else abort instead.",
        "No other release of Shop may be gone to.",
    ]
    assert "goes on with “Update configuration”" in attention.choices[0].consequence
    rosa = sign_in("rosa", "responder")
    refused = rosa.get(f"/rollbacks/{stuck.ref}/").context["attention"].choices[0]
    assert (refused.enabled, refused.why_not) == (
        False, f"This is for Incident Commander or Technical Lead or Engineering Manager of {stuck.incident.ref}.",
    )  # fmt: skip
    assert rosa.post(refused.url, {"reason": "x"}).status_code == 403


@pytest.mark.parametrize(
    ("verb", "state"),
    [
        ("mark_done", RollbackState.EXECUTING),
        ("retry", RollbackState.EXECUTING),
        ("abort", RollbackState.RESOLVED_BY_HAND),
    ],
)
def test_the_choice_is_a_form_with_a_reason(
    ida: Client, stuck: Rollback, verb: str, state: RollbackState
) -> None:
    address = f"/rollbacks/{stuck.ref}/steps/4/{verb}/"
    assert ida.post(address).status_code == 422
    assert ida.post(f"/rollbacks/{stuck.ref}/steps/5/{verb}/", {"reason": "x"}).status_code == 409
    assert ida.post(f"/rollbacks/{stuck.ref}/steps/{10**30}/{verb}/", {"reason": "x"}).status_code == 404
    assert ida.post(address, {"reason": "looked at it"}).status_code == 302
    stuck.refresh_from_db()
    assert stuck.state == state


@pytest.fixture
def failed(rollback: Rollback, shop: Service, now: dt.datetime) -> Rollback:
    """1.9.0 is live by it and failed its first check; 1.8.0 was good before."""
    for state in (RollbackState.VALIDATING, RollbackState.EXECUTING, RollbackState.VERIFYING):
        move_rollback(rollback, state, started_at=now, mutated_at=now)
    for step in RollbackStep.objects.filter(rollback=rollback, position__lte=9):
        move_step(step, StepState.STARTING, started_at=now)
        move_step(step, StepState.RUNNING)
        move_step(step, StepState.FAILED if step.position == 9 else StepState.SUCCEEDED, finished_at=now)
    switch_back(
        service_id=shop.pk,
        from_version="2.0.0",
        to_version="1.9.0",
        rollback_ref=rollback.ref,
        actor=SYSTEM,
        now=now,
    )
    ask_for_a_person(rollback, "smoke tests failed", actor=SYSTEM, now=now)
    long_ago = now - dt.timedelta(days=9)
    shop.releases.create(
        version="1.8.0", state="good", deployed_at=long_ago, recorded_at=long_ago, good_at=now
    )
    return rollback


def test_what_failed_after_the_switch_is_undone_or_goes_elsewhere(ida: Client, failed: Rollback) -> None:
    address = f"/rollbacks/{failed.ref}/"
    answer = ida.get(address)
    choices = {choice.key: choice for choice in answer.context["attention"].choices}
    assert (choices["undo"].enabled, choices["undo"].label) == (True, "Undo: back to 2.0.0")
    assert "waits until another person approves" in choices["undo"].consequence
    assert [version for version, _label in choices["hand_over"].options] == ["1.8.0"]
    assert '<option value="1.8.0">' in answer.content.decode()
    assert ida.get(f"{address}hand_over/").context["form"].fields["target_version"].choices[0][0] == "1.8.0"
    assert ida.post(f"{address}hand_over/", {"target_version": "2.0.0", "reason": "x"}).status_code == 422
    assert ida.post(f"{address}undo/", {"reason": ""}).status_code == 422
    answer = ida.post(f"{address}undo/", {"reason": "worse"})
    child = Rollback.objects.get(parent=failed)
    assert answer["Location"] == f"/rollbacks/{child.ref}/"
    assert ida.get(address).context["children"] == ((child.ref, f"/rollbacks/{child.ref}/"),)
    assert ida.get(f"/rollbacks/{child.ref}/").context["rollback"].parent_ref == failed.ref
    assert ida.post(f"{address}undo/", {"reason": "again"}).status_code == 409


def test_another_release_takes_over_by_form(ida: Client, failed: Rollback) -> None:
    address = f"/rollbacks/{failed.ref}/hand_over/"
    assert ida.post(address, {"target_version": "1.8.0", "reason": "further"}).status_code == 302
    assert Rollback.objects.get(parent=failed).target_version == "1.8.0"


def test_what_succeeded_can_be_undone_and_judged(
    ida: Client, sign_in: SignIn, rollback: Rollback, shop: Service, now: dt.datetime
) -> None:
    Rollback.objects.filter(pk=rollback.pk).update(state="succeeded", started_at=now, completed_at=now)
    address = f"/rollbacks/{rollback.ref}/"

    def actions(browser: Client) -> dict[str, tuple[bool, str]]:
        found = browser.get(address).context["actions"]
        return {action.key: (action.enabled, action.why_not) for action in found}

    assert actions(ida) == {
        "undo": (False, "2.0.0 is live again: there is nothing to undo."),
        "judge": (True, ""),
    }
    args = {"from_version": "2.0.0", "to_version": "1.9.0", "rollback_ref": rollback.ref}
    switch_back(service_id=shop.pk, actor=SYSTEM, now=now, **args)
    assert actions(ida) == {"undo": (True, ""), "judge": (True, "")}
    assert "This is for" in actions(sign_in("rosa", "responder"))["undo"][1]
    assert ida.post(f"{address}judge/", {"reason": "x"}).status_code == 422
    judged = ida.post(f"{address}judge/", {"false_positive": "yes", "reason": "<i>the monitor</i> lied"})
    assert judged.status_code == 302
    page = ida.get(address)
    assert page.context["rollback"].judgement == "A false positive, says ida: <i>the monitor</i> lied"
    assert "&lt;i&gt;the monitor" in page.content.decode()
    assert ida.get(f"{address}undo/").status_code == 200


def test_a_rollbacks_page_costs_the_same_however_long_the_ledger_is(
    ida: Client, failed: Rollback, shop: Service, now: dt.datetime
) -> None:
    pages = (f"/rollbacks/{failed.ref}/", f"/incidents/{failed.incident.ref}/")
    before = [count_queries(ida, page) for page in pages]
    Release.objects.bulk_create(
        Release(
            service=shop,
            version=f"1.7.{number}",
            state=ReleaseState.GOOD,
            deployed_at=now - dt.timedelta(days=2, minutes=number),
            recorded_at=now,
            good_at=now,
        )
        for number in range(40)
    )
    assert [count_queries(ida, page) for page in pages] == before


def test_the_plan_says_why_it_goes_nowhere_else(
    ida: Client, incident: Incident, shop: Service, commander: Actor, now: dt.datetime
) -> None:
    quarantine_release(service_id=shop.pk, version="1.9.0", reason="it leaks", actor=commander, now=now)
    plan = ida.get(f"/incidents/{incident.ref}/roll-back/").context["plan"]
    assert plan.candidates == ()
    assert [judged.version for judged in plan.others] == ["1.9.0"]
    assert plan.others[0].why.endswith("because it leaks")
    panel = next(
        panel
        for panel in ida.get(f"/incidents/{incident.ref}/").context["panels"]["right"]
        if panel.key == "suspect_releases"
    )
    live, left = panel.context["releases"]
    assert (live.request_url, "quarantined since" in live.why_not) == (None, True)
    assert left.note.startswith("No target: quarantined since")


def test_a_configuration_goes_back_without_a_release_to_choose(ida: Client, incident: Incident) -> None:
    playbook = get_playbook()
    own = playbook["procedures"]["storefront_rollback"].model_copy(update={"returns": "configuration"})
    procedures = {**playbook["procedures"], "storefront_rollback": own}
    with use_playbook(replace(playbook, sections={**playbook.sections, "procedures": procedures})):
        page = ida.get(f"/incidents/{incident.ref}/roll-back/")
        assert "What goes back is the configuration of 2.0.0" in page.content.decode()
        assert "target_version" not in page.context["form"].fields
        form = {name: value for name, value in FORM.items() if name != "target_version"}
        assert ida.post(f"/incidents/{incident.ref}/roll-back/", form).status_code == 302
    rollback = Rollback.objects.get()
    assert rollback.way == "configuration of 2.0.0"
    assert "<span>configuration of</span>" in ida.get(f"/rollbacks/{rollback.ref}/").content.decode()


def test_a_release_is_quarantined_on_its_services_page(ida: Client, sign_in: SignIn, shop: Service) -> None:
    def line(browser: Client, version: str = "1.9.0") -> Any:
        return next(r for r in browser.get("/services/shop/").context["releases"] if r.version == version)

    change = line(ida).change
    assert (change.enabled, change.url) == (True, "/services/shop/releases/1.9.0/quarantine/")
    assert ida.post(change.url, {"reason": "<b>leaks</b>"}).status_code == 302
    assert line(ida).note.endswith("<b>leaks</b>")
    assert "&lt;b&gt;leaks" in ida.get("/services/shop/").content.decode()
    rosa = sign_in("rosa", "responder")
    assert line(rosa).change.enabled is False
    lift = line(ida).change.url
    assert rosa.post(lift, {"reason": "x"}).status_code == 403
    assert ida.post(lift, {"reason": "patched"}).status_code == 302
    assert (line(ida).state, line(ida).note.startswith("Verified good")) == ("good", True)
    assert ida.get("/services/shop/releases/9.9.9/quarantine/").status_code == 404


def test_automation_is_switched_by_form_and_every_page_says_so(ida: Client, sign_in: SignIn) -> None:
    viewer = sign_in("vic", "viewer")
    assert "Disarm automation" in ida.get("/automation/").content.decode()
    assert ida.post("/automation/", {"to": "disarmed", "reason": ""}).status_code == 422
    assert viewer.post("/automation/", {"to": "disarmed", "reason": "x"}).status_code == 403
    assert ida.post("/automation/", {"to": "disarmed", "reason": "<b>migration</b>"}).status_code == 302
    assert not AutomationSwitch.objects.get().armed
    for address in ("/", "/incidents/", "/contacts/"):
        page = viewer.get(address).content.decode()
        assert "Automation is disarmed" in page
        assert "&lt;b&gt;migration" in page
    assert ida.post("/automation/", {"to": "disarmed", "reason": "x"}).status_code == 409
    assert ida.post("/automation/", {"to": "armed"}).status_code == 302
    assert "Automation is disarmed" not in viewer.get("/services/").content.decode()


@pytest.fixture
def two_wanted(ida: Client, incident: Incident, commander: Actor, now: dt.datetime) -> Rollback:
    """Requested by its commander as a P0 of which two persons are asked for."""
    ida.post(f"/incidents/{incident.ref}/roll-back/", FORM)
    rollback = Rollback.objects.get()
    Rollback.objects.update(state=RollbackState.AWAITING_APPROVAL, people=2, approved_at=None)
    rollback.refresh_from_db()
    return rollback


def _action(browser: Client, rollback: Rollback, key: str) -> tuple[bool, str]:
    actions = browser.get(f"/rollbacks/{rollback.ref}/").context["actions"]
    found = next(action for action in actions if action.key == key)
    return found.enabled, found.why_not


def test_the_page_says_who_stands_behind_it_and_who_is_missing(
    ida: Client, sign_in: SignIn, two_wanted: Rollback
) -> None:
    answer = ida.get(f"/rollbacks/{two_wanted.ref}/")
    standing = answer.context["standing"]
    assert [(backer.who, backer.role) for backer in standing.backers] == [("ida", "Incident Commander")]
    assert (standing.people, standing.expires_at) == (2, two_wanted.approval_expires_at)
    page = answer.content.decode()
    for text in (
        "2 different persons must stand behind it",
        "2 persons must stand behind it, and 1 does.",
        "1 of 2 persons behind it",
        "Expires without approval in",
        'data-clock="until"',
    ):
        assert text in page, text
    assert _action(ida, two_wanted, "approve") == (False, "The requester cannot approve their own request.")
    assert _action(ida, two_wanted, "break_glass") == (True, "")
    emma = sign_in("emma", "responder", "engineering_manager")
    assert _action(emma, two_wanted, "approve") == (True, "")
    assert _action(emma, two_wanted, "break_glass") == (False, "Nobody else is missing: approve it instead.")
    Rollback.objects.update(people=3)
    assert "and 2 do" in emma.get(f"/rollbacks/{two_wanted.ref}/approve/").content.decode()
    assert emma.post(f"/rollbacks/{two_wanted.ref}/approve/").status_code == 302
    assert _action(emma, two_wanted, "approve") == (
        False,
        "You approved it; another person is still missing.",
    )
    assert _action(emma, two_wanted, "reject") == (True, "")


def test_the_page_costs_the_same_however_many_approved(
    ida: Client, sign_in: SignIn, two_wanted: Rollback
) -> None:
    address = f"/rollbacks/{two_wanted.ref}/"
    Rollback.objects.update(people=4)
    before = count_queries(ida, address)
    for name in ("emma", "max"):
        assert sign_in(name, "responder", "engineering_manager").post(f"{address}approve/").status_code == 302
    assert count_queries(ida, address) == before


def test_glass_is_broken_with_a_reason_and_the_page_says_so(
    ida: Client, sign_in: SignIn, two_wanted: Rollback
) -> None:
    address = f"/rollbacks/{two_wanted.ref}/break_glass/"
    form = ida.get(address).content.decode()
    assert "Told at once, with your name and reason: management, role holders." in form
    assert ida.post(address, {"reason": "now"}).status_code == 422
    assert sign_in("rosa").post(address, {"reason": "nobody answers"}).status_code == 403
    assert ida.post(address, {"reason": "nobody answers"}).status_code == 302
    two_wanted.refresh_from_db()
    assert (two_wanted.state, two_wanted.break_glass) == (RollbackState.APPROVED, True)
    page = ida.get(f"/rollbacks/{two_wanted.ref}/").content.decode()
    assert "The glass was broken" in page
    assert "Broke the glass" in page


def test_a_rollback_is_edited_by_form_from_what_was_seen(
    ida: Client, sign_in: SignIn, shop: Service, two_wanted: Rollback, now: dt.datetime
) -> None:
    long_ago = now - dt.timedelta(days=9)
    shop.releases.create(
        version="1.8.0", state="good", deployed_at=long_ago, recorded_at=long_ago, good_at=now
    )
    emma = sign_in("emma", "responder", "engineering_manager")
    page = f"/rollbacks/{two_wanted.ref}/"
    assert emma.post(f"{page}approve/").status_code == 302
    form = ida.get(f"{page}edit/").context["form"]
    assert form.initial["target_version"] == "1.9.0"
    sent = {**FORM, "seen": form["seen"].value(), "target_version": "1.8.0", "expected_impact": "none"}
    assert ida.post(f"{page}edit/", sent | {"reason": ""}).status_code == 422
    assert sign_in("vic", "viewer").post(f"{page}edit/", sent).status_code == 403
    assert ida.post(f"{page}edit/", sent).status_code == 302
    two_wanted.refresh_from_db()
    assert (two_wanted.state, two_wanted.target_version, two_wanted.expected_impact) == (
        RollbackState.AWAITING_APPROVAL, "1.8.0", "none",
    )  # fmt: skip
    answer = ida.get(page)
    assert [(line.who, line.valid) for line in answer.context["approvals"]] == [("emma", False)]
    assert "void: the plan was edited" in answer.content.decode()
    Rollback.objects.update(procedure="gone")
    assert ida.get(f"{page}edit/").status_code == 404
    assert ida.get(page).status_code == 200


def test_a_step_asks_its_question_on_the_page(
    ida: Client, sign_in: SignIn, rollback: Rollback, now: dt.datetime
) -> None:
    playbook = get_playbook()
    own = playbook["procedures"]["storefront_rollback"]
    question = ConfirmStep(key="sure", name="Ask", kind="confirm", question="Is the <b>site</b> calm?")
    asking = own.model_copy(update={"execute": (question, *own.execute[1:])})
    sections = {**playbook.sections, "procedures": {**playbook["procedures"], "storefront_rollback": asking}}
    due = now + dt.timedelta(hours=1)
    with use_playbook(replace(playbook, sections=sections)):
        Rollback.objects.update(
            state=RollbackState.EXECUTING, procedure_digest=policy.digest(rollback.procedure)
        )
        rollback.steps.filter(position=4).update(kind="confirm", state=StepState.WAITING, due_at=due)
        page = ida.get(f"/rollbacks/{rollback.ref}/")
        asked = page.context["confirmation"]
        assert (asked.position, asked.enabled, asked.until) == (4, True, due)
        assert "Is the &lt;b&gt;site&lt;/b&gt; calm?" in page.content.decode()
        assert "Yes, go on" in page.content.decode()
        rosa = sign_in("rosa")
        refused = rosa.get(f"/rollbacks/{rollback.ref}/").context["confirmation"]
        assert (refused.enabled, "This is for Incident Commander" in refused.why_not) == (False, True)
        assert rosa.post(asked.url).status_code == 403
        assert "calm?" in ida.get(asked.url).content.decode()
        assert ida.post(asked.url, {"note": "quiet"}).status_code == 302
    assert rollback.steps.get(position=4).note == "confirmed by ida: quiet"
