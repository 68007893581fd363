-- The SHA-256 of a payload that was dropped: `data` is empty then. Of a payload that is there it is NULL.
ALTER TABLE events ADD COLUMN data_sha256 BYTEA;

-- As before, and whether the payload was dropped.
CREATE OR REPLACE VIEW event AS
SELECT e.position,
       e.stream,
       split_part(e.stream, '-', 1) AS stream_kind,
       e.version,
       e.id,
       e.type,
       e.schema_version,
       reporting_uuid(m.metadata ->> 'subject') AS subject,
       m.metadata ->> 'actor' AS actor,
       -- One that a client has chosen may be personal.
       reporting_uuid(m.metadata ->> 'correlation_id') AS correlation_id,
       reporting_uuid(m.metadata ->> 'causation_id') AS causation_id,
       reporting_instant(e.recorded_at) AS recorded_at,
       (reporting_instant(e.recorded_at) AT TIME ZONE 'UTC')::date AS recorded_on,
       CASE WHEN jsonb_typeof(d.data) = 'object'
           THEN d.data - ARRAY['sealed', 'title', 'description', 'tags', 'email', 'display_name', 'name', 'ip', 'user_agent',
               'client', 'password_hash', 'refresh_hash', 'token_hash', 'totp_secret', 'recovery_hashes', 'reset_hash']
           END AS data,
       e.data_sha256 IS NOT NULL AS dropped
FROM events e
    CROSS JOIN LATERAL (SELECT reporting_json(convert_to(e.metadata, 'UTF8')) AS metadata) m
    CROSS JOIN LATERAL (SELECT reporting_json(e.data) AS data) d;
