-- For people who ask questions in SQL: docs/audit.md. Events with what everybody may know of them: what is personal is sealed,
-- and what leads to a secret is left out. A record that is damaged has NULL where it cannot be read, and spoils no query.

CREATE FUNCTION reporting_instant(micros bigint) RETURNS timestamptz LANGUAGE sql STABLE
    -- Years 1 to 9999. Others are in no event of ours.
    RETURN CASE WHEN micros BETWEEN -62135596800000000 AND 253402300799999999
        THEN timestamptz '1970-01-01 00:00:00+00' + micros * interval '1 microsecond' END;

-- Whoever asks decides nothing of what the names in it mean: it sees what the view leaves out.
CREATE FUNCTION reporting_json(text bytea) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE STRICT
    SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN pg_catalog.convert_from(text, 'UTF8')::pg_catalog.jsonb;
EXCEPTION WHEN OTHERS THEN
    RETURN NULL;
END
$$;

CREATE FUNCTION reporting_uuid(text text) RETURNS uuid LANGUAGE sql IMMUTABLE
    RETURN CASE WHEN text ~ '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$' THEN text::uuid END;

CREATE VIEW event AS
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
           END AS data
FROM events e
    CROSS JOIN LATERAL (SELECT reporting_json(convert_to(e.metadata, 'UTF8')) AS metadata) m
    CROSS JOIN LATERAL (SELECT reporting_json(e.data) AS data) d;
