-- As before, but a replica that was seen later than now has nothing any more, either: the clock of the server was set
-- back. It would have kept its partitions for as long, even if it is dead. One that lives claims again within a second.
CREATE OR REPLACE FUNCTION claim_partitions(total BIGINT, claimer UUID, patience BIGINT) RETURNS SETOF BIGINT
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    alive UUID[];
    share BIGINT;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('taskledger.partition_leases', 0));

    INSERT INTO projector_replicas AS r (partitions, replica, seen_at) VALUES (total, claimer, clock_timestamp())
    ON CONFLICT (partitions, replica) DO UPDATE SET seen_at = excluded.seen_at;
    DELETE FROM projector_replicas r
    WHERE r.seen_at < clock_timestamp() - patience * INTERVAL '1 millisecond'
        OR r.seen_at > clock_timestamp() + patience * INTERVAL '1 millisecond';
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
