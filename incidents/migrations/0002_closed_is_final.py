"""The database refuses to leave an incident's end state."""

from django.db import migrations

FORWARD = """
CREATE FUNCTION incidents_refuse_leaving_end() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'incident % is closed: it cannot become %', OLD.ref, NEW.status
        USING ERRCODE = 'check_violation', CONSTRAINT = 'closed_incident_stays_closed';
END $$;
CREATE TRIGGER closed_incident_stays_closed BEFORE UPDATE OF status ON incidents_incident
    FOR EACH ROW WHEN (OLD.status = 'closed' AND NEW.status <> 'closed')
    EXECUTE FUNCTION incidents_refuse_leaving_end();
"""
BACKWARD = """
DROP TRIGGER closed_incident_stays_closed ON incidents_incident;
DROP FUNCTION incidents_refuse_leaving_end();
"""


class Migration(migrations.Migration):
    dependencies = [("incidents", "0001_initial")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
