-- append_events() as before, without NOTIFY: PostgreSQL commits notifying transactions one after another, with a lock that
-- it holds over the flush. Whoever appends announces it after the commit.
CREATE OR REPLACE FUNCTION append_events(
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
    END IF;
END
$$;
