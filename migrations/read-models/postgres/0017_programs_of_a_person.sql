-- What a person did, directly or by programs, whose actor is `<person>/token/<token>`, the newest first; an id has 36
-- characters. The index of whole actors stays for what one program did.
CREATE INDEX audit_log_by_person ON audit_log (substr(actor, 1, 36), recorded_at, position);
