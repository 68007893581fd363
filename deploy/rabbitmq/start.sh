#!/bin/sh
# The start of the RabbitMQ image: the users of definitions.json, with the passwords of the environment, where taskledger.conf names them.
set -eu
umask 077
sed -e "s|@AUTH_PASSWORD@|$AUTH_PASSWORD|" -e "s|@COMMAND_API_PASSWORD@|$COMMAND_API_PASSWORD|" \
    -e "s|@GATEWAY_PASSWORD@|$GATEWAY_PASSWORD|" -e "s|@PROJECTOR_PASSWORD@|$PROJECTOR_PASSWORD|" \
    -e "s|@QUERY_API_PASSWORD@|$QUERY_API_PASSWORD|" \
    /etc/taskledger/definitions.json >/run/taskledger/definitions.json
chown rabbitmq:rabbitmq /run/taskledger/definitions.json
umask 022
exec docker-entrypoint.sh rabbitmq-server
