-- The SHA-256 of a payload that was dropped: `data` is empty then. Of a payload that is there it is NULL.
ALTER TABLE events ADD COLUMN data_sha256 BLOB;

-- As before, and whether the payload was dropped.
DROP VIEW event;
CREATE VIEW event AS
SELECT position,
       stream,
       CASE WHEN instr(stream, '-') > 0 THEN substr(stream, 1, instr(stream, '-') - 1) ELSE stream END AS stream_kind,
       version,
       id,
       type,
       schema_version,
       metadata ->> 'subject' AS subject,
       metadata ->> 'actor' AS actor,
       -- One that a client has chosen may be personal.
       CASE WHEN length(metadata ->> 'correlation_id') = 36
               AND metadata ->> 'correlation_id' GLOB '????????-????-????-????-????????????'
               AND metadata ->> 'correlation_id' NOT GLOB '*[^0-9a-fA-F-]*'
           THEN metadata ->> 'correlation_id' END AS correlation_id,
       metadata ->> 'causation_id' AS causation_id,
       strftime('%Y-%m-%d %H:%M:%f', recorded_at / 1000000.0, 'unixepoch') AS recorded_at,
       date(recorded_at / 1000000.0, 'unixepoch') AS recorded_on,
       json_remove(data, '$.sealed', '$.title', '$.description', '$.tags', '$.email', '$.display_name', '$.name', '$.ip',
           '$.user_agent', '$.client', '$.password_hash', '$.refresh_hash', '$.token_hash', '$.totp_secret',
           '$.recovery_hashes', '$.reset_hash') AS data,
       dropped
FROM (
    SELECT position, stream, version, id, type, schema_version, recorded_at,
           CASE WHEN json_valid(metadata) THEN metadata END AS metadata,
           CASE WHEN json_valid(CAST(data AS TEXT)) AND json_type(CAST(data AS TEXT)) = 'object'
               THEN CAST(data AS TEXT) END AS data,
           data_sha256 IS NOT NULL AS dropped
    FROM events
);
