-- The command of an operator by whom an erasure has begun: whoever finishes it does so in its name.
ALTER TABLE pending_erasures ADD COLUMN operation TEXT;
