-- The reason of a discarded event may quote it, so that it goes with the person.
CREATE INDEX discarded_events_by_subject ON discarded_events (subject);
