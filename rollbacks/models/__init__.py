"""The tables of this app, one module per aggregate."""

from rollbacks.models.automation import AutomationSwitch
from rollbacks.models.rollbacks import Approval, Rollback, RollbackStep, StepOutput

__all__ = ["Approval", "AutomationSwitch", "Rollback", "RollbackStep", "StepOutput"]
