-- The rights that depend on the table, for which the tables have to be there. Run it as taskledger_owner after the first `taskledger
-- migrate`, and again after every later one: until then the roles have the rights to new tables that roles.sql gives them.
--
--     psql --dbname taskledger --username taskledger_owner --set ON_ERROR_STOP=1 --file deploy/postgres/rights.sql
--
-- It can be run at any time, also while the roles run, and fails without a change if it has to wait for longer than five seconds.

BEGIN;
SET LOCAL lock_timeout = '5s';
SET LOCAL client_min_messages = warning;

-- The log. The table is not there if the log is in KurrentDB.
DO $$
BEGIN
    IF to_regclass('event_store.events') IS NOT NULL THEN
        REVOKE ALL ON ALL TABLES IN SCHEMA event_store FROM taskledger_auth, taskledger_command_api;
        GRANT SELECT ON ALL TABLES IN SCHEMA event_store TO taskledger_auth, taskledger_command_api;
        GRANT INSERT ON event_store.events TO taskledger_auth, taskledger_command_api;

        -- Everybody reads and writes the rows that their rights to the table allow, but the command API appends events of tasks only.
        -- The owner and superusers are not asked, so that migrations, imports and dumps are as before.
        ALTER TABLE event_store.events ENABLE ROW LEVEL SECURITY;
        DROP POLICY IF EXISTS everybody ON event_store.events;
        CREATE POLICY everybody ON event_store.events USING (true) WITH CHECK (true);
        DROP POLICY IF EXISTS command_api_appends_to_tasks ON event_store.events;
        CREATE POLICY command_api_appends_to_tasks ON event_store.events AS RESTRICTIVE
            FOR INSERT TO taskledger_command_api WITH CHECK (stream LIKE 'task-%' AND type LIKE 'task.%');
    END IF;
END
$$;

-- The keys of people.
DO $$
BEGIN
    IF to_regclass('subject_keys.data_keys') IS NOT NULL THEN
        REVOKE ALL ON ALL TABLES IN SCHEMA subject_keys FROM taskledger_auth, taskledger_command_api;
        GRANT SELECT ON ALL TABLES IN SCHEMA subject_keys TO taskledger_auth, taskledger_command_api;
        GRANT INSERT ON subject_keys.data_keys, subject_keys.master_keys TO taskledger_auth, taskledger_command_api;
        GRANT UPDATE ON subject_keys.data_keys TO taskledger_auth;
        GRANT INSERT, UPDATE ON subject_keys.followed_erasures TO taskledger_auth;
    END IF;
END
$$;

-- What roles remember for themselves: each has its own tables. Auth also deletes what the command API remembers of people who are
-- erased, and sees whether there ever was a log that was published.
DO $$
BEGIN
    IF to_regclass('operations.relay_progress') IS NOT NULL THEN
        REVOKE ALL ON ALL TABLES IN SCHEMA operations FROM taskledger_auth, taskledger_command_api;
        GRANT SELECT ON operations._sqlx_migrations TO taskledger_auth, taskledger_command_api;
        GRANT SELECT, INSERT, UPDATE, DELETE ON operations.idempotency_keys, operations.task_snapshots TO taskledger_command_api;
        GRANT SELECT, INSERT, UPDATE ON operations.relay_progress TO taskledger_command_api;
        GRANT SELECT, INSERT, UPDATE, DELETE ON operations.account_snapshots, operations.address_allowances,
            operations.authentication_failures, operations.familiar_addresses, operations.password_hash_costs,
            operations.pending_erasures TO taskledger_auth;
        GRANT SELECT, DELETE ON operations.idempotency_keys, operations.task_snapshots TO taskledger_auth;
        GRANT SELECT ON operations.relay_progress TO taskledger_auth;
    END IF;
END
$$;
COMMIT;
