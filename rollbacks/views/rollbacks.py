"""The doors of the commands on rollbacks and on automation."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any, ClassVar

from django import forms
from django.urls import reverse

from core.clock import utcnow
from core.errors import NotFound
from core.playbook import get_playbook
from core.versions import at_version
from core.views.commands import CommandView
from incidents.forms import ReasonForm
from incidents.models import Incident, Service
from incidents.selectors.cards import incident_url
from incidents.selectors.declaration import told_text
from incidents.views.incidents import BackToIncident, IncidentCommand
from rollbacks.forms import (
    PARAMETER,
    ApproveForm,
    AutomationForm,
    BreakGlassForm,
    ConfirmForm,
    EditRollbackForm,
    HandOverForm,
    JudgeForm,
    RequestForm,
    given_parameters,
)
from rollbacks.models import Rollback
from rollbacks.policy import told_about
from rollbacks.rules.authority import judge_plan
from rollbacks.selectors.authority import case_of, person_on_incident
from rollbacks.selectors.confirmations import confirmation_of
from rollbacks.selectors.plans import Plan, make_plan, service_to_roll_back
from rollbacks.selectors.rollback_page import get_rollback, rollback_url
from rollbacks.selectors.targets import targets_of
from rollbacks.selectors.undo import ledger_around, other_targets
from rollbacks.services import (
    attention,
    automation,
    break_glass,
    confirmations,
    editing,
    judging,
    requests,
    undo,
)
from rollbacks.states import GLASS_BROKEN, RUNNING_STATES, RollbackState

MOST_STEPS = 1000  # far above any procedure, far below what the column holds


def told_line(event: str) -> str:
    """Whom the routing tells of an event, as a line for the person who is about to cause it."""
    told = told_about(event)
    return "Nobody is messaged; it stands on the timeline." if told == "nobody" else f"Told: {told}."


class RequestRollback(BackToIncident, IncidentCommand):
    """Ask for a rollback, having seen what it would do."""

    template_name = "rollbacks/request.html"
    form_class = RequestForm
    title = "Roll back"
    service: Service
    plan: Plan
    ref = ""

    def load(self, **kwargs: str) -> None:
        super().load(**kwargs)
        given = self.request.POST if self.request.method == "POST" else self.request.GET
        self.service = service_to_roll_back(self.incident, given.get("service", ""))
        procedure = given.get("procedure", "") or self.service.procedure
        if not procedure:
            raise NotFound(f"{self.service.name} has no rollback procedure; set one in the admin.")
        if procedure not in get_playbook()["procedures"]:
            raise NotFound(f"The playbook has no procedure {procedure[:60]}.")
        self.plan = make_plan(self.actor, self.incident, self.service, procedure)

    def run(self, data: dict[str, Any], now: dt.datetime) -> str:
        rollback = requests.request_rollback(
            incident_id=self.incident.pk,
            service=self.service.slug,
            procedure=self.plan.procedure_key,
            reason=data["reason"],
            target_version=data.get("target_version", ""),
            expected_duration_seconds=data["expected_duration_seconds"],
            expected_impact=data["expected_impact"],
            parameters=given_parameters(data),
            actor=self.actor,
            now=now,
        )
        self.ref = rollback.ref
        return f"{rollback.ref} is {rollback.get_state_display().lower()}."

    def back_url(self) -> str:
        stays = self.comes_from_incident() or not self.ref
        return incident_url(self.incident.ref) if stays else rollback_url(self.ref)

    def form_arguments(self) -> dict[str, Any]:
        versions = [judged.version for judged in self.plan.candidates]
        initial = {
            "service": self.service.slug,
            "procedure": self.plan.procedure_key,
            "target_version": versions[0] if versions else "",
            "expected_duration_seconds": self.plan.expected_duration_seconds,
            "expected_impact": self.plan.expected_impact,
        }
        return {
            "versions": versions if self.plan.returns == "version" else None,
            "procedure": self.plan.procedure_key,
            "initial": initial,
        }

    def extra_context(self) -> dict[str, Any]:
        if not self.comes_from_incident():
            return {"plan": self.plan}
        others = [replace(one, url=f"{one.url}&back={self.BACK}") for one in self.plan.other_procedures]
        return {"plan": replace(self.plan, other_procedures=tuple(others))}


class RollbackCommand(BackToIncident):
    """A command on the rollback that the address names."""

    event: ClassVar[str]  # what it records: the routing says whom that tells
    rollback: Rollback

    def load(self, **kwargs: str) -> None:
        self.rollback = get_rollback(self.actor, kwargs["ref"])

    def back_url(self) -> str:
        if self.comes_from_incident():
            return incident_url(self.rollback.incident.ref)
        return rollback_url(self.rollback.ref)

    def way(self) -> str:
        return f"{self.rollback.way} of {self.rollback.service}"

    def consequences(self) -> list[str]:
        """What will happen, besides who is told."""
        return []

    def extra_context(self) -> dict[str, Any]:
        return {
            "intro": f"{self.rollback.ref}: {self.way()}.",
            "consequences": [*self.consequences(), told_line(self.event)],
        }


class PlanCommand(RollbackCommand):
    """A decision by which the plan runs: of the one that the person read, and no other."""

    decides = True

    def form_arguments(self) -> dict[str, Any]:
        return {"rollback": self.rollback}

    def as_read(self) -> dict[str, Any]:
        """Which plan, as the services take it."""
        return {"rollback_id": self.rollback.pk, "plan_digest": self.rollback.plan_digest}


class Approve(PlanCommand):
    event = "rollback.approved"
    form_class = ApproveForm
    title = "Approve the rollback"
    submit_label = "Approve"

    def run(self, data: dict[str, Any], now: dt.datetime) -> str:
        rollback = requests.approve_rollback(**self.as_read(), actor=self.actor, now=now, **data)
        then = "it starts now" if rollback.state == RollbackState.APPROVED else "another person is missing"
        return f"You approved {rollback.ref}: {then}."

    def extra_context(self) -> dict[str, Any]:
        person = person_on_incident(self.actor, self.rollback.incident)
        verdict = judge_plan(case_of(self.rollback, utcnow()).approved_by(person))
        then = f"{self.way()} starts at once." if verdict.allowed else verdict.reason
        told = told_text(self.rollback.incident.severity)
        shown = super().extra_context()
        return {**shown, "consequences": [then, self.rollback.expected_impact, f"Told: {told}."]}


class BreakGlass(PlanCommand):
    form_class = BreakGlassForm
    title = "Break glass"
    submit_label = "Break glass: run it alone"
    danger = True
    event = GLASS_BROKEN

    def run(self, data: dict[str, Any], now: dt.datetime) -> str:
        break_glass.break_glass(**self.as_read(), actor=self.actor, now=now, **data)
        return f"You broke the glass: {self.rollback.ref} starts now."

    def extra_context(self) -> dict[str, Any]:
        consequences = [
            f"{self.way()} starts at once, decided by you alone: no other person approves it.",
            self.rollback.expected_impact,
            f"Told at once, with your name and reason: {told_about(GLASS_BROKEN)}.",
            "It is reviewed afterwards.",
        ]
        return {**super().extra_context(), "consequences": consequences}


class Edit(RollbackCommand):
    form_class = EditRollbackForm
    title = "Edit the rollback"
    submit_label = "Save"
    event = "rollback.edited"

    def load(self, **kwargs: str) -> None:
        super().load(**kwargs)
        if self.rollback.procedure not in get_playbook()["procedures"]:
            raise NotFound(f"The playbook has no procedure {self.rollback.procedure} any more.")

    def run(self, data: dict[str, Any], now: dt.datetime) -> str:
        changes = {name: data[name] for name in (*editing.PLAN, *editing.WORDS) if name in data}
        changes["parameters"] = given_parameters(data)
        rows = Rollback.objects.filter(pk=self.rollback.pk)
        incident = Incident.objects.filter(pk=self.rollback.incident_id)
        # The form was compared with this version, so it must still be that.
        with at_version(rows, [self.rollback.version], after=(incident,)):
            rollback = editing.edit_rollback(
                rollback_id=self.rollback.pk, changes=changes, actor=self.actor, now=now
            )
        return f"{rollback.ref} is {rollback.get_state_display().lower()}."

    def form_arguments(self) -> dict[str, Any]:
        rollback, versions = self.rollback, None
        if rollback.returns == "version":
            kind, procedure = rollback.incident.kind, rollback.procedure
            candidates = targets_of(rollback.service, kind=kind, procedure=procedure).candidates
            versions = list(dict.fromkeys([rollback.target_version, *(c.version for c in candidates)]))
        values = {PARAMETER + name: value for name, value in rollback.parameters.items()}
        named = ("target_version", *editing.WORDS)
        initial = {**{name: getattr(rollback, name) for name in named}, **values}
        said = {"procedure": rollback.procedure, "initial": initial, "rollback": rollback}
        return {"versions": versions, **said}

    def consequences(self) -> list[str]:
        return [
            "Another target or other parameters are another plan: what was approved is void.",
            "You then count as who asked for it, and cannot approve it.",
        ]


class Reject(RollbackCommand):
    decides = True
    form_class = ReasonForm
    title = "Reject the rollback"
    submit_label = "Reject"
    event = "rollback.rejected"

    def run(self, data: dict[str, Any], now: dt.datetime) -> str:
        requests.reject_rollback(rollback_id=self.rollback.pk, actor=self.actor, now=now, **data)
        return f"You rejected {self.rollback.ref}."

    def consequences(self) -> list[str]:
        return [f"{self.way()} does not run. It can be requested again."]


class Cancel(RollbackCommand):
    form_class = ReasonForm
    title = "Cancel the rollback"
    danger = True
    event = "rollback.cancelled"

    def run(self, data: dict[str, Any], now: dt.datetime) -> str:
        rollback = requests.cancel_rollback(rollback_id=self.rollback.pk, actor=self.actor, now=now, **data)
        asked = f"{rollback.ref} was asked to stop."
        return asked if rollback.completed_at is None else f"{rollback.ref} is cancelled."

    def consequences(self) -> list[str]:
        if self.rollback.state not in RUNNING_STATES:
            text = "It ends at once; nothing was changed."
        elif self.rollback.mutated_at is None:
            text = "It stops as soon as it can; nothing was changed so far."
        else:
            text = "Something was changed already: it stops, nothing is put back, and a person must decide."
        return [text]


class ChildCommand(RollbackCommand):
    """A command that puts another rollback in this one's place."""

    decides = True
    danger = True
    event = "rollback.requested"
    ref = ""

    def back_url(self) -> str:
        if self.ref and not self.comes_from_incident():
            return rollback_url(self.ref)
        return super().back_url()

    def asked_for(self, child: Rollback) -> str:
        self.ref = child.ref
        return f"{child.ref} waits until another person approves."


