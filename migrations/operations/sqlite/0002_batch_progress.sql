-- What became of the commands of a batch that could not all be carried out, as JSON, until the rest is done.
ALTER TABLE idempotency_keys ADD COLUMN progress TEXT;
