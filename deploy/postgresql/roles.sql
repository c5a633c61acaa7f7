-- The two roles and the database, for psql as a superuser. Can be run again: it then sets the passwords.
-- Reads FIREBREAK_OWNER_PASSWORD and FIREBREAK_APP_PASSWORD from the environment, so that neither
-- stands on a command line. The owner migrates; the application may append to the timeline, not change it.
\set ON_ERROR_STOP on
\getenv owner_password FIREBREAK_OWNER_PASSWORD
\getenv app_password FIREBREAK_APP_PASSWORD
SET password_encryption = 'scram-sha-256';
-- The statements below are kept out of the server's log: they hold the passwords.
SET log_statement = 'none';
SET log_min_error_statement = 'panic';

SELECT format('CREATE ROLE %I LOGIN', name)
  FROM unnest(ARRAY['firebreak_owner', 'firebreak_app']) AS name
 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec
-- CREATEDB: `manage.py restore_check` restores a backup into a database of its own and drops it.
ALTER ROLE firebreak_owner CREATEDB PASSWORD :'owner_password';
ALTER ROLE firebreak_app PASSWORD :'app_password';

SELECT 'CREATE DATABASE firebreak OWNER firebreak_owner TEMPLATE template0 ENCODING ''UTF8'' LOCALE ''C.UTF-8'''
 WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'firebreak') \gexec
REVOKE ALL ON DATABASE firebreak FROM PUBLIC;
GRANT CONNECT ON DATABASE firebreak TO firebreak_app;
\connect firebreak
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO firebreak_app;
GRANT CREATE, USAGE ON SCHEMA public TO firebreak_owner;
