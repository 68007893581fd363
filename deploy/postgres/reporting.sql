-- A role for people who ask questions in SQL (docs/audit.md): it reads the views that are made for them, and nothing else. A
-- superuser runs it after `taskledger migrate`:
--
--     psql --dbname taskledger --file deploy/postgres/reporting.sql
--
-- and give the role a password. A rebuild of the read models carries its rights over.

DO $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'taskledger_reporting') THEN
        CREATE ROLE taskledger_reporting LOGIN;
    END IF;
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO taskledger_reporting', current_database());
END
$$;
-- Everybody may make temporary tables and types by default, and put their own in the place of others.
DO $$
BEGIN
    EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database());
END
$$;
GRANT USAGE ON SCHEMA event_store, read_models TO taskledger_reporting;
GRANT SELECT ON event_store.event TO taskledger_reporting;
GRANT SELECT ON read_models.account, read_models.audit_event, read_models.operation, read_models.session, read_models.task,
    read_models.task_change TO taskledger_reporting;

-- Where it looks for them, and what a question may take.
ALTER ROLE taskledger_reporting SET search_path = read_models, event_store;
ALTER ROLE taskledger_reporting SET default_transaction_read_only = on;
ALTER ROLE taskledger_reporting SET statement_timeout = '5min';
