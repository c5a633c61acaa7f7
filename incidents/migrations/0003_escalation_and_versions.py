"""Escalation as a state; versions of services and monitors; monitors that are removed."""

from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models
from django.db.models import Q

ESCALATION = models.CheckConstraint(
    condition=Q(escalated_at__isnull=True, escalated_to="")
    | (Q(escalated_at__isnull=False) & ~Q(escalated_to="")),
    name="escalation_says_when_and_to_whom",
)
REMOVED = models.CheckConstraint(
    condition=Q(removed_at__isnull=True) | Q(enabled=False), name="removed_monitor_measures_nothing"
)


class Migration(migrations.Migration):
    dependencies = [("incidents", "0002_closed_is_final")]
    operations = [
        migrations.AddField("incident", "escalated_at", models.DateTimeField(null=True)),
        migrations.AddField(
            "incident",
            "escalated_to",
            models.CharField(
                blank=True, db_default="", help_text="The audience it was escalated to last.", max_length=20
            ),
        ),
        migrations.AddField("monitor", "removed_at", models.DateTimeField(editable=False, null=True)),
        migrations.AddField(
            "monitor", "version", models.PositiveIntegerField(db_default=1, default=1, editable=False)
        ),
        migrations.AddField(
            "service", "version", models.PositiveIntegerField(db_default=1, default=1, editable=False)
        ),
        migrations.AddIndex(
            "monitor",
            models.Index(
                condition=Q(removed_at__isnull=False), fields=["removed_at"], name="monitors_removed"
            ),
        ),
        AddConstraintNotValid("incident", ESCALATION),
        AddConstraintNotValid("monitor", REMOVED),
    ]
