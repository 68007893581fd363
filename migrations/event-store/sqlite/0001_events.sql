-- The log. Rows are inserted by the append task alone and never changed.
CREATE TABLE events (
    position       INTEGER PRIMARY KEY, -- from 1, without gaps, in commit order
    version        INTEGER NOT NULL,    -- in its stream: from 1, without gaps
    recorded_at    INTEGER NOT NULL,    -- microseconds since 1970
    schema_version INTEGER NOT NULL,
    id             TEXT    NOT NULL,    -- hyphenated UUID
    stream         TEXT    NOT NULL,
    type           TEXT    NOT NULL,
    encoding       TEXT    NOT NULL,
    metadata       TEXT    NOT NULL,    -- JSON
    data           BLOB    NOT NULL,    -- byte for byte as it was appended
    UNIQUE (stream, version)
) STRICT;
