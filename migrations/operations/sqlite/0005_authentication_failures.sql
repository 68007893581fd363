-- Who must wait before the next guess at a password or code. The keys are keyed hashes: whose account and which address it is
-- cannot be told from them. Any row can be deleted at any time; then somebody may guess a little more.
CREATE TABLE authentication_failures (
    key           TEXT   PRIMARY KEY,   -- an account as strangers try it, or as one familiar address does
    failures      INTEGER NOT NULL,      -- in a row
    blocked_until INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL
);
CREATE INDEX authentication_failures_by_failures ON authentication_failures (failures, updated_at);

-- Addresses from which somebody logged in to an account, so that strangers cannot keep its owner out.
CREATE TABLE familiar_addresses (
    account TEXT   NOT NULL,
    address TEXT   NOT NULL,
    used_at INTEGER NOT NULL,
    PRIMARY KEY (account, address)
);
CREATE INDEX familiar_addresses_by_use ON familiar_addresses (used_at);

-- What each client address has used up of what it may do in a time.
CREATE TABLE address_allowances (
    key     TEXT   PRIMARY KEY,
    full_at INTEGER NOT NULL         -- when nothing will be used up any more
);
CREATE INDEX address_allowances_by_full_at ON address_allowances (full_at);
