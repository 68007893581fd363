-- Which event stands at the checkpoint's position, so that it can be compared with the log: after a restore another
-- one may. NULL at position 0, and until the checkpoint moves for the first time.
ALTER TABLE checkpoints ADD COLUMN event_id TEXT;
