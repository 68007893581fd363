-- People who were erased, and tasks that were purged, of which more rows are left than one transaction deletes. The projector
-- deletes the rest, some at a time, and then these.
CREATE TABLE unfinished_erasures (
    subject TEXT PRIMARY KEY
);
CREATE TABLE unfinished_purges (
    task     TEXT   PRIMARY KEY,
    position INTEGER NOT NULL                  -- of the event that purged it
);
