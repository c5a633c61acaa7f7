"""Who has an incident's page open at this moment."""

from typing import ClassVar

from django.conf import settings
from django.db import models

from incidents.models.incidents import Incident


class Presence(models.Model):
    """A person whose page of the incident said so at `seen_at`; `doing` is a key of presence.DOING.

    No record of anything: rows are gone a minute later, and the table is UNLOGGED, so that a crash of the
    database merely empties it.
    """

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    incident = models.ForeignKey(Incident, on_delete=models.CASCADE, related_name="+")
    doing = models.CharField(max_length=20, blank=True)
    since = models.DateTimeField()
    seen_at = models.DateTimeField(db_index=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["incident", "user"], name="one_presence_per_person_and_incident")
        ]

    def __str__(self) -> str:
        return f"{self.user_id} has {self.incident_id} open"
