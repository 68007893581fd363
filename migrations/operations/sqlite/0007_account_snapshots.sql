-- States of accounts with many events, sealed by auth, so that nobody reads a long stream from its beginning. Each can be deleted
-- at any time.
CREATE TABLE account_snapshots (
    owner   TEXT    PRIMARY KEY,
    fold    INTEGER NOT NULL,  -- the version of the fold that made it
    version INTEGER NOT NULL,  -- of the account's stream
    state   TEXT    NOT NULL   -- nonce, ciphertext and tag in Base64
);
CREATE INDEX account_snapshots_by_version ON account_snapshots (version);
