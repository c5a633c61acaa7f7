"""The clocks that page people when nobody answers, and the message that an update is overdue."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("comms", "0008_indexes_of_lanes"),
        ("incidents", "0013_services_at_size"),
    ]

    operations = [
        migrations.AlterField(
            model_name="message",
            name="template",
            field=models.CharField(
                choices=[
                    ("incident_alert", "Incident alert"),
                    ("drill", "Drill"),
                    ("acknowledgement", "Acknowledged"),
                    ("response_overdue", "Response overdue"),
                    ("escalation", "Escalation"),
                    ("update_overdue", "Update overdue"),
                    ("checklist_overdue", "Checklist overdue"),
                    ("rollback_notice", "Rollback notice"),
                    ("approval_requested", "Approval requested"),
                    ("break_glass", "Glass was broken"),
                    ("attention_page", "Manual intervention needed"),
                    ("rollback_failed", "Rollback failed"),
                    ("runner_missing", "No runner for a rollback"),
                    ("recovery", "Recovery"),
                    ("incident_update", "Update"),
                    ("incident_resolved", "Resolved"),
                    ("alarm", "Alarm of Firebreak itself"),
                ],
                max_length=24,
            ),
        ),
        migrations.CreateModel(
            name="EscalationClock",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("response", "Somebody acknowledges"),
                            ("silence", "Somebody does something again"),
                            ("update", "The next update"),
                        ],
                        max_length=8,
                    ),
                ),
                ("ladder", models.CharField(max_length=2)),
                ("counts_from", models.DateTimeField()),
                ("done", models.PositiveIntegerField(default=0)),
                ("last_at", models.DateTimeField(null=True)),
                ("due_at", models.DateTimeField()),
                (
                    "incident",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="incidents.incident"
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["due_at"], name="escalation_clocks_due")],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("incident", "kind"), name="one_clock_per_incident_and_kind"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("kind__in", ["response", "silence", "update"])),
                        name="clock_kind_is_known",
                    ),
                ],
            },
        ),
    ]
