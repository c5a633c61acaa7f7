"""One more template of messages: an overdue checklist."""

from django.db import migrations, models

TEMPLATES = [
    ("incident_alert", "Incident alert"),
    ("response_overdue", "Response overdue"),
    ("escalation", "Escalation"),
    ("checklist_overdue", "Checklist overdue"),
    ("rollback_notice", "Rollback notice"),
    ("approval_requested", "Approval requested"),
    ("break_glass", "Glass was broken"),
    ("attention_page", "A rollback needs a person"),
    ("recovery", "Recovery"),
    ("incident_update", "Update"),
    ("incident_resolved", "Resolved"),
    ("alarm", "Alarm of Firebreak itself"),
]


class Migration(migrations.Migration):
    dependencies = [("comms", "0006_break_glass_message")]
    operations = [
        migrations.AlterField("message", "template", models.CharField(choices=TEMPLATES, max_length=24))
    ]
