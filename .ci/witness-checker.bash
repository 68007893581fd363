# Finds or installs a witness and a client of witnesses that we did not write: aics-tlog and aics-witness, from PyPI, which share no
# line with Taskledger. Sourced by ./test.
#
# `find_witness_checker` exports WITNESS_CHECKER, the Python that has them: what that variable names already, or one in a virtual
# environment in the target directory, which is made when it is missing. It fails with one sentence when that cannot be done.
# shellcheck shell=bash

TLOG_VERSION=0.2.1
WITNESS_VERSION=0.1.0

find_witness_checker() {
    if [[ -n ${WITNESS_CHECKER:-} ]]; then
        echo "witness checker: $WITNESS_CHECKER"
        return
    fi
    local place=${CARGO_TARGET_DIR:-$PWD/target}/witness-checker-$TLOG_VERSION-$WITNESS_VERSION
    if [[ ! -x $place/bin/python ]] && ! install_witness_checker "$place" >"$place.log" 2>&1; then
        rm -rf "$place"
        echo "aics-witness cannot be installed (it needs Python 3.11 with venv, and PyPI; see $place.log): witnesses are not checked by others' code" >&2
        return 1
    fi
    export WITNESS_CHECKER=$place/bin/python
    echo "witness checker: $WITNESS_CHECKER"
}

install_witness_checker() {
    virtual_environment "$1" || return 1
    local pip=("$1/bin/pip" install --quiet --disable-pip-version-check)
    "${pip[@]}" "cryptography>=50.0.2" &&
        # They ask for Python 3.12, and need nothing of it.
        "${pip[@]}" --no-deps --ignore-requires-python "aics-tlog==$TLOG_VERSION" "aics-witness==$WITNESS_VERSION" &&
        "$1/bin/python" -c "import aics_tlog, aics_witness.feeder, aics_witness.service"
}
