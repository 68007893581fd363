# Finds or installs nginx and Caddy, for the tests that put the recipes of deploy/ in front of the gateway. Sourced by ./test.
#
# `find_proxy NAME PACKAGE` says which program it is: one on the PATH, or Debian's package. It fails with one sentence when there
# is none. shellcheck shell=bash

find_proxy() {
    if ! has "$1" && ! { can_install && install_packages "$2" && has "$1"; }; then
        echo "$1 is not here and cannot be installed: the recipe for it in deploy/ is not tried" >&2
        return 1
    fi
    echo "$1: $(command -v "$1")"
}
