"""The commands that let automation decide about a rollback; each decision is stored with its reasons."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from django.db import transaction

from core.actors import AUTOMATION
from core.events import rfc3339
from incidents import policy as incident_policy
from incidents.models import Incident, Monitor, Release, Service
from incidents.services.incidents import lock_incident
from incidents.states import MonitorLevel, ReleaseState, metric_name
from rollbacks import policy
from rollbacks.facts import Breach
from rollbacks.models import Decision, Rollback
from rollbacks.rules.admission import Reason, Situation, refusals
from rollbacks.rules.confirmation import Answer, Judged, judge_breach, seconds_to_confirm
from rollbacks.selectors.breaches import Answered, answers_until
from rollbacks.selectors.decisions import evidence_of, situation_of, unconfirmed_breaches, with_the_brake
from rollbacks.services.automation import hold_switch
from rollbacks.services.endings import end_rollback
from rollbacks.services.requests import request_rollback
from rollbacks.states import NOT_CONFIRMED, BreachCheck, RollbackState, StepState, Verdict
from rollbacks.timeline import record_refusal

PUSH = "push"


@transaction.atomic
def consider_automatic_rollback(
    *, incident_ref: str, service: str, breach: Breach, now: dt.datetime, cause_event: int | None = None
) -> Decision | None:
    """Start a rollback, ask for approval of one, or say why not; what was decided is stored.

    One decision for each `cause_event`, however often it comes; None where service or incident are gone.
    Locks are taken in the order service, switch of automation, incident, rollback, stream.
    Source: seed, Automatic Rollback Triggers.
    """
    subject = Service.objects.select_for_update(no_key=True).filter(slug=service).first()
    incident = Incident.objects.filter(ref=incident_ref).first()
    if subject is None or incident is None:
        return None
    if cause_event is not None and (made := Decision.objects.filter(cause_event=cause_event).first()):
        return made
    case = _Case(subject, incident, breach, _measured(breach, now), cause_event, now)
    if breach.effect == "none":
        return case.decide(Verdict.NOT_CALLED_FOR, [_not_called_for(breach)])
    if not incident.is_open:
        said = f"{incident.ref} is {incident.get_status_display().lower()}"
        return case.decide(Verdict.REFUSED, [Reason("incident_over", said)])
    situation = case.situation()
    reasons = refusals(situation, policy.limits(), now=now)
    if situation.by_itself and not reasons:
        # Services that are decided about at the same time must not exceed the brake together, and nothing
        # starts once automation is disarmed: both are asked again while nobody else can change them.
        hold_switch()
        situation = with_the_brake(situation, now=now)
        reasons = refusals(situation, policy.limits(), now=now)
    if reasons:
        lock_incident(incident.pk, AUTOMATION)
        record_refusal(incident, service=subject, reasons=reasons, now=now)
        return case.decide(Verdict.REFUSED, reasons, situation)
    rollback = case.request(by_itself=situation.by_itself)
    reasons = (Reason("threshold_exceeded", breach.cause),)
    if rollback.state == RollbackState.APPROVED:
        return case.decide(Verdict.STARTED, reasons, situation, rollback)
    asked = Reason("person_decides", "a person has to approve it")
    return case.decide(Verdict.AWAITS_APPROVAL, (*reasons, asked), situation, rollback)


@transaction.atomic
def reconsider_after_release(
    *, service: str, version: str, now: dt.datetime, cause_event: int | None = None
) -> Decision | None:
    """A pipeline recorded a release after its damage was seen: decide again, knowing it.

    Only for a release deployed before the breach began: a fix deployed during the incident must not
    be taken back because of measurements from before it.
    """
    release = Release.objects.filter(service__slug=service, version=version, state=ReleaseState.LIVE).first()
    incident = Incident.objects.open().filter(origin__slug=service).first()
    if release is None or incident is None:
        return None
    breaching = Monitor.objects.filter(
        service__slug=service, enabled=True, level_since__gte=release.deployed_at
    )
    worst = (
        breaching.filter(level=MonitorLevel.CRITICAL).first()
        or breaching.filter(level=MonitorLevel.HIGH).first()
    )
    effects = incident_policy.thresholds().effects
    if worst is None or effects[MonitorLevel(worst.level)].rollback == "none":
        return None
    breach = Breach(
        metric=worst.metric,
        level=worst.level,
        effect=effects[MonitorLevel(worst.level)].rollback,
        policy=worst.policy,
        cause=f"{metric_name(worst.metric)} is {worst.level} since {version} was deployed",
        monitor=worst.pk,
        at=worst.level_since,
    )
    return consider_automatic_rollback(
        incident_ref=incident.ref, service=service, breach=breach, now=now, cause_event=cause_event
    )


def reconsider_unconfirmed(*, now: dt.datetime) -> int:
    """A breach that was not confirmed goes on after all: decide again. Returns how many were decided.

    While its monitor stays critical no new event asks, so this looks for enough critical measurements
    since then.
    """
    found = unconfirmed_breaches(now=now).values_list("pk", flat=True)
    return sum(_reconsider(pk, now) for pk in found)


@transaction.atomic
def _reconsider(decision_id: int, now: dt.datetime) -> bool:
    before = (
        unconfirmed_breaches(now=now).select_related("service", "incident").filter(pk=decision_id).first()
    )
    if before is None or before.monitor is None:
        return False
    wanted = policy.automation().confirmation
    since = [each for each in answers_until(before.monitor, now, count=wanted.of) if each.at > before.at]
    judged = judge_breach([each.level for each in since], needed=wanted.needed, of=wanted.of)
    monitor = Monitor.objects.filter(pk=before.monitor).first()
    if judged.answer is not Answer.CONFIRMED or monitor is None:
        return False
    Service.objects.select_for_update(no_key=True).get(pk=before.service_id)
    if not unconfirmed_breaches(now=now).filter(pk=decision_id).exists():
        return False  # another sweep was faster
    breach = Breach(
        metric=monitor.metric,
        level=MonitorLevel.CRITICAL,
        effect=incident_policy.thresholds().effects[MonitorLevel.CRITICAL].rollback,
        policy=monitor.policy,
        cause=f"{metric_name(monitor.metric)} is critical again:"
        f" {judged.critical} of {judged.measured} measurements",
        monitor=monitor.pk,
        at=since[0].at,
    )
    return (
        consider_automatic_rollback(
            incident_ref=before.incident.ref, service=before.service.slug, breach=breach, now=now
        )
        is not None
    )


def end_unconfirmed(rollback: Rollback, judged: Judged, *, now: dt.datetime) -> Decision:
    """End a held rollback whose single critical measurement was not confirmed; the incident stays.

    It is cancelled, not failed: nothing was wrong with it, nothing was changed, and it takes nothing from the
    success rate. It uses up none of the release's or the day's budget either.
    """
    wanted, metric = policy.automation().confirmation, _metric_of(rollback)
    said = (
        f"{judged.critical} of {judged.measured} measurements of {metric} {_was(judged.critical)} critical,"
        f" and {wanted.needed} of {wanted.of} are asked for"
    )
    late = "" if judged.answer is Answer.REFUTED else " in time"
    rollback.steps.filter(state=StepState.WAITING).update(state=StepState.CANCELLED, finished_at=now)
    end_rollback(
        rollback,
        RollbackState.CANCELLED,
        f"not confirmed{late}: {said}; nothing was changed",
        actor=AUTOMATION,
        now=now,
        kind=NOT_CONFIRMED,
    )
    return Decision.objects.create(
        at=now,
        service=rollback.service,
        incident=rollback.incident,
        monitor=rollback.monitor,
        metric=metric,
        verdict=Verdict.REFUSED,
        reasons=[vars(Reason("not_confirmed", f"not confirmed{late}: {said}"))],
        evidence={
            "measured_at": rfc3339(rollback.breach_at) if rollback.breach_at else None,
            "critical": judged.critical,
            "measured": judged.measured,
            "critical_needed": wanted.needed,
        },
        rollback=rollback,
    )


def _metric_of(rollback: Rollback) -> str:
    """For people, as the decision that started it has it: the monitor may be gone."""
    started = Decision.objects.filter(rollback=rollback, verdict=Verdict.STARTED)
    return metric_name(started.values_list("metric", flat=True).first() or "")


def _was(count: int) -> str:
    return "was" if count == 1 else "were"


@dataclass(frozen=True)
class _Case:
    """One breach that is decided about. `measured` are the monitor's answers up to it, the newest first."""

    service: Service
    incident: Incident
    breach: Breach
    measured: Sequence[Answered]
    cause_event: int | None
    now: dt.datetime

    @property
    def procedure(self) -> str:
        return self.service.procedure or incident_policy.thresholds().policies[self.breach.policy].procedure

    def situation(self) -> Situation:
        return situation_of(
            self.service,
            metric=self.breach.metric,
            now=self.now,
            kind=self.incident.kind,
            procedure=self.procedure,
            monitor=self.breach.monitor,
            by_itself=self.breach.effect == "automatic",
        )

    def request(self, *, by_itself: bool) -> Rollback:
        rollback = request_rollback(
            incident_id=self.incident.pk,
            service=self.service.slug,
            procedure=self.procedure,
            reason=self.breach.cause,
            actor=AUTOMATION,
            now=self.now,
            automatic_allowed=by_itself,
        )
        started = rollback.state == RollbackState.APPROVED
        until = self._to_confirm_until() if started else None
        Rollback.objects.filter(pk=rollback.pk).update(
            monitor=self.breach.monitor,
            breach_at=self.breach.at or self.now,
            breach_check=BreachCheck.WAITING if until else "",
            breach_check_until=until,
        )
        rollback.refresh_from_db()
        return rollback

    def decide(
        self,
        verdict: Verdict,
        reasons: Sequence[Reason],
        situation: Situation | None = None,
        rollback: Rollback | None = None,
    ) -> Decision:
        return Decision.objects.create(
            at=self.now,
            service=self.service,
            incident=self.incident,
            monitor=self.breach.monitor,
            metric=self.breach.metric,
            verdict=verdict,
            reasons=[vars(reason) for reason in reasons],
            evidence=evidence_of(
                self.breach,
                situation,
                policy.limits(),
                procedure=self.procedure if situation else "",
                value=self.measured[0].value if self.measured else None,
                now=self.now,
            ),
            rollback=rollback,
            cause_event_id=self.cause_event,
        )

    def _to_confirm_until(self) -> dt.datetime | None:
        """Until when a single critical measurement must be confirmed; None when it need not be.

        Three warnings that are critical together are no single measurement, and where enough of the last
        ones were critical it is confirmed already.
        """
        breach, wanted = self.breach, policy.automation().confirmation
        if breach.level != MonitorLevel.CRITICAL or breach.catastrophic or breach.monitor is None:
            return None
        levels = [answered.level for answered in self.measured]
        if levels and levels[0] is MonitorLevel.WARNING:
            return None
        if judge_breach(levels, needed=wanted.needed, of=wanted.of).answer is Answer.CONFIRMED:
            return None
        monitor = Monitor.with_removed.filter(pk=breach.monitor).first()
        seconds = seconds_to_confirm(
            wanted.within,
            interval_seconds=monitor.interval_seconds if monitor else 0,
            pushed=bool(monitor and monitor.source.get("type") == PUSH),
        )
        return self.now + dt.timedelta(seconds=seconds)


def _measured(breach: Breach, now: dt.datetime) -> Sequence[Answered]:
    if breach.monitor is None:
        return ()
    return answers_until(breach.monitor, breach.at or now, count=policy.automation().confirmation.of)


def _not_called_for(breach: Breach) -> Reason:
    if breach.level == MonitorLevel.UNKNOWN:  # whoever opened the incident has said why nothing follows
        return Reason("cannot_be_measured", breach.cause)
    return Reason(
        "level_asks_for_none",
        f"the playbook asks for none when {metric_name(breach.metric)} is {breach.level}",
    )
