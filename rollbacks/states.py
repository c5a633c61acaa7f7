"""The words of this app and the moves between states. Source: architecture and rulings, States."""

from __future__ import annotations

from collections.abc import Mapping

from django.db import models


class RollbackState(models.TextChoices):
    REQUESTED = "requested", "Requested"
    AWAITING_APPROVAL = "awaiting_approval", "Awaiting approval"
    APPROVED = "approved", "Approved"
    VALIDATING = "validating", "Validating"
    EXECUTING = "executing", "Executing"
    VERIFYING = "verifying", "Verifying"
    NEEDS_ATTENTION = "needs_attention", "Needs attention"
    SUCCEEDED = "succeeded", "Succeeded"
    REJECTED = "rejected", "Rejected"
    EXPIRED = "expired", "Expired"
    CANCELLED = "cancelled", "Cancelled"
    FAILED = "failed", "Failed, nothing changed"
    HANDED_OVER = "handed_over", "Handed over"
    RESOLVED_BY_HAND = "resolved_by_hand", "Resolved by hand"


_R = RollbackState
RUNNING_STATES = (_R.VALIDATING, _R.EXECUTING, _R.VERIFYING)
RUNNABLE_STATES = (_R.APPROVED, *RUNNING_STATES)
LIVE_STATES = (_R.REQUESTED, _R.AWAITING_APPROVAL, _R.APPROVED, *RUNNING_STATES, _R.NEEDS_ATTENTION)
END_STATES = tuple(state for state in _R if state not in LIVE_STATES)
MOVES: Mapping[RollbackState, frozenset[RollbackState]] = {
    _R.REQUESTED: frozenset({_R.AWAITING_APPROVAL, _R.APPROVED, _R.CANCELLED}),
    _R.AWAITING_APPROVAL: frozenset({_R.APPROVED, _R.REJECTED, _R.EXPIRED, _R.CANCELLED}),
    _R.APPROVED: frozenset(
        {_R.VALIDATING, _R.AWAITING_APPROVAL, _R.CANCELLED, _R.EXPIRED, _R.FAILED}
    ),  # back when the plan was edited
    _R.VALIDATING: frozenset({_R.EXECUTING, _R.FAILED, _R.CANCELLED, _R.NEEDS_ATTENTION}),
    # Failed or cancelled while nothing was changed, or when all of it was put back.
    _R.EXECUTING: frozenset({_R.VERIFYING, _R.NEEDS_ATTENTION, _R.FAILED, _R.CANCELLED}),
    _R.VERIFYING: frozenset({_R.SUCCEEDED, _R.NEEDS_ATTENTION, _R.FAILED, _R.CANCELLED}),
    # Cancelled: a drill that a real rollback pre-empts.
    _R.NEEDS_ATTENTION: frozenset(
        {
            _R.VALIDATING,
            _R.EXECUTING,
            _R.VERIFYING,
            _R.RESOLVED_BY_HAND,
            _R.HANDED_OVER,
            _R.FAILED,
            _R.CANCELLED,
        }
    ),
    **{end: frozenset() for end in END_STATES},
}


class StepState(models.TextChoices):
    PENDING = "pending", "Pending"
    STARTING = "starting", "Starting"
    RUNNING = "running", "Running"
    WAITING = "waiting", "Waiting"
    SUCCEEDED = "succeeded", "Succeeded"
    SKIPPED = "skipped", "Skipped"
    REHEARSED = "rehearsed", "Rehearsed"
    FAILED = "failed", "Failed"
    TIMED_OUT = "timed_out", "Timed out"
    CANCELLED = "cancelled", "Cancelled"
    COMPENSATED = "compensated", "Undone"
    UNKNOWN = "unknown", "Nobody knows"


_T = StepState
_SETTLED_BADLY = frozenset({_T.FAILED, _T.TIMED_OUT, _T.CANCELLED, _T.UNKNOWN})
STEP_MOVES: Mapping[StepState, frozenset[StepState]] = {
    _T.PENDING: frozenset({_T.STARTING, _T.WAITING, _T.CANCELLED, _T.SKIPPED, _T.REHEARSED, *_SETTLED_BADLY}),
    _T.STARTING: frozenset({_T.RUNNING, _T.SKIPPED, _T.PENDING, _T.COMPENSATED, *_SETTLED_BADLY}),
    # PENDING: tried again, by itself or after a worker's death.
    _T.RUNNING: frozenset({_T.SUCCEEDED, _T.WAITING, _T.PENDING, _T.COMPENSATED, *_SETTLED_BADLY}),
    _T.WAITING: frozenset({_T.SUCCEEDED, _T.RUNNING, _T.PENDING, *_SETTLED_BADLY}),
    # A person may settle what a machine could not (mark done), try it again, or have it undone.
    **dict.fromkeys(_SETTLED_BADLY, frozenset({_T.SUCCEEDED, _T.PENDING, _T.STARTING, _T.COMPENSATED})),
    # Its compensation; UNKNOWN when nothing says how to undo it.
    _T.SUCCEEDED: frozenset({_T.STARTING, _T.COMPENSATED, _T.UNKNOWN}),
    _T.SKIPPED: frozenset(),
    _T.REHEARSED: frozenset(),
    _T.COMPENSATED: frozenset(),
}
DONE_STEPS = (_T.SUCCEEDED, _T.SKIPPED, _T.REHEARSED, _T.COMPENSATED)
UNSETTLED_STEPS = (_T.FAILED, _T.TIMED_OUT, _T.CANCELLED, _T.UNKNOWN)
BUSY_STEPS = (_T.STARTING, _T.RUNNING)


