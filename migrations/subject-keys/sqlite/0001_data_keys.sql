-- The keys under which what is personal in events is sealed. Kept apart from the log and from its backups: whoever destroys a
-- key erases a person from the log, and whoever restores one brings them back.

-- One row for each person. It stays when the key is destroyed, so that none is made again.
CREATE TABLE data_keys (
    subject      TEXT    PRIMARY KEY,
    master_key   TEXT,                  -- the id of the master key that wraps it; null once it is destroyed
    wrapped      BLOB,                  -- nonce, ciphertext and tag of the key; null once it is destroyed
    created_at   INTEGER NOT NULL,      -- microseconds since 1970-01-01T00:00:00Z
    destroyed_at INTEGER
);
CREATE INDEX data_keys_by_master_key ON data_keys (master_key, subject);

-- The master keys that have wrapped data keys, so that a process with another one notices.
CREATE TABLE master_keys (
    number        INTEGER PRIMARY KEY,  -- 1, 2, 3 …: there is one first key, whoever comes first
    id            TEXT    NOT NULL UNIQUE,
    first_used_at INTEGER NOT NULL
);
