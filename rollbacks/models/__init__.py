"""The tables of this app, one module per aggregate."""

from rollbacks.models.automation import AutomationSwitch
from rollbacks.models.decisions import Decision
from rollbacks.models.rollbacks import Approval, Rollback, RollbackStep, StepOutput
from rollbacks.models.runners import Runner

__all__ = ["Approval", "AutomationSwitch", "Decision", "Rollback", "RollbackStep", "Runner", "StepOutput"]
