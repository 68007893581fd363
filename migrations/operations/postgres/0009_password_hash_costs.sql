-- What comparing a password with a hash of each kind costs, so that failed logins take as long as with the dearest from the first one
-- after a start on. No password, no account. Any row can be deleted at any time.
CREATE TABLE password_hash_costs (
    kind   TEXT   PRIMARY KEY, -- the algorithm and its parameters
    micros BIGINT NOT NULL     -- as it was first measured
);
