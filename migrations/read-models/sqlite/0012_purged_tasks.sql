-- A task that was taken out of the trash for good is nobody's, and keeps nothing but its id, its times and where it stood. Of its
-- history one row is left, which tells its owner that it is gone.

-- What has been in the trash for long enough.
CREATE INDEX trash_by_deleted_at ON tasks (deleted_at, id) WHERE deleted_at IS NOT NULL;
CREATE INDEX task_history_purged ON task_history (owner, position) WHERE type = 'task.purged';

DROP VIEW task;
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
FROM tasks
WHERE owner <> '00000000-0000-0000-0000-000000000000';
