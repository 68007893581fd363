-- How far the log was read for people whom it has erased. It goes back together with the keys when those are restored from a
-- backup, so that the erasures since then are found again.
CREATE TABLE followed_erasures (
    number   INTEGER PRIMARY KEY CHECK (number = 1), -- there is one row
    position INTEGER NOT NULL,                       -- in the log
    event    TEXT    NOT NULL,                       -- what stands there, to tell this log from another one
    people   INTEGER NOT NULL                        -- whom the log has erased up to there: so many keys are destroyed at least
);
