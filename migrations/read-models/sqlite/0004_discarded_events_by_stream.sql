-- A batch looks up what was discarded of its own streams.
CREATE INDEX discarded_events_by_stream ON discarded_events (stream, version);