class Phase(models.TextChoices):
    VALIDATE = "validate", "Validate"
    EXECUTE = "execute", "Execute"
    VERIFY = "verify", "Verify"


PHASE_STATE: Mapping[Phase, RollbackState] = {
    Phase.VALIDATE: _R.VALIDATING,
    Phase.EXECUTE: _R.EXECUTING,
    Phase.VERIFY: _R.VERIFYING,
}


class Trigger(models.TextChoices):
    AUTOMATED = "automated", "Automated"
    MANUAL = "manual", "Manual"


class Verdict(models.TextChoices):
    """What automation decided about a service that exceeded a threshold."""

    STARTED = "started", "Rollback started"
    AWAITS_APPROVAL = "awaits_approval", "Approval asked for"
    REFUSED = "refused", "Not rolled back"
    NOT_CALLED_FOR = "not_called_for", "No rollback called for"


class BreachCheck(models.TextChoices):
    """What later measurements said of the single one that started a rollback; empty: nobody asked them."""

    WAITING = "waiting", "Waits for confirmation"
    CONFIRMED = "confirmed", "Confirmed"
    REFUTED = "refuted", "Refuted"
    TIMED_OUT = "timed_out", "Not confirmed in time"


NOT_CONFIRMED = "rollback.not_confirmed"
"""The event of a rollback that ended because its breach was not confirmed."""
UNCONFIRMED = (BreachCheck.REFUTED, BreachCheck.TIMED_OUT)


class RunnerKind(models.TextChoices):
    """What claims rollbacks: a worker hears hints, a runner asks the database alone."""

    WORKER = "worker", "Celery worker"
    RUNNER = "runner", "Runner without a broker"
    WATCHDOG = "watchdog", "Watchdog"


SOAK = "soak"
CONFIRM = "confirm"
"""Kinds of steps that wait without a worker; the kinds that act are in rollbacks.steps."""


GLASS_BROKEN = "rollback.break_glass"
"""The event of one person who decided alone; the playbook's routing says who is told."""


class ApprovalDecision(models.TextChoices):
    APPROVED = "approved", "Approved"
    REJECTED = "rejected", "Rejected"
    BROKE = "broke", "Broke the glass"


class DrillState(models.TextChoices):
    PLANNED = "planned", "Planned"
    RUNNING = "running", "Running"
    FINISHED = "finished", "Finished"
    CANCELLED = "cancelled", "Cancelled"


_D = DrillState
DRILL_MOVES: Mapping[DrillState, frozenset[DrillState]] = {
    _D.PLANNED: frozenset({_D.RUNNING, _D.CANCELLED}),
    _D.RUNNING: frozenset({_D.FINISHED, _D.CANCELLED}),  # cancelled: by hand, or a real incident came
    _D.FINISHED: frozenset(),
    _D.CANCELLED: frozenset(),
}


class DrillAction(models.TextChoices):
    """What a drill expects of people, in the order of an emergency."""

    ACKNOWLEDGED = "acknowledged", "Acknowledged"
    ASSESSED = "assessed", "Criteria assessed"
    DECIDED = "decided", "Decided"
    ROLLED_BACK = "rolled_back", "Rolled back"
    RESOLVED = "resolved", "Resolved"


class DrillResult(models.TextChoices):
    """How an expected action stands."""

    MET = "met", "In time"
    LATE = "late", "Too late"
    MISSED = "missed", "Not done"
    WAITING = "waiting", "Still time"
    OVERDUE = "overdue", "Overdue"


class LastRehearsal(models.TextChoices):
    """How the last rehearsal of a service went."""

    NEVER = "never", "Never rehearsed"
    FAILED = "failed", "Failed"
    SUCCEEDED = "succeeded", "Succeeded"


class InjectLook(models.TextChoices):
    """What an inject stands for on the timeline of a drill."""

    NOTE = "note", "News"
    MONITOR = "monitor", "Monitor"
    ALERT = "alert", "Alert"
    MESSAGE = "message", "Message"
