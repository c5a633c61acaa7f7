"""What the export of an incident says of its rollbacks; the format: docs/export.md."""

from __future__ import annotations

from typing import Any

from core.actors import Actor
from incidents.models import Incident
from rollbacks.models import Rollback

_ROLLBACK = (
    "ref", "trigger", "state", "procedure", "procedure_digest", "plan_digest", "returns", "from_version",
    "target_version", "parameters", "reason", "break_glass", "drill", "requested_by", "requested_at",
    "approved_at", "started_at", "mutated_at", "completed_at", "attention", "outcome", "false_positive",
    "judged_by", "judged_at", "judged_reason",
)  # fmt: skip
_STEP = (
    "position", "phase", "key", "name", "kind", "mutating", "state", "attempt", "started_at", "finished_at",
    "exit_code", "note",
)  # fmt: skip
_APPROVAL = ("decision", "role", "reason", "decided_at")


def rollbacks_of(_actor: Actor, incident: Incident) -> list[dict[str, Any]]:
    """Every one with its steps and approvals, the oldest first; what commands printed is left out."""
    rows = Rollback.objects.filter(incident=incident).order_by("pk").select_related("service", "parent")
    return [
        {
            **_named(row, _ROLLBACK),
            "service": row.service.slug,
            "parent": row.parent.ref if row.parent else None,
            "steps": [_named(step, _STEP) for step in row.steps.all()],
            "approvals": [
                {"account": approval.user.get_username(), **_named(approval, _APPROVAL)}
                for approval in row.approvals.all()
            ],
        }
        for row in rows.prefetch_related("steps", "approvals__user")
    ]


def _named(row: Any, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: getattr(row, name) for name in names}
