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
       reporting_instant(due_at) AS due_at,
       reporting_instant(overdue_at) AS overdue_at,
       reporting_instant(created_at) AS created_at,
       reporting_instant(updated_at) AS updated_at,
       reporting_instant(completed_at) AS completed_at,
       reporting_instant(deleted_at) AS deleted_at,
       version,
       position
FROM tasks
WHERE owner <> '00000000-0000-0000-0000-000000000000';
