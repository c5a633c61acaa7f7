"""The texts of before are of sections that are still known; checked without holding anybody up."""

from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("incidents", "0023_reports_as_published")]
    operations = [ValidateConstraint("reporttext", "report_section_is_known")]
