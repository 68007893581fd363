-- For people who ask questions in SQL: docs/audit.md. What is personal, and sealed in the log, is left out. They are here and
-- not in a schema of their own because they change places with their tables when these are rebuilt.

CREATE FUNCTION reporting_instant(micros bigint) RETURNS timestamptz LANGUAGE sql STABLE
    -- Years 1 to 9999. Others are in no row of ours.
    RETURN CASE WHEN micros BETWEEN -62135596800000000 AND 253402300799999999
        THEN timestamptz '1970-01-01 00:00:00+00' + micros * interval '1 microsecond' END;

CREATE FUNCTION reporting_uuid(text text) RETURNS uuid LANGUAGE sql IMMUTABLE
    RETURN CASE WHEN text ~ '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$' THEN text::uuid END;

CREATE VIEW task AS
SELECT id,
       owner,
       status,
       CASE priority WHEN 0 THEN 'low' WHEN 1 THEN 'normal' WHEN 2 THEN 'high' WHEN 3 THEN 'urgent' END AS priority,
       reporting_instant(due_at) AS due_at,
       reporting_instant(overdue_at) AS overdue_at,
       reporting_instant(created_at) AS created_at,
       reporting_instant(updated_at) AS updated_at,
       reporting_instant(completed_at) AS completed_at,
       reporting_instant(deleted_at) AS deleted_at,
       version,
       position
FROM tasks;

CREATE VIEW task_change AS
SELECT h.position,
       h.task,
       h.owner,
       h.version,
       h.event_id,
       h.type,
       h.actor,
       reporting_instant(h.recorded_at) AS recorded_at,
       (reporting_instant(h.recorded_at) AT TIME ZONE 'UTC')::date AS recorded_on,
       c.change ->> 'field' AS field,
       CASE WHEN c.change ->> 'field' IN ('status', 'priority', 'due', 'completed_at', 'deleted_at')
           THEN c.change ->> 'from' END AS old_value,
       CASE WHEN c.change ->> 'field' IN ('status', 'priority', 'due', 'completed_at', 'deleted_at')
           THEN c.change ->> 'to' END AS new_value
FROM task_history h
    CROSS JOIN LATERAL jsonb_array_elements(h.changes::jsonb) AS c (change);

CREATE VIEW account AS
SELECT id,
       roles,
       disabled,
       reporting_instant(created_at) AS created_at,
       reporting_instant(updated_at) AS updated_at,
       version,
       position
FROM accounts;

CREATE VIEW session AS
SELECT id,
       account,
       reporting_instant(started_at) AS started_at,
       reporting_instant(last_refreshed_at) AS last_refreshed_at,
       reporting_instant(expires_at) AS expires_at,
       reporting_instant(ended_at) AS ended_at,
       end_reason,
       version,
       position
FROM sessions;

CREATE VIEW audit_event AS
SELECT position,
       stream,
       version,
       event_id,
       type,
       subject,
       actor,
       -- One that a client has chosen may be personal.
       reporting_uuid(correlation_id) AS correlation_id,
       causation_id,
       reporting_instant(recorded_at) AS recorded_at,
       (reporting_instant(recorded_at) AT TIME ZONE 'UTC')::date AS recorded_on
FROM audit_log;

CREATE VIEW operation AS
SELECT s.position,
       s.stream,
       s.subject,
       s.operation::jsonb ->> 'command' AS command,
       s.operation::jsonb ->> 'by' AS operator,
       s.operation::jsonb ->> 'reason' AS reason,
       reporting_instant(s.recorded_at) AS started_at,
       reporting_instant(f.recorded_at) AS finished_at,
       f.operation::jsonb ->> 'outcome' AS outcome,
       f.operation::jsonb ->> 'result' AS result
FROM audit_log s
    LEFT JOIN audit_log f ON f.stream = s.stream AND f.type = 'operation.finished'
WHERE s.type = 'operation.started';
