-- What became of imports, the last row last: one that has begun says what the log is once it is done, and one without events and
-- root that it has ended. In between nobody may work on the log.
CREATE TABLE imports (
    number INTEGER PRIMARY KEY, -- from 1
    events INTEGER,             -- of the export
    root   TEXT                 -- of the tree over them, in Base64
) STRICT;
