-- A PostgreSQL role for each role of Taskledger, with the rights that it needs and no others. A superuser runs it in the empty
-- database of Taskledger, before the first `taskledger migrate`, which then runs as taskledger_owner:
--
--     createdb taskledger && psql --set ON_ERROR_STOP=1 --dbname taskledger --file deploy/postgres/roles.sql
--
-- and give each role a password (`ALTER ROLE taskledger_auth PASSWORD '…'`). The gateway needs no database. After `taskledger
-- migrate`, rights.sql takes away what is not needed in single tables, which are not there before.
--
-- It can be run again, and on a server that has the roles already, as for a second database: they keep their passwords.

-- The owner has the schemas: it migrates, rebuilds and restores. No running role is this one.
DO $$
DECLARE
    wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY[
        'taskledger_owner', 'taskledger_auth', 'taskledger_command_api', 'taskledger_query_api', 'taskledger_projector'
    ] LOOP
        IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = wanted) THEN
            EXECUTE format('CREATE ROLE %I LOGIN', wanted);
        END IF;
    END LOOP;
END
$$;

-- What is below would leave a schema with the role that made it.
DO $$
DECLARE
    others text;
BEGIN
    SELECT string_agg(nspname, ', ') INTO others FROM pg_namespace
    WHERE nspname IN ('event_store', 'subject_keys', 'operations', 'read_models', 'audit_tree')
        AND pg_get_userbyid(nspowner) <> 'taskledger_owner';
    IF others IS NOT NULL THEN
        RAISE EXCEPTION 'the schemas % belong to another role: give them and what is in them to taskledger_owner first', others;
    END IF;
END
$$;

DO $$
BEGIN
    EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
    -- To rebuild read models, which makes a schema beside those that are in use.
    EXECUTE format('GRANT CONNECT, CREATE ON DATABASE %I TO taskledger_owner', current_database());
    EXECUTE format(
        'GRANT CONNECT ON DATABASE %I TO taskledger_auth, taskledger_command_api, taskledger_query_api, taskledger_projector',
        current_database()
    );
END
$$;

-- The log: nobody changes or deletes what has happened, not even its owner by mistake of a role.
CREATE SCHEMA IF NOT EXISTS event_store AUTHORIZATION taskledger_owner;
GRANT USAGE ON SCHEMA event_store
    TO taskledger_auth, taskledger_command_api, taskledger_query_api, taskledger_projector;
ALTER DEFAULT PRIVILEGES FOR ROLE taskledger_owner IN SCHEMA event_store
    GRANT SELECT, INSERT ON TABLES TO taskledger_auth, taskledger_command_api;
ALTER DEFAULT PRIVILEGES FOR ROLE taskledger_owner IN SCHEMA event_store
    GRANT SELECT ON TABLES TO taskledger_query_api, taskledger_projector;

-- The keys of people: whoever appends makes them, auth destroys them, and the projector only reads them.
CREATE SCHEMA IF NOT EXISTS subject_keys AUTHORIZATION taskledger_owner;
GRANT USAGE ON SCHEMA subject_keys TO taskledger_auth, taskledger_command_api, taskledger_projector;
ALTER DEFAULT PRIVILEGES FOR ROLE taskledger_owner IN SCHEMA subject_keys
    GRANT SELECT, INSERT, UPDATE ON TABLES TO taskledger_auth;
ALTER DEFAULT PRIVILEGES FOR ROLE taskledger_owner IN SCHEMA subject_keys
    GRANT SELECT, INSERT ON TABLES TO taskledger_command_api;
ALTER DEFAULT PRIVILEGES FOR ROLE taskledger_owner IN SCHEMA subject_keys
    GRANT SELECT ON TABLES TO taskledger_projector;

-- What roles remember for themselves.
CREATE SCHEMA IF NOT EXISTS operations AUTHORIZATION taskledger_owner;
GRANT USAGE ON SCHEMA operations TO taskledger_auth, taskledger_command_api;
ALTER DEFAULT PRIVILEGES FOR ROLE taskledger_owner IN SCHEMA operations
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO taskledger_auth, taskledger_command_api;

-- The read models.
CREATE SCHEMA IF NOT EXISTS read_models AUTHORIZATION taskledger_owner;
GRANT USAGE ON SCHEMA read_models
    TO taskledger_auth, taskledger_command_api, taskledger_query_api, taskledger_projector;
ALTER DEFAULT PRIVILEGES FOR ROLE taskledger_owner IN SCHEMA read_models
    GRANT SELECT ON TABLES TO taskledger_auth, taskledger_command_api, taskledger_query_api;
ALTER DEFAULT PRIVILEGES FOR ROLE taskledger_owner IN SCHEMA read_models
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO taskledger_projector;

-- The audit tree: the projector keeps it, the query API shows it.
CREATE SCHEMA IF NOT EXISTS audit_tree AUTHORIZATION taskledger_owner;
GRANT USAGE ON SCHEMA audit_tree TO taskledger_query_api, taskledger_projector;
ALTER DEFAULT PRIVILEGES FOR ROLE taskledger_owner IN SCHEMA audit_tree
    GRANT SELECT ON TABLES TO taskledger_query_api;
ALTER DEFAULT PRIVILEGES FOR ROLE taskledger_owner IN SCHEMA audit_tree
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO taskledger_projector;
