"""The tables of this app, one module per aggregate."""

from rollbacks.models.automation import AutomationSwitch
from rollbacks.models.decisions import Decision
from rollbacks.models.drills import Drill, RehearsalLapse
from rollbacks.models.rollbacks import Approval, Rollback, RollbackStep, StepOutput
from rollbacks.models.runners import Runner

__all__ = [
    "Approval", "AutomationSwitch", "Decision", "Drill", "RehearsalLapse", "Rollback", "RollbackStep",
    "Runner", "StepOutput",
]  # fmt: skip
