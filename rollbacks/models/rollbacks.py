"""Rollbacks with their steps and approvals."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Exists, OuterRef, Q

from core.actors import Actor
from incidents.models import Incident, Service
from rollbacks.states import (
    LIVE_STATES,
    RUNNING_STATES,
    UNSETTLED_STEPS,
    ApprovalDecision,
    BreachCheck,
    Phase,
    RollbackState,
    StepState,
    Trigger,
)


class RollbackQuerySet(models.QuerySet["Rollback"]):
    """Verbs of reading rollbacks; every selector starts with `visible_to`."""

    def visible_to(self, actor: Actor) -> RollbackQuerySet:
        """Who may see the incident may see its rollbacks."""
        seen = Incident.objects.visible_to(actor).filter(pk=OuterRef("incident_id"))
        return self.filter(Exists(seen))

    def live(self) -> RollbackQuerySet:
        return self.filter(state__in=LIVE_STATES)


class Rollback(models.Model):
    """One rollback of one service. `rollbacks.transitions` alone writes `state`.

    `plan_digest` covers procedure, target and parameters: an approval is bound to it.
    `lease_until` and `fence` say which worker may write; `due_at` is when a worker should look.
    """

    ref = models.CharField(max_length=24, unique=True)
    incident = models.ForeignKey(Incident, on_delete=models.PROTECT, related_name="+")
    service = models.ForeignKey(Service, on_delete=models.PROTECT, related_name="+")
    parent = models.ForeignKey("self", null=True, on_delete=models.PROTECT, related_name="children")
    procedure = models.CharField(max_length=60)
    procedure_digest = models.CharField(max_length=64)
    plan_digest = models.CharField(max_length=64)
    queue = models.CharField(max_length=60, default="default", db_default="default")
    returns = models.CharField(
        max_length=16, default="version", db_default="version", help_text="version, configuration or database"
    )
    people = models.PositiveSmallIntegerField(
        default=1, db_default=1, help_text="How many different persons must stand behind it."
    )
    trigger = models.CharField(max_length=10, choices=Trigger.choices)
    state = models.CharField(max_length=20, choices=RollbackState.choices, default=RollbackState.REQUESTED)
    version = models.PositiveIntegerField(default=1)
    from_version = models.CharField(max_length=100)
    target_version = models.CharField(max_length=100)
    parameters = models.JSONField(default=dict)
    reason = models.TextField()
    expected_duration_seconds = models.PositiveIntegerField()
    expected_impact = models.TextField(blank=True)
    drill = models.BooleanField(default=False)
    requested_by = models.CharField(max_length=200)
    requested_by_user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    requested_by_token = models.BooleanField(default=False)
    requested_at = models.DateTimeField()
    edited_by_user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        on_delete=models.PROTECT,
        related_name="+",
        help_text="Who changed the plan last: it is theirs as it stands.",
    )
    break_glass = models.BooleanField(default=False, db_default=False)
    approved_at = models.DateTimeField(null=True)
    approval_expires_at = models.DateTimeField(null=True)
    started_at = models.DateTimeField(null=True)
    completed_at = models.DateTimeField(null=True)
    monitor = models.BigIntegerField(
        null=True, help_text="The monitor that made automation ask; no foreign key: monitors are removed."
    )
    breach_at = models.DateTimeField(null=True, help_text="When that monitor measured what it asks for.")
    breach_check = models.CharField(
        max_length=10, choices=BreachCheck.choices, blank=True, default="", db_default=""
    )
    breach_check_until = models.DateTimeField(
        null=True, help_text="Until when the breach must be confirmed before anything is changed."
    )
    mutated_at = models.DateTimeField(null=True, help_text="When the first changing step began.")
    cancel_requested_at = models.DateTimeField(null=True)
    cancel_requested_by = models.CharField(max_length=200, blank=True)
    compensating = models.TextField(
        blank=True,
        default="",
        db_default="",
        help_text="Why what was done is being undone, the last step first.",
    )
    attention = models.TextField(blank=True, help_text="Why a person must decide.")
    outcome = models.TextField(blank=True)
    false_positive = models.BooleanField(null=True, help_text="Judged afterwards: it was not necessary.")
    judged_by = models.CharField(max_length=200, blank=True, default="", db_default="")
    judged_at = models.DateTimeField(null=True)
    judged_reason = models.TextField(blank=True, default="", db_default="")
    due_at = models.DateTimeField(null=True)
    lease_until = models.DateTimeField(null=True)
    lease_owner = models.CharField(max_length=200, blank=True)
    fence = models.PositiveBigIntegerField(default=0)
    no_runner_at = models.DateTimeField(
        null=True, help_text="When it was noticed that no runner serves its queue; none since it was claimed."
    )

    objects = RollbackQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-requested_at", "-pk"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["service"],
                condition=Q(state__in=LIVE_STATES, drill=False),
                name="one_live_rollback_per_service",
            ),
            models.CheckConstraint(
                condition=Q(state__in=RollbackState.values), name="rollback_state_is_known"
            ),
            models.CheckConstraint(
                condition=~Q(target_version=models.F("from_version")) | ~Q(returns="version"),
                name="rollback_of_a_version_leaves_it",
            ),
            models.CheckConstraint(
                condition=~Q(breach_check=BreachCheck.WAITING) | Q(mutated_at=None),
                name="nothing_changes_before_the_breach_is_confirmed",
            ),
            models.UniqueConstraint(
                fields=["service"],
                condition=Q(state__in=LIVE_STATES, drill=True),
                name="one_live_drill_per_service",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["due_at"], condition=Q(due_at__isnull=False), name="rollbacks_due"),
            models.Index(
                fields=["lease_until"],
                condition=Q(state__in=RUNNING_STATES),
                name="rollbacks_leased",
            ),
            models.Index(fields=["-requested_at", "-id"], name="rollbacks_newest_first"),
            models.Index(fields=["state", "-id"], name="rollbacks_by_state"),
            models.Index(fields=["service", "-id"], name="rollbacks_of_a_service"),
            models.Index(fields=["-id"], condition=Q(drill=True), name="rollbacks_drills"),
        ]

    def __str__(self) -> str:
        return self.ref

    @property
    def told_name(self) -> str:
        """What it is called where it is not known who reads: the code name of a restricted incident."""
        return self.incident.code_name if self.incident.restricted else self.ref

    @property
    def way(self) -> str:
        """What goes back, for people: `2.0.0 → 1.9.0`, or `configuration of 2.0.0`."""
        if self.returns == "version":
            return f"{self.from_version} → {self.target_version}"
        return f"{self.returns} of {self.from_version}"


class RollbackStep(models.Model):
    """One step of a rollback, copied from the procedure when it was requested.

    The step's command is not here: it is read from the worker's own playbook when it runs.
    """

    rollback = models.ForeignKey(Rollback, on_delete=models.CASCADE, related_name="steps")
    position = models.PositiveSmallIntegerField()
    phase = models.CharField(max_length=10, choices=Phase.choices)
    key = models.CharField(max_length=60)
    name = models.CharField(max_length=120)
    kind = models.CharField(max_length=60, help_text="One of rollbacks.playbook.STEP_KINDS.")
    mutating = models.BooleanField(default=False)
    switches = models.BooleanField(default=False, db_default=False)
    state = models.CharField(max_length=12, choices=StepState.choices, default=StepState.PENDING)
    attempt = models.PositiveSmallIntegerField(default=0)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    due_at = models.DateTimeField(null=True, help_text="When a waiting step is over.")
    host = models.CharField(
        max_length=200, blank=True, default="", db_default="", help_text="Where its attempt was begun."
    )
    tolerated = models.BooleanField(
        default=False, db_default=False, help_text="It failed, and the rollback went on all the same."
    )
    compensating = models.BooleanField(default=False, db_default=False, help_text="It is being undone.")
    memory = models.JSONField(default=dict, db_default={}, help_text="What its next look needs to know.")
    exit_code = models.SmallIntegerField(null=True)
    output_tail = models.TextField(blank=True)
    note = models.CharField(max_length=500, blank=True)

    class Meta:
        ordering: ClassVar = ["rollback", "position"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["rollback", "position"], name="one_step_per_position"),
            models.CheckConstraint(condition=Q(state__in=StepState.values), name="step_state_is_known"),
        ]

    def __str__(self) -> str:
        return f"{self.rollback_id}#{self.position} {self.key}"

    @property
    def waits_for_a_decision(self) -> bool:
        """It did not do what it should, and the procedure does not go on all the same."""
        return self.state in UNSETTLED_STEPS and not self.tolerated


class StepOutput(models.Model):
    """A piece of what one attempt of a step said, cleaned and without secrets.

    `start` and `end` count the bytes of the attempt's whole clean output before and up to its end,
    `raw_end` those of the program's own output up to there: another worker goes on from it. Only the first
    and the last 256 KiB stay, so pieces in between may be missing.
    """

    step = models.ForeignKey(RollbackStep, on_delete=models.CASCADE, related_name="output")
    attempt = models.PositiveSmallIntegerField()
    start = models.PositiveBigIntegerField()
    end = models.PositiveBigIntegerField()
    raw_end = models.PositiveBigIntegerField()
    text = models.TextField()

    class Meta:
        ordering: ClassVar = ["attempt", "start"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["step", "attempt", "start"], name="one_piece_of_output_per_start")
        ]

    def __str__(self) -> str:
        return f"{self.step_id}.{self.attempt} at {self.start}"


class Approval(models.Model):
    """What one person decided about one plan; an edit of the plan makes it void."""

    rollback = models.ForeignKey(Rollback, on_delete=models.CASCADE, related_name="approvals")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    decision = models.CharField(max_length=10, choices=ApprovalDecision.choices)
    role = models.CharField(max_length=24)
    reason = models.TextField(blank=True)
    plan_digest = models.CharField(max_length=64)
    decided_at = models.DateTimeField()
    voided_at = models.DateTimeField(null=True)

    class Meta:
        ordering: ClassVar = ["decided_at"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["rollback", "user", "decision"],
                condition=Q(voided_at__isnull=True),
                name="one_standing_decision_of_a_kind_per_person",
            )
        ]

    def __str__(self) -> str:
        return f"{self.user} {self.decision}"
