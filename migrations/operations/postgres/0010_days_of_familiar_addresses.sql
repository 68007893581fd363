-- On how many days somebody logged in to the account from there: 0 after a registration alone. When there are too many rows those with
-- few days go first, so that accounts that are made in numbers take nobody's place who comes again.
ALTER TABLE familiar_addresses ADD COLUMN days BIGINT NOT NULL DEFAULT 1;
CREATE INDEX familiar_addresses_by_days ON familiar_addresses (days, used_at);