class Undo(ChildCommand):
    form_class = ReasonForm
    title = "Undo the rollback"
    submit_label = "Ask for the way back"

    def run(self, data: dict[str, Any], now: dt.datetime) -> str:
        return self.asked_for(
            undo.undo_rollback(rollback_id=self.rollback.pk, actor=self.actor, now=now, **data)
        )

    def consequences(self) -> list[str]:
        rollback = self.rollback
        return [
            f"A new rollback of {rollback.service} goes from {rollback.target_version} back to"
            f" {rollback.from_version}, the version that was left, by the same procedure.",
            "It waits until another person approves.",
            f"Where {rollback.ref} waits for a person, it ends as handed over.",
        ]


class HandOver(ChildCommand):
    form_class = HandOverForm
    title = "Go to another release"
    submit_label = "Hand over"

    def run(self, data: dict[str, Any], now: dt.datetime) -> str:
        return self.asked_for(undo.hand_over(rollback_id=self.rollback.pk, actor=self.actor, now=now, **data))

    def form_arguments(self) -> dict[str, Any]:
        targets = other_targets(self.rollback, ledger_around(self.rollback))
        return {"options": [(judged.version, f"{judged.version}: {judged.why}") for judged in targets]}

    def consequences(self) -> list[str]:
        text = f"{self.rollback.ref} ends as handed over, and a new rollback takes its place at once."
        return [text, "It waits until another person approves."]


