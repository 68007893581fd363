-- Which replicas of the projector there are, and which partitions each of them projects. All times are of this server,
-- whose clock is the same for all. If these rows are lost, the replicas write them again.
CREATE TABLE projector_replicas (
    partitions BIGINT      NOT NULL,           -- into how many partitions it projects the log
    replica    UUID        NOT NULL,
    seen_at    TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (partitions, replica)
);

CREATE TABLE partition_leases (
    partitions BIGINT NOT NULL,
    partition  BIGINT NOT NULL,
    replica    UUID   NOT NULL,
    PRIMARY KEY (partitions, partition)
);

-- Renews what a replica owns, gives back what is more than its even share, takes what is free up to it, and returns what
-- it owns then. A replica that was not seen for so many milliseconds has nothing any more.
CREATE FUNCTION claim_partitions(total BIGINT, claimer UUID, patience BIGINT) RETURNS SETOF BIGINT
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    alive UUID[];
    share BIGINT;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('taskledger.partition_leases', 0));

    INSERT INTO projector_replicas AS r (partitions, replica, seen_at) VALUES (total, claimer, clock_timestamp())
    ON CONFLICT (partitions, replica) DO UPDATE SET seen_at = excluded.seen_at;
    DELETE FROM projector_replicas r WHERE r.seen_at < clock_timestamp() - patience * INTERVAL '1 millisecond';
    alive := ARRAY(SELECT r.replica FROM projector_replicas r WHERE r.partitions = total ORDER BY r.replica);

    -- The first ones have one more when it does not come out even.
    share := total / cardinality(alive)
        + CASE WHEN array_position(alive, claimer) <= total % cardinality(alive) THEN 1 ELSE 0 END;

    DELETE FROM partition_leases l WHERE l.partitions = total AND l.replica <> ALL (alive);
    DELETE FROM partition_leases l WHERE l.partitions = total AND l.partition IN (
        SELECT o.partition FROM partition_leases o
        WHERE o.partitions = total AND o.replica = claimer ORDER BY o.partition OFFSET share
    );
    INSERT INTO partition_leases (partitions, partition, replica)
    SELECT total, p, claimer FROM generate_series(0, total - 1) AS p
    WHERE NOT EXISTS (SELECT FROM partition_leases l WHERE l.partitions = total AND l.partition = p)
    ORDER BY p
    LIMIT share - (SELECT count(*) FROM partition_leases l WHERE l.partitions = total AND l.replica = claimer);

    RETURN QUERY SELECT l.partition FROM partition_leases l WHERE l.partitions = total AND l.replica = claimer;
END
$$;
