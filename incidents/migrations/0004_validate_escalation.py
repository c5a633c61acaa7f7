"""The rows of before obey the new constraints too; checked without holding anybody up."""

from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("incidents", "0003_escalation_and_versions")]
    operations = [
        ValidateConstraint("incident", "escalation_says_when_and_to_whom"),
        ValidateConstraint("monitor", "removed_monitor_measures_nothing"),
    ]