class Judge(RollbackCommand):
    decides = True
    event = "rollback.judged"
    form_class = JudgeForm
    title = "Judge the rollback"
    submit_label = "Judge"

    def form_arguments(self) -> dict[str, Any]:
        return {"rollback": self.rollback}

    def run(self, data: dict[str, Any], now: dt.datetime) -> str:
        judging.judge_rollback(rollback_id=self.rollback.pk, actor=self.actor, now=now, **data)
        return f"You judged {self.rollback.ref}."

    def consequences(self) -> list[str]:
        return ["It counts in the false positive rate, and stands on the timeline."]


class StepCommand(RollbackCommand):
    """A decision about a step that a machine could not settle."""

    decides = True
    form_class: type[forms.Form] = ReasonForm
    position: int

    def load(self, **kwargs: Any) -> None:
        super().load(**kwargs)
        self.position = kwargs["position"]
        if self.position > MOST_STEPS:
            raise NotFound("No such step.")

    def step_name(self) -> str:
        step = self.rollback.steps.filter(position=self.position).first()
        return f"“{step.name}”" if step else "the step"


class MarkStepDone(StepCommand):
    event = "rollback.step_marked_done"
    title = "Mark the step done"

    def run(self, data: dict[str, Any], now: dt.datetime) -> str:
        attention.mark_step_done(
            rollback_id=self.rollback.pk, position=self.position, actor=self.actor, now=now, **data
        )
        return f"{self.rollback.ref} goes on."

    def consequences(self) -> list[str]:
        return [f"You have made sure that {self.step_name()} took effect; the rollback goes on after it."]


