# Finds or builds the program that checks the audit tree of the running system with libraries that we did not write: those of
# Go's checksum database, as Debian packages them. Sourced by ./test.
#
# `find_audit_checker` exports AUDIT_CHECKER, the path of the program: what that variable names already, or one that is built
# from tests/audit_checker/ into the target directory. It fails with one sentence when that cannot be done. shellcheck shell=bash

# Where Debian's golang-golang-x-mod-dev puts the libraries.
GO_LIBRARIES=/usr/share/gocode

find_audit_checker() {
    if [[ -n ${AUDIT_CHECKER:-} ]]; then
        echo "audit checker: $AUDIT_CHECKER"
        return
    fi
    local place=${CARGO_TARGET_DIR:-$PWD/target}/audit-checker
    mkdir -p "${place%/*}"
    if ! build_audit_checker "$place" >"$place.log" 2>&1; then
        echo "the audit checker cannot be built (it needs Go and golang-golang-x-mod-dev, see $place.log): the audit tree is not checked by others' code" >&2
        return 1
    fi
    export AUDIT_CHECKER=$place
    echo "audit checker: $AUDIT_CHECKER"
}

build_audit_checker() {
    if ! command -v go >/dev/null || [[ ! -d $GO_LIBRARIES/src/golang.org/x/mod/sumdb/tlog ]]; then
        can_install && install_packages golang-go golang-golang-x-mod-dev || return 1
    fi
    # Without modules, so that nothing is fetched: the libraries are those of the package.
    (cd tests/audit_checker && GO111MODULE=off GOPATH=$GO_LIBRARIES GOFLAGS= go build -o "$1" .)
}
