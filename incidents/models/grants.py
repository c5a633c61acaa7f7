"""Who may hold which role; who holds it is said on the incident."""

from typing import ClassVar

from django.conf import settings
from django.db import models

from core.history import keep_history
from incidents.states import Role


@keep_history("user", "role", thing="Role grant", named_by=("role", "user"), seen_by="administer")
class RoleGrant(models.Model):
    """This account may hold this role."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    role = models.CharField(max_length=24, choices=Role.choices)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["user", "role"], name="one_grant_per_account_and_role"),
            models.CheckConstraint(condition=models.Q(role__in=Role.values), name="grant_role_is_known"),
        ]

    def __str__(self) -> str:
        return f"{self.user} may be {Role(self.role).label}"
