# Finds or starts the servers that the tests need. Sourced by ./test.
#
# `find_postgres` and `find_rabbitmq` export DATABASE_URL and AMQP_URL and print what they name. In this order: what
# those variables name already, what answers on localhost, a container, Debian packages. `stop_servers` ends what
# was started here. shellcheck shell=bash

POSTGRES_IMAGE=postgres:17
RABBITMQ_IMAGE=rabbitmq:4
# A role for the tests on a server where nobody else's credentials are known. It may create databases, no more.
TEST_ROLE=taskledger_test

# Asks PostgreSQL. A server that accepts and then stands still is given up.
ask_postgres=(env PGCONNECT_TIMEOUT=5 timeout 30 psql -XAtqw)

containers=()
# Whether the lists of packages were fetched by this run.
updated=false

stop_servers() {
    if ((${#containers[@]})); then
        docker rm --force --volumes "${containers[@]}" >/dev/null 2>&1 || true
    fi
}

give_up() {
    echo "$*" >&2
    exit 1
}

# wait_for SECONDS COMMAND…: until the command succeeds.
wait_for() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        ((SECONDS < deadline)) || return 1
        sleep 0.2
    done
}

port_open() {
    timeout 5 bash -c 'exec 3<>"/dev/tcp/$0/$1"' "$1" "$2" 2>/dev/null
}

has() {
    command -v "$1" >/dev/null 2>&1
}

docker_answers() {
    has docker && docker info >/dev/null 2>&1
}

can_install() {
    [[ $(id -u) == 0 ]] && has apt-get
}

install_packages() {
    echo "installing $* with apt-get" >&2
    {
        if ! $updated && apt-get update -qq; then
            updated=true
        fi
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"
    } >&2
}

# Makes a virtual environment of Python in this folder.
virtual_environment() {
    if ! python3 -m venv "$1"; then
        can_install && install_packages python3 python3-venv && python3 -m venv "$1" || return 1
    fi
}

# Whether a test can make users of its own on both servers; says so if not.
can_make_users() {
    [[ $AMQP_URL == *@127.0.0.1:* || $AMQP_URL == *@localhost:* ]] &&
        [[ $("${ask_postgres[@]}" -d "$DATABASE_URL" -c "SELECT rolsuper FROM pg_roles WHERE rolname = current_user" 2>/dev/null) == t ]] &&
        timeout 30 rabbitmqctl --quiet list_users >/dev/null 2>&1 && return
    echo "the rights of each role on PostgreSQL and RabbitMQ are not tried: that needs a superuser, psql and rabbitmqctl"
    return 1
}

# Whether there are programs of PostgreSQL with which a test can start a server of its own.
find_postgres_programs() {
    local program
    for program in /usr/lib/postgresql/*/bin/initdb; do
        [[ -x $program ]] && return
    done
    can_install && install_packages postgresql && return
    echo "no PostgreSQL server can be started: connections to one over TLS are not tried" >&2
    return 1
}

# accepts_systems COUNT: whether PostgreSQL accepts the connections of so many systems at once, each of which may have eighty.
accepts_systems() {
    local accepted
    has psql && accepted=$("${ask_postgres[@]}" -d "$DATABASE_URL" -c "SHOW max_connections" 2>/dev/null) &&
        ((accepted >= $1 * 80))
}

# Whether a small disk can be mounted, to be filled.
can_mount() {
    local disk mounted=1
    disk=$(mktemp -d)
    if mount -t tmpfs -o size=1m,mode=0700 tmpfs "$disk" 2>/dev/null; then
        mounted=0
        umount "$disk"
    else
        echo "no disk is really filled: that needs the right to mount one"
    fi
    rmdir "$disk"
    return "$mounted"
}

# can_be_stopped DIRECTORY: whether a program in this directory can be started that the mode of a file stops. It stops everybody but
# root, who has to give up the right to override it.
can_be_stopped() {
    local without=-dac_override,-dac_read_search command=(env) files stopped=1
    files=$(mktemp -d)
    touch "$files/protected"
    chmod 0400 "$files/protected"
    if (true >>"$files/protected") 2>/dev/null; then
        command=(setpriv --inh-caps "$without" --bounding-set "$without")
    fi
    # shellcheck disable=SC2016
    if "${command[@]}" sh -c '[ -r "$0" ] && ! true >>"$0" && [ -x "$1" ]' "$files/protected" "$(realpath "$1")" 2>/dev/null; then
        stopped=0
    else
        echo "files that are read-only are not looked into: that needs setpriv, with which root gives up the right to write them"
    fi
    rm -r "$files"
    return "$stopped"
}

# The URL without its password.
masked() {
    sed -E 's#(://[^:/@]+):[^@/]*@#\1:***@#' <<<"$1"
}

# --- PostgreSQL

# The server's version, if one can log in there and create databases. Without psql nothing can be asked: "unknown".
postgres_version() {
    if ! has psql; then
        echo unknown
        return
    fi
    "${ask_postgres[@]}" -d "$1" -c \
        "SELECT current_setting('server_version') FROM pg_roles WHERE rolname = current_user AND (rolsuper OR rolcreatedb)" \
        2>/dev/null | grep . | cut -d' ' -f1
}

use_postgres() {
    local version
    version=$(postgres_version "$1") || return 1
    export DATABASE_URL=$1
    [[ $version == unknown ]] && version="(version not asked: psql is not here)"
    echo "PostgreSQL $version at $(masked "$1") ($2)"
}

postgres_on_localhost() {
    local user
    user=$(id -un)
    if has psql; then
        use_postgres "postgres://postgres@127.0.0.1:5432/postgres" localhost ||
            use_postgres "postgres://postgres:postgres@127.0.0.1:5432/postgres" localhost ||
            use_postgres "postgres://$user@localhost/postgres?host=/var/run/postgresql" localhost ||
            use_postgres "postgres://$user@localhost/postgres?host=/tmp" localhost
    else
        port_open 127.0.0.1 5432 && use_postgres "postgres://postgres@127.0.0.1:5432/postgres" localhost
    fi
}

postgres_in_docker() {
    local id port
    id=$(docker run --detach --publish 127.0.0.1::5432 --env POSTGRES_HOST_AUTH_METHOD=trust \
        "$POSTGRES_IMAGE" -c max_connections=300 -c fsync=off) || return 1
    containers+=("$id")
    # While the image sets itself up, its server listens on the socket only.
    wait_for 120 docker exec "$id" pg_isready --host 127.0.0.1 --username postgres || return 1
    port=$(docker port "$id" 5432/tcp | head -n 1) || return 1
    use_postgres "postgres://postgres@127.0.0.1:${port##*:}/postgres" "container $POSTGRES_IMAGE"
}

as_postgres() {
    (cd / && runuser -u postgres -- "${ask_postgres[@]}" -d postgres "$@")
}

postgres_from_packages() {
    local installed=false
    if ! has pg_lsclusters; then
        install_packages postgresql postgresql-client || return 1
        installed=true
    fi
    if ! wait_for 1 as_postgres -c 'SELECT 1'; then
        service postgresql start >&2 || true
        wait_for 60 as_postgres -c 'SELECT 1' || return 1
    fi
    # A server that was there is left as it is.
    if $installed; then
        as_postgres -c "ALTER SYSTEM SET max_connections = 300" || return 1
        service postgresql restart >&2 || return 1
        wait_for 60 as_postgres -c 'SELECT 1' || return 1
    fi
    echo "giving the tests their own role, $TEST_ROLE, which may create databases" >&2
    if [[ -z $(as_postgres -c "SELECT 1 FROM pg_roles WHERE rolname = '$TEST_ROLE'") ]]; then
        as_postgres -c "CREATE ROLE $TEST_ROLE LOGIN CREATEDB PASSWORD '$TEST_ROLE'" || return 1
    fi
    local port
    port=$(as_postgres -c 'SHOW port') || return 1
    use_postgres "postgres://$TEST_ROLE:$TEST_ROLE@127.0.0.1:$port/postgres" "Debian package"
}

find_postgres() {
    if [[ -n ${DATABASE_URL:-} ]]; then
        use_postgres "$DATABASE_URL" DATABASE_URL ||
            give_up "DATABASE_URL names $(masked "$DATABASE_URL"), where no server lets us log in and create databases."
        return
    fi
    postgres_on_localhost && return
    docker_answers && postgres_in_docker && return
    can_install && postgres_from_packages && return
    give_up "The tests need PostgreSQL 15 or newer: set DATABASE_URL to a server where the user may create databases, or start Docker."
}

# --- RabbitMQ

# The broker's version, from the greeting with which AMQP 0-9-1 begins.
rabbitmq_version() {
    timeout 5 bash -c '
        exec 3<>"/dev/tcp/$0/$1" || exit 1
        printf "AMQP\0\0\11\1" >&3
        dd bs=8192 count=1 <&3 2>/dev/null' "$1" "$2" 2>/dev/null |
        tr -c '[:print:]' ' ' | sed -nE 's/.*RabbitMQ.*versionS +([0-9.]+).*/\1/p' | grep .
}

use_rabbitmq() {
    local url=$1 authority host port version
    authority=${url#*://}
    authority=${authority%%/*}
    authority=${authority##*@}
    host=${authority%%:*}
    port=5672
    [[ $authority == *:* ]] && port=${authority##*:}
    if [[ $url == amqps://* ]]; then
        version="(version not asked: the connection is encrypted)"
    else
        version=$(rabbitmq_version "$host" "$port") || return 1
    fi
    export AMQP_URL=$url
    echo "RabbitMQ $version at $(masked "$url") ($2)"
}

rabbitmq_in_docker() {
    local id port
    id=$(docker run --detach --publish 127.0.0.1::5672 "$RABBITMQ_IMAGE") || return 1
    containers+=("$id")
    port=$(docker port "$id" 5672/tcp | head -n 1) || return 1
    wait_for 120 rabbitmq_version 127.0.0.1 "${port##*:}" || return 1
    use_rabbitmq "amqp://guest:guest@127.0.0.1:${port##*:}/%2f" "container $RABBITMQ_IMAGE"
}

rabbitmq_from_packages() {
    has rabbitmq-server || [[ -x /usr/sbin/rabbitmq-server ]] || install_packages rabbitmq-server || return 1
    service rabbitmq-server start >&2 || true
    wait_for 120 rabbitmq_version 127.0.0.1 5672 || return 1
    use_rabbitmq "amqp://guest:guest@127.0.0.1:5672/%2f" "Debian package"
}

find_rabbitmq() {
    if [[ -n ${AMQP_URL:-} ]]; then
        use_rabbitmq "$AMQP_URL" AMQP_URL || give_up "AMQP_URL names $(masked "$AMQP_URL"), where no RabbitMQ answers."
        return
    fi
    use_rabbitmq "amqp://guest:guest@127.0.0.1:5672/%2f" localhost && return
    docker_answers && rabbitmq_in_docker && return
    can_install && rabbitmq_from_packages && return
    give_up "The tests need RabbitMQ 3.10 or newer: set AMQP_URL, for example amqp://user:password@host:5672/%2f, or start Docker."
}
