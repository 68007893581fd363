-- One process at a time uses the file, so there are no leases here.
SELECT 1;