class Retry(StepCommand):
    event = "rollback.step_retried"
    title = "Try the step again"
    submit_label = "Try again"
    danger = True

    def run(self, data: dict[str, Any], now: dt.datetime) -> str:
        attention.retry_step(
            rollback_id=self.rollback.pk, position=self.position, actor=self.actor, now=now, **data
        )
        return f"{self.rollback.ref} tries the step again."

    def consequences(self) -> list[str]:
        return [f"What {self.step_name()} does is done once more, whatever it did before."]


class Confirm(StepCommand):
    event = "rollback.step_confirmed"
    form_class = ConfirmForm
    title = "Confirm the step"
    submit_label = "Yes, go on"

    def run(self, data: dict[str, Any], now: dt.datetime) -> str:
        confirmations.confirm_step(
            rollback_id=self.rollback.pk, position=self.position, actor=self.actor, now=now, **data
        )
        return f"{self.rollback.ref} goes on."

    def extra_context(self) -> dict[str, Any]:
        steps = list(self.rollback.steps.filter(position=self.position))
        asked = confirmation_of(self.actor, self.rollback, steps)
        shown = super().extra_context()
        return {**shown, "intro": asked.question} if asked else shown

    def consequences(self) -> list[str]:
        return [f"{self.rollback.ref}, {self.way()}, goes on with its next step."]


class Abort(StepCommand):
    event = "rollback.resolved_by_hand"
    title = "Abort, go on by hand"
    submit_label = "Abort"
    danger = True

    def run(self, data: dict[str, Any], now: dt.datetime) -> str:
        attention.abort_rollback(
            rollback_id=self.rollback.pk, position=self.position, actor=self.actor, now=now, **data
        )
        return f"{self.rollback.ref} is over; go on by hand."

    def consequences(self) -> list[str]:
        return ["What was changed stays as it is, and nothing is put back. The incident stays open."]


class Automation(CommandView):
    """The one switch of all automation."""

    form_class = AutomationForm

    def load(self, **kwargs: str) -> None:
        self.decides = not automation.current_switch().armed  # to arm is a decision, to disarm is not

    def run(self, data: dict[str, Any], now: dt.datetime) -> str:
        if data["to"] == "armed":
            automation.arm_automation(actor=self.actor, now=now, reason=data["reason"])
            return "Automation is armed."
        automation.disarm_automation(actor=self.actor, now=now, reason=data["reason"])
        return "Automation is disarmed: no rollback starts by itself."

    def back_url(self) -> str:
        return reverse("incidents:now")

    def form_arguments(self) -> dict[str, Any]:
        return {"initial": {"to": "disarmed" if automation.current_switch().armed else "armed"}}

    def extra_context(self) -> dict[str, Any]:
        if automation.current_switch().armed:
            text = "No rollback starts by itself any more; what runs goes on. Every page says so."
            return {
                "title": "Disarm automation",
                "submit_label": "Disarm",
                "danger": True,
                "consequences": [text],
            }
        text = "Rollbacks start by themselves again where the playbook says so."
        return {"title": "Arm automation", "submit_label": "Arm", "consequences": [text]}
