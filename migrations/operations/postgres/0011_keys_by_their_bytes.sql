-- Compared byte by byte, whatever the database's language, so that the keys that begin with the same text are side by side.
ALTER TABLE authentication_failures ALTER COLUMN key TYPE TEXT COLLATE "C";
ALTER TABLE familiar_addresses ALTER COLUMN account TYPE TEXT COLLATE "C";
