"""An account that may no longer hold a role signs in again."""

from django.db import migrations

FORWARD = """
CREATE TRIGGER losing_a_role_ends_sessions AFTER DELETE OR UPDATE ON incidents_rolegrant
    FOR EACH ROW EXECUTE FUNCTION core_end_sessions_of_row();
"""


class Migration(migrations.Migration):
    dependencies = [("incidents", "0005_history_of_configuration"), ("core", "0007_account_session_stamp")]
    operations = [
        migrations.RunSQL(FORWARD, "DROP TRIGGER losing_a_role_ends_sessions ON incidents_rolegrant;")
    ]
