-- append_events() as before, but quicker when the batch is one event.
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

    -- One event alone, as when one person works: without sets, which cost more than the rest of the function.
    IF cardinality(ids) = 1 THEN
        SELECT ARRAY[coalesce((SELECT max(e.position) FROM events e), 0)], ARRAY[coalesce(
            (SELECT e.version FROM events e WHERE e.stream = streams[1] ORDER BY e.version DESC LIMIT 1), 0
        )] INTO positions, versions;
        IF versions[1] = expected[1] THEN
            INSERT INTO events (position, version, recorded_at, schema_version, id, stream, type, encoding, metadata, data)
            VALUES (positions[1] + 1, versions[1] + 1, instants[1], schema_versions[1], ids[1], streams[1], types[1],
                encodings[1], metadatas[1], payloads[1]);
        ELSE
            positions[1] := -1;
        END IF;
        RETURN;
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
