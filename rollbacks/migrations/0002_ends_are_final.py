"""The database refuses to leave a rollback's end state, and to lower its fence."""

from django.db import migrations

FORWARD = """
CREATE FUNCTION rollbacks_refuse_leaving_end() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'rollback % is %: it cannot become %', OLD.ref, OLD.state, NEW.state
        USING ERRCODE = 'check_violation', CONSTRAINT = 'ended_rollback_stays_ended';
END $$;
CREATE TRIGGER ended_rollback_stays_ended BEFORE UPDATE OF state ON rollbacks_rollback
    FOR EACH ROW WHEN (
        OLD.state IN ('succeeded', 'rejected', 'expired', 'cancelled', 'failed', 'handed_over', 'resolved_by_hand')
        AND NEW.state <> OLD.state)
    EXECUTE FUNCTION rollbacks_refuse_leaving_end();
CREATE FUNCTION rollbacks_refuse_lower_fence() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'rollback %: the fence only rises', OLD.ref
        USING ERRCODE = 'check_violation', CONSTRAINT = 'fence_only_rises';
END $$;
CREATE TRIGGER fence_only_rises BEFORE UPDATE OF fence ON rollbacks_rollback
    FOR EACH ROW WHEN (NEW.fence < OLD.fence)
    EXECUTE FUNCTION rollbacks_refuse_lower_fence();
"""
BACKWARD = """
DROP TRIGGER ended_rollback_stays_ended ON rollbacks_rollback;
DROP FUNCTION rollbacks_refuse_leaving_end();
DROP TRIGGER fence_only_rises ON rollbacks_rollback;
DROP FUNCTION rollbacks_refuse_lower_fence();
"""


class Migration(migrations.Migration):
    dependencies = [("rollbacks", "0001_initial")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
