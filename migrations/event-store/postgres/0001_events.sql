-- The log. Rows are inserted by append_events() alone and never changed.
CREATE TABLE events (
    position       BIGINT  PRIMARY KEY, -- from 1, without gaps, in commit order
    version        BIGINT  NOT NULL,    -- in its stream: from 1, without gaps
    recorded_at    BIGINT  NOT NULL,    -- microseconds since 1970
    schema_version INTEGER NOT NULL,
    id             UUID    NOT NULL,
    stream         TEXT    COLLATE "C" NOT NULL, -- compared byte by byte, whatever the database's language
    type           TEXT    NOT NULL,
    encoding       TEXT    NOT NULL,
    metadata       TEXT    NOT NULL,    -- JSON
    data           BYTEA   NOT NULL,    -- byte for byte as it was appended
    UNIQUE (stream, version)
);

-- Appends a batch: one round trip, one transaction, whatever the number of appends in it.
--
-- The first four arrays have one element for each append, the others one for each event, in the same order.
-- `slots` says for each append which one of the batch is the first on the same stream, counted from 1.
-- `owners` says to which append an event belongs, `places` which of its events it is, both from 1.
--
-- For each append, `positions` and `versions` return those of the last event before its own; a position of -1
-- says that the stream was not at the expected version, but at the one returned. Such an append leaves the
-- others alone.
--
-- Why positions have no gaps and appear in commit order: everyone who appends holds the order lock from the
-- first statement to the end of the transaction. A volatile function takes a new snapshot for each of its
-- statements under READ COMMITTED, so what follows the lock sees all that was committed before the lock was
-- granted. With any other isolation level the snapshot would be older than the lock: that is refused.
CREATE FUNCTION append_events(
    streams text[],
    slots integer[],
    expected bigint[],
    counts integer[],
    owners integer[],
    places integer[],
    event_streams text[],
    ids uuid[],
    types text[],
    schema_versions integer[],
    encodings text[],
    payloads bytea[],
    metadatas text[],
    instants bigint[],
    OUT positions bigint[],
    OUT versions bigint[]
) LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    before bigint;
    head bigint;
    current bigint[];
    slot integer;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('taskledger.event_store', 0));

    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'append_events() needs READ COMMITTED, not %', current_setting('transaction_isolation');
    END IF;

    SELECT coalesce(max(e.position), 0) INTO before FROM events e;
    head := before;

    -- Of each stream once, at its slot.
    current := ARRAY(
        SELECT CASE WHEN a.slot = a.n THEN coalesce(
            (SELECT e.version FROM events e WHERE e.stream = a.stream ORDER BY e.version DESC LIMIT 1), 0
        ) ELSE 0 END
        FROM unnest(streams, slots) WITH ORDINALITY AS a (stream, slot, n)
    );

    positions := expected;
    versions := expected;
    FOR i IN 1 .. cardinality(slots) LOOP
        slot := slots[i];
        versions[i] := current[slot];
        IF current[slot] = expected[i] THEN
            positions[i] := head;
            head := head + counts[i];
            current[slot] := current[slot] + counts[i];
        ELSE
            positions[i] := -1;
        END IF;
    END LOOP;

    IF head > before THEN
        INSERT INTO events (position, version, recorded_at, schema_version, id, stream, type, encoding, metadata, data)
        SELECT positions[n.owner] + n.place, versions[n.owner] + n.place,
            n.instant, n.schema_version, n.id, n.stream, n.type, n.encoding, n.metadata, n.payload
        FROM unnest(owners, places, event_streams, ids, types, schema_versions, encodings, payloads, metadatas, instants)
            AS n (owner, place, stream, id, type, schema_version, encoding, payload, metadata, instant)
        WHERE positions[n.owner] >= 0;

        PERFORM pg_notify('taskledger_events', head::text);
    END IF;
END
$$;
