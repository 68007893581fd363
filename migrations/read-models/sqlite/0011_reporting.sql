-- For people who ask questions in SQL: docs/audit.md. What is personal, and sealed in the log, is left out.

CREATE VIEW task AS
SELECT id,
       owner,
       status,
       CASE priority WHEN 0 THEN 'low' WHEN 1 THEN 'normal' WHEN 2 THEN 'high' WHEN 3 THEN 'urgent' END AS priority,
       strftime('%Y-%m-%d %H:%M:%f', due_at / 1000000.0, 'unixepoch') AS due_at,
       strftime('%Y-%m-%d %H:%M:%f', overdue_at / 1000000.0, 'unixepoch') AS overdue_at,
       strftime('%Y-%m-%d %H:%M:%f', created_at / 1000000.0, 'unixepoch') AS created_at,
       strftime('%Y-%m-%d %H:%M:%f', updated_at / 1000000.0, 'unixepoch') AS updated_at,
       strftime('%Y-%m-%d %H:%M:%f', completed_at / 1000000.0, 'unixepoch') AS completed_at,
       strftime('%Y-%m-%d %H:%M:%f', deleted_at / 1000000.0, 'unixepoch') AS deleted_at,
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
       strftime('%Y-%m-%d %H:%M:%f', h.recorded_at / 1000000.0, 'unixepoch') AS recorded_at,
       date(h.recorded_at / 1000000.0, 'unixepoch') AS recorded_on,
       c.value ->> 'field' AS field,
       CASE WHEN c.value ->> 'field' IN ('status', 'priority', 'due', 'completed_at', 'deleted_at')
           THEN c.value ->> 'from' END AS old_value,
       CASE WHEN c.value ->> 'field' IN ('status', 'priority', 'due', 'completed_at', 'deleted_at')
           THEN c.value ->> 'to' END AS new_value
FROM task_history h
    CROSS JOIN json_each(h.changes) AS c;

CREATE VIEW account AS
SELECT id,
       roles,
       disabled,
       strftime('%Y-%m-%d %H:%M:%f', created_at / 1000000.0, 'unixepoch') AS created_at,
       strftime('%Y-%m-%d %H:%M:%f', updated_at / 1000000.0, 'unixepoch') AS updated_at,
       version,
       position
FROM accounts;

CREATE VIEW session AS
SELECT id,
       account,
       strftime('%Y-%m-%d %H:%M:%f', started_at / 1000000.0, 'unixepoch') AS started_at,
       strftime('%Y-%m-%d %H:%M:%f', last_refreshed_at / 1000000.0, 'unixepoch') AS last_refreshed_at,
       strftime('%Y-%m-%d %H:%M:%f', expires_at / 1000000.0, 'unixepoch') AS expires_at,
       strftime('%Y-%m-%d %H:%M:%f', ended_at / 1000000.0, 'unixepoch') AS ended_at,
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
       CASE WHEN length(correlation_id) = 36 AND correlation_id GLOB '????????-????-????-????-????????????'
               AND correlation_id NOT GLOB '*[^0-9a-fA-F-]*' THEN correlation_id END AS correlation_id,
       causation_id,
       strftime('%Y-%m-%d %H:%M:%f', recorded_at / 1000000.0, 'unixepoch') AS recorded_at,
       date(recorded_at / 1000000.0, 'unixepoch') AS recorded_on
FROM audit_log;

CREATE VIEW operation AS
SELECT s.position,
       s.stream,
       s.subject,
       s.operation ->> 'command' AS command,
       s.operation ->> 'by' AS operator,
       s.operation ->> 'reason' AS reason,
       strftime('%Y-%m-%d %H:%M:%f', s.recorded_at / 1000000.0, 'unixepoch') AS started_at,
       strftime('%Y-%m-%d %H:%M:%f', f.recorded_at / 1000000.0, 'unixepoch') AS finished_at,
       f.operation ->> 'outcome' AS outcome,
       f.operation ->> 'result' AS result
FROM audit_log s
    LEFT JOIN audit_log f ON f.stream = s.stream AND f.type = 'operation.finished'
WHERE s.type = 'operation.started';
