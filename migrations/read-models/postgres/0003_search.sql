-- Which short sequences of characters occur in search_text: see crates/read-models/src/grams.rs. Null in rows that were
-- written before; the projector fills them in, and until then a search reads their text.
ALTER TABLE tasks ADD COLUMN grams BYTEA;
-- In the row itself and as it is: a search reads it of every task of its caller.
ALTER TABLE tasks ALTER COLUMN grams SET STORAGE PLAIN;
CREATE INDEX tasks_without_grams ON tasks (id) WHERE grams IS NULL;

-- The trash in every order, as tasks that are not in it.
DROP INDEX tasks_in_trash;
CREATE INDEX trash_by_created_at ON tasks (owner, created_at, id) WHERE deleted_at IS NOT NULL;
CREATE INDEX trash_by_updated_at ON tasks (owner, updated_at, id) WHERE deleted_at IS NOT NULL;
CREATE INDEX trash_by_due_ascending ON tasks (owner, due_ascending, id) WHERE deleted_at IS NOT NULL;
CREATE INDEX trash_by_due_descending ON tasks (owner, due_descending, id) WHERE deleted_at IS NOT NULL;
CREATE INDEX trash_by_priority ON tasks (owner, priority, id) WHERE deleted_at IS NOT NULL;
CREATE INDEX trash_by_title ON tasks (owner, title_sort, id) WHERE deleted_at IS NOT NULL;
