"""This app in the admin: rollbacks to read."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from core.accounts.sessions import actor_of_session
from core.admin import ReadOnlyAdmin, ReadOnlyInline
from rollbacks.models import Approval, Rollback, RollbackStep


class StepInline(ReadOnlyInline):
    model = RollbackStep
    fields = (
        "position",
        "phase",
        "name",
        "state",
        "attempt",
        "started_at",
        "finished_at",
        "exit_code",
        "note",
    )


class ApprovalInline(ReadOnlyInline):
    model = Approval
    fields = ("user", "decision", "role", "reason", "decided_at")


@admin.register(Rollback)
class RollbackAdmin(ReadOnlyAdmin):
    """None of an incident that the account may not see."""

    list_display = (
        "ref",
        "service",
        "from_version",
        "target_version",
        "state",
        "trigger",
        "requested_at",
        "completed_at",
    )
    list_filter = ("state", "trigger", "drill", "service")
    list_select_related = ("service",)
    search_fields = ("ref", "incident__ref")
    inlines = (StepInline, ApprovalInline)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Rollback]:
        rows = super().get_queryset(request)
        if not self.has_view_permission(request):  # is told so, whatever there is
            return rows
        seen = Rollback.objects.visible_to(actor_of_session(request))
        return rows.filter(pk__in=seen.values("pk"))
