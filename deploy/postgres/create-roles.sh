#!/bin/sh
# Run by the PostgreSQL image when it makes its database: the roles of roles.sql, with the passwords of the environment.
set -eu
psql --quiet --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" \
    --file /etc/taskledger/roles.sql \
    --set owner="$OWNER_PASSWORD" --set auth="$AUTH_PASSWORD" --set command_api="$COMMAND_API_PASSWORD" \
    --set query_api="$QUERY_API_PASSWORD" --set projector="$PROJECTOR_PASSWORD" --file - <<'SQL'
ALTER ROLE taskledger_owner PASSWORD :'owner';
ALTER ROLE taskledger_auth PASSWORD :'auth';
ALTER ROLE taskledger_command_api PASSWORD :'command_api';
ALTER ROLE taskledger_query_api PASSWORD :'query_api';
ALTER ROLE taskledger_projector PASSWORD :'projector';
SQL
