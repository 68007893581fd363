-- Appends one event, as append_events() does: most appends are one event alone, and sets cost more than the rest of that function.
--
-- `before` is the position before that of the event, or -1 when the stream was not at the expected version, but at `current`. Each
-- statement after the lock sees all that was committed before the lock was granted, as there.
CREATE FUNCTION append_event(
    stream text,
    expected bigint,
    id uuid,
    type text,
    schema_version integer,
    encoding text,
    payload bytea,
    metadata text,
    instant bigint,
    OUT before bigint,
    OUT current bigint
) LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('taskledger.event_store', 0));

    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'append_event() needs READ COMMITTED, not %', current_setting('transaction_isolation');
    END IF;

    INSERT INTO events AS e (position, version, recorded_at, schema_version, id, stream, type, encoding, metadata, data)
    SELECT coalesce((SELECT max(l.position) FROM events l), 0) + 1, append_event.expected + 1,
        append_event.instant, append_event.schema_version, append_event.id, append_event.stream, append_event.type,
        append_event.encoding, append_event.metadata, append_event.payload
    WHERE append_event.expected = coalesce(
        (SELECT s.version FROM events s WHERE s.stream = append_event.stream ORDER BY s.version DESC LIMIT 1), 0
    )
    RETURNING e.position - 1, append_event.expected INTO before, current;

    IF before IS NULL THEN
        before := -1;
        current := coalesce(
            (SELECT s.version FROM events s WHERE s.stream = append_event.stream ORDER BY s.version DESC LIMIT 1), 0
        );
    END IF;
END
$$;
