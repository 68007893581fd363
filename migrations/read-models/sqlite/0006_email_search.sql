-- What a search for part of an address looks into: folded, and with both spellings of an international domain. The projector
-- writes it; addresses of plain ASCII can be filled in here, and a rebuild fills in the others.
ALTER TABLE accounts ADD COLUMN email_search TEXT NOT NULL DEFAULT '';
UPDATE accounts SET email_search = lower(email);
