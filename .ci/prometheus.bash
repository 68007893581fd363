# Finds or installs Prometheus, for the test that asks it the questions of rules and dashboards. Sourced by ./test.
#
# `find_prometheus` exports PROMETHEUS, the path of the program, and says which it is: what that variable names already, what
# is on the PATH, or Debian's package. It fails with one sentence when there is none. shellcheck shell=bash

find_prometheus() {
    if [[ -z ${PROMETHEUS:-} ]]; then
        if ! has prometheus && ! { can_install && install_packages prometheus && has prometheus; }; then
            echo "Prometheus is not here and cannot be installed: rules and dashboards are only compared with the names of the metrics" >&2
            return 1
        fi
        PROMETHEUS=$(command -v prometheus)
    fi
    export PROMETHEUS
    echo "prometheus: $PROMETHEUS ($("$PROMETHEUS" --version 2>&1 | sed -n '1s/.*version \([^ ]*\).*/\1/p'))"
}
