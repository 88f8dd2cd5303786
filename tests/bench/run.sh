#!/usr/bin/env bash
# Runs one bench: bash tests/bench/run.sh NAME [OPTIONS]. The last line is one JSON object; the exit status follows its "ok".
# VELUM_PROFILE=release measures the release build.
set -euo pipefail
cd "$(dirname "$0")/../.."
. config/lib.sh
# The same build as the suites': with another selection cargo would build the dependencies anew.
export VELUM_WHOLE=yes

# Beside what the disk gives.
with_prototype() {
    build_for_tests
    step "building the prototype"
    CARGO_TARGET_DIR=$CARGO_TARGET_DIR/peers cargo build --release --locked --quiet \
      --manifest-path tests/bench/peers/ceiling-rs/Cargo.toml
    VELUM_CEILING_RS=$CARGO_TARGET_DIR/peers/release/ceiling run_bin velum-bench "$name" "$@"
}

name=${1:-}
[ $# -gt 0 ] && shift
case "$name" in
accept)
    build_for_tests
    run_bin velum-bench accept "$@"
    ;;
growth)
    build_for_tests
    run_bin velum-bench growth "$@"
    ;;
ceiling)
    with_prototype "$@"
    ;;
single)
    with_prototype "$@"
    ;;
packing)
    build_for_tests
    VELUM_BIN=$(bin_directory) VELUM_PLUGINS=$CARGO_TARGET_DIR/plugins run_bin velum-bench packing "$@"
    ;;
policy)
    build_for_tests
    VELUM_BIN=$(bin_directory) VELUM_PLUGINS=$CARGO_TARGET_DIR/plugins run_bin velum-bench policy "$@"
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
    echo "       bash tests/bench/run.sh ceiling [--hosts N] [--batch N] [--clients N] [--instances N] [--rounds N]" >&2
    echo "       bash tests/bench/run.sh growth [--hosts N,N] [--batch N] [--clients N] [--instances N] [--rounds N]" >&2
    echo "       bash tests/bench/run.sh single [--hosts N] [--instances N] [--rounds N]" >&2
    echo "       bash tests/bench/run.sh packing [--hosts N] [--days N] [--loads PERCENT,PERCENT] [--seeds N]" >&2
    echo "       bash tests/bench/run.sh policy [--hosts N] [--decisions N] [--rounds N]" >&2
    echo "       bash tests/bench/run.sh plugins [--hosts N] [--decisions N] [--rounds N]" >&2
    exit 2
    ;;
esac
