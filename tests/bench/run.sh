#!/usr/bin/env bash
# Runs one bench: bash tests/bench/run.sh NAME [OPTIONS]. The last line is one JSON object; the exit status follows its "ok".
# VELUM_PROFILE=release measures the release build.
set -euo pipefail
cd "$(dirname "$0")/../.."
. config/lib.sh
# The same build as the suites': with another selection cargo would build the dependencies anew.
export VELUM_WHOLE=yes

name=${1:-}
[ $# -gt 0 ] && shift
case "$name" in
accept)
    build_for_tests
    run_bin velum-bench accept "$@"
    ;;
*)
    echo "usage: bash tests/bench/run.sh accept [--hosts N] [--clients N] [--instances N] [--rounds N]" >&2
    exit 2
    ;;
esac
