# Finds or installs schemathesis, which holds the running system against docs/openapi.json. Sourced by ./test.
#
# `find_schemathesis` exports SCHEMATHESIS, the path of the program, and says which it is: what that variable names already, or
# a virtual environment in the target directory, which is made when it is missing. It fails with one sentence when that
# cannot be done. shellcheck shell=bash

SCHEMATHESIS_VERSION=4.32.5

find_schemathesis() {
    if [[ -n ${SCHEMATHESIS:-} ]]; then
        echo "schemathesis: $SCHEMATHESIS"
        return
    fi
    local place=${CARGO_TARGET_DIR:-$PWD/target}/schemathesis-$SCHEMATHESIS_VERSION
    if [[ ! -x $place/bin/schemathesis ]] && ! install_schemathesis "$place" >"$place.log" 2>&1; then
        rm -rf "$place"
        echo "schemathesis cannot be installed (it needs Python 3.10 with venv, and PyPI; see $place.log): the API is not compared with docs/openapi.json" >&2
        return 1
    fi
    export SCHEMATHESIS=$place/bin/schemathesis
    echo "schemathesis: $SCHEMATHESIS"
}

install_schemathesis() {
    virtual_environment "$1" || return 1
    "$1/bin/pip" install --quiet --disable-pip-version-check "schemathesis==$SCHEMATHESIS_VERSION"
}
