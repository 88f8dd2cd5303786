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
packing)
    build_for_tests
    VELUM_BIN=$(bin_directory) VELUM_PLUGINS=$CARGO_TARGET_DIR/plugins run_bin velum-bench packing "$@"
    ;;
plugins)
    build_for_tests
    # What a new author has: the skeleton, outside the repository, built by the tool.
    work=$(mktemp -d /tmp/velum-bench.XXXXXX)
    trap 'rm -rf "$work"' EXIT
    (cd "$work" && "$(bin_directory)/velum" plugin new skeleton --world placement-policy >/dev/null &&
      env -u CARGO_TARGET_DIR "$(bin_directory)/velum" plugin build skeleton >/dev/null)
    VELUM_SKELETON=$work/skeleton/skeleton.wasm VELUM_BIN=$(bin_directory) VELUM_PLUGINS=$CARGO_TARGET_DIR/plugins \
      run_bin velum-bench plugins "$@"
    ;;
*)
    echo "usage: bash tests/bench/run.sh accept [--hosts N] [--clients N] [--instances N] [--rounds N]" >&2
    echo "       bash tests/bench/run.sh packing [--hosts N] [--guests N] [--load PERCENT] [--seeds N]" >&2
    echo "       bash tests/bench/run.sh plugins [--hosts N] [--decisions N] [--rounds N]" >&2
    exit 2
    ;;
esac
