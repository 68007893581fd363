-- The people whose key was destroyed. They are counted at each start and once a minute, which must not cost more with every person
-- who has a key.
CREATE INDEX data_keys_destroyed ON data_keys (subject) WHERE destroyed_at IS NOT NULL;
