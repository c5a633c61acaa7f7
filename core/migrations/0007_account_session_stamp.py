"""Sessions end when something is taken away, whoever takes it and by whatever statement."""

from django.db import migrations, models

FORWARD = """
CREATE FUNCTION core_end_sessions(account bigint) RETURNS void LANGUAGE sql AS $$
    UPDATE core_user SET session_stamp = session_stamp + 1 WHERE id = account;
$$;
CREATE FUNCTION core_end_sessions_of_row() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM core_end_sessions(OLD.user_id);
    RETURN NULL;
END $$;
CREATE TRIGGER losing_a_level_ends_sessions AFTER DELETE OR UPDATE ON core_user_groups
    FOR EACH ROW EXECUTE FUNCTION core_end_sessions_of_row();

-- The stamp never falls: a row that was read earlier and is saved whole brings no dead session back.
CREATE FUNCTION core_raise_session_stamp() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.session_stamp := greatest(NEW.session_stamp, OLD.session_stamp);
    IF (OLD.is_active AND NOT NEW.is_active) OR (OLD.is_superuser AND NOT NEW.is_superuser) THEN
        NEW.session_stamp := NEW.session_stamp + 1;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER session_stamp_only_rises BEFORE UPDATE ON core_user
    FOR EACH ROW EXECUTE FUNCTION core_raise_session_stamp();
"""
BACKWARD = """
DROP TRIGGER session_stamp_only_rises ON core_user;
DROP TRIGGER losing_a_level_ends_sessions ON core_user_groups;
DROP FUNCTION core_raise_session_stamp();
DROP FUNCTION core_end_sessions_of_row();
DROP FUNCTION core_end_sessions(bigint);
"""


class Migration(migrations.Migration):
    dependencies = [("core", "0006_history_of_configuration")]
    operations = [
        migrations.AddField(
            "user", "session_stamp", models.PositiveBigIntegerField(db_default=0, default=0, editable=False)
        ),
        migrations.RunSQL(FORWARD, BACKWARD),
    ]
