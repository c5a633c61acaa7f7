"""What programs are told waits until nothing else is due (settings.PATIENT_CONSUMERS)."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("core", "0009_history_of_second_factors")]
    operations = [
        migrations.AddField("pendingevent", "patient", models.BooleanField(db_default=False, default=False)),
        migrations.AddIndex(
            "pendingevent",
            models.Index(
                condition=models.Q(parked_at__isnull=True),
                fields=["patient", "due_at", "id"],
                name="pending_events_by_turn",
            ),
        ),
        migrations.RemoveIndex("pendingevent", "pending_events_due"),
    ]
