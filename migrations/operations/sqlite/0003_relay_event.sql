-- Which event stands at `read_up_to`, so that the relay's progress can be compared with the log.
ALTER TABLE relay_progress ADD COLUMN event_id TEXT;
