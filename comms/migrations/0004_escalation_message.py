"""One more template of messages: escalation."""

from django.db import migrations, models

TEMPLATES = [
    ("incident_alert", "Incident alert"),
    ("response_overdue", "Response overdue"),
    ("escalation", "Escalation"),
    ("rollback_notice", "Rollback notice"),
    ("approval_requested", "Approval requested"),
    ("attention_page", "A rollback needs a person"),
    ("recovery", "Recovery"),
    ("incident_update", "Update"),
    ("incident_resolved", "Resolved"),
    ("alarm", "Alarm of Firebreak itself"),
]


class Migration(migrations.Migration):
    dependencies = [("comms", "0003_deliveries_given_up")]
    operations = [
        migrations.AlterField("message", "template", models.CharField(choices=TEMPLATES, max_length=24))
    ]
