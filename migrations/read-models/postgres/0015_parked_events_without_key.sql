-- What is parked because the key of its person could not be used. Each projector looks for it once a minute, which must
-- not cost more with everything else that is parked.
CREATE INDEX parked_events_without_key ON parked_events (stream)
    WHERE substr(reason, 1, 19) = 'it cannot be opened';
