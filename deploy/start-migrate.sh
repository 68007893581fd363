#!/bin/sh
# The start of the container that everything else waits for: with the passwords and the master key of a trial, which everybody knows,
# nothing may be published to other machines. A test compares the list below with compose.yaml.
set -eu
case $GATEWAY_ADDRESS in
127.* | localhost | ::1 | "[::1]") exec taskledger "$@" ;;
esac
refuse() {
    echo "GATEWAY_ADDRESS=$GATEWAY_ADDRESS reaches other machines, and $1 is the one of a trial: set it, as compose.yaml says" >&2
    exit 1
}
[ "$POSTGRES_PASSWORD" != postgres ] || refuse POSTGRES_PASSWORD
[ "$RABBITMQ_PASSWORD" != operator ] || refuse RABBITMQ_PASSWORD
[ "$OWNER_PASSWORD" != owner ] || refuse OWNER_PASSWORD
[ "$AUTH_PASSWORD" != auth ] || refuse AUTH_PASSWORD
[ "$COMMAND_API_PASSWORD" != commandapi ] || refuse COMMAND_API_PASSWORD
[ "$QUERY_API_PASSWORD" != queryapi ] || refuse QUERY_API_PASSWORD
[ "$PROJECTOR_PASSWORD" != projector ] || refuse PROJECTOR_PASSWORD
[ "$GATEWAY_PASSWORD" != gateway ] || refuse GATEWAY_PASSWORD
[ "$GRAFANA_PASSWORD" != taskledger ] || refuse GRAFANA_PASSWORD
[ "$MASTER_KEYS" != 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f ] || refuse MASTER_KEYS
exec taskledger "$@"
