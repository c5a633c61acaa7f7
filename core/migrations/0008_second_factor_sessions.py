"""Who loses the last second factor signs in again: the sessions that it opened prove nothing any more."""

from django.db import migrations

FORWARD = """
CREATE FUNCTION core_second_factor_removed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT 1 FROM mfa_authenticator WHERE user_id = OLD.user_id AND type IN ('totp', 'webauthn')
    ) THEN
        PERFORM core_end_sessions(OLD.user_id);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER losing_the_second_factor_ends_sessions AFTER DELETE ON mfa_authenticator
    FOR EACH ROW WHEN (OLD.type IN ('totp', 'webauthn')) EXECUTE FUNCTION core_second_factor_removed();
"""
BACKWARD = """
DROP TRIGGER losing_the_second_factor_ends_sessions ON mfa_authenticator;
DROP FUNCTION core_second_factor_removed();
"""


class Migration(migrations.Migration):
    dependencies = [("core", "0007_account_session_stamp"), ("mfa", "0003_authenticator_type_uniq")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
