-- The transparency log: a Merkle tree over the event log, and the checkpoints of it that were signed. The tiles can be made
-- again from the event log; what was signed cannot be taken back, so this is precious.

-- One row for each origin. The last one grows; the others ended when the event log was restored to an earlier end.
CREATE TABLE trees (
    id       BIGINT PRIMARY KEY,        -- 1, 2, 3 …
    origin   TEXT   NOT NULL UNIQUE,
    size     BIGINT NOT NULL,           -- how many leaves it has
    position BIGINT NOT NULL,           -- of the event of the last leaf; 0 without any
    event_id UUID                     -- of the same event
);

-- The tiles of C2SP tlog-tiles, each up to 256 hashes of 32 bytes. The last ones of each level grow.
CREATE TABLE tree_tiles (
    tree           BIGINT NOT NULL,
    level          BIGINT NOT NULL,     -- -1: entries, 0: leaves, 1 and above: roots of full tiles of the level below
    number         BIGINT NOT NULL,
    first_position BIGINT,              -- at level 0: of the event of its first leaf
    hashes         BYTEA  NOT NULL,
    PRIMARY KEY (tree, level, number)
);
CREATE INDEX tree_tiles_by_position ON tree_tiles (tree, first_position) WHERE first_position IS NOT NULL;

-- Checkpoints that were signed: the last one of each tree, and many before it.
CREATE TABLE tree_checkpoints (
    tree      BIGINT NOT NULL,
    size      BIGINT NOT NULL,
    root      BYTEA  NOT NULL,
    note      TEXT   NOT NULL,          -- with the signatures of the log
    signed_at BIGINT NOT NULL,          -- microseconds since 1970-01-01T00:00:00Z
    PRIMARY KEY (tree, size)
);

-- What witnesses have answered to checkpoints.
CREATE TABLE tree_cosignatures (
    tree    BIGINT NOT NULL,
    size    BIGINT NOT NULL,
    witness TEXT   NOT NULL,            -- the name of its key
    line    TEXT   NOT NULL,            -- the line of signature
    PRIMARY KEY (tree, size, witness)
);
