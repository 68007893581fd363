#!/bin/sh
# The start of the RabbitMQ image: the users of definitions.json, with the passwords of the environment.
set -eu
sed -e "s|@AUTH_PASSWORD@|$AUTH_PASSWORD|" -e "s|@COMMAND_API_PASSWORD@|$COMMAND_API_PASSWORD|" \
    -e "s|@GATEWAY_PASSWORD@|$GATEWAY_PASSWORD|" -e "s|@PROJECTOR_PASSWORD@|$PROJECTOR_PASSWORD|" \
    -e "s|@QUERY_API_PASSWORD@|$QUERY_API_PASSWORD|" \
    /etc/taskledger/definitions.json >/etc/rabbitmq/definitions.json
chmod 0640 /etc/rabbitmq/definitions.json
chown rabbitmq:rabbitmq /etc/rabbitmq/definitions.json
echo 'load_definitions = /etc/rabbitmq/definitions.json' >/etc/rabbitmq/conf.d/20-taskledger.conf
exec docker-entrypoint.sh rabbitmq-server
