#!/usr/bin/env bash
# Runs one bench: bash tests/bench/run.sh NAME [OPTIONS]. The last line is one JSON object; the exit status follows its "ok".
# What is measured is the release build, as users run it; VELUM_PROFILE=dev measures the one that the suites use.
set -euo pipefail
cd "$(dirname "$0")/../.."
. config/lib.sh
export VELUM_PROFILE=${VELUM_PROFILE:-release} VELUM_WHOLE=programs
if [ "$VELUM_PROFILE" = dev ]; then VELUM_WHOLE=yes; fi

# Beside what the disk gives.
with_prototype() {
    build_for_tests
    step "building the prototype"
    CARGO_TARGET_DIR=$CARGO_TARGET_DIR/peers cargo build --release --locked --quiet \
      --manifest-path tests/bench/peers/ceiling-rs/Cargo.toml
    VELUM_CEILING_RS=$CARGO_TARGET_DIR/peers/release/ceiling run_bin velum-bench velum-bench "$name" "$@"
}

# python_with NAME REQUIREMENTS: `venv` is a virtual environment with just these; other versions get a directory of their own.
python_with() {
    venv=$CARGO_TARGET_DIR/peers/$1-$(sha256sum "$2" | cut -c 1-16)
    [ -e "$venv/complete" ] && return
    step "installing $2 in $venv"
    python3 -c 'import ensurepip, venv' 2>/dev/null || ensure_packages python3 python3-venv
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$2" ||
      fail "pip could not install $2: is there a package index it can reach?"
    touch "$venv/complete"
}

# uwsgi has no wheel: pip builds it.
can_build_python() {
    command -v gcc >/dev/null &&
      python3 -c 'import os, sys, sysconfig; sys.exit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))'
}

name=${1:-}
[ $# -gt 0 ] && shift
case "$name" in
accept)
    build_for_tests
    run_bin velum-bench velum-bench accept "$@"
    ;;
growth)
    build_for_tests
    run_bin velum-bench velum-bench growth "$@"
    ;;
ceiling)
    with_prototype "$@"
    ;;
single)
    with_prototype "$@"
    ;;
ceiling-pg)
    ensure_packages postgresql
    build_for_tests
    VELUM_PG_CEILING=$PWD/tests/bench/peers/postgres/pg_ceiling.sh run_bin velum-bench velum-bench ceiling-pg "$@"
    ;;
vs-openstack)
    ensure_packages postgresql
    can_build_python || ensure_packages gcc python3 python3-dev
    python_with openstack tests/bench/peers/openstack/requirements.txt
    build_for_tests
    VELUM_OPENSTACK_VENV=$venv VELUM_OPENSTACK_SCRIPTS=$PWD/tests/bench/peers/openstack run_bin velum-bench velum-bench vs-openstack "$@"
    ;;
sustained | lists | restart)
    build_for_tests
    run_bin velum-bench velum-bench "$name" "$@"
    ;;
plots)
    python_with plots tests/bench/plots/requirements.txt
    build_for_tests
    plots=tests/bench/plots
    work=$(mktemp -d /tmp/velum-bench.XXXXXX)
    trap 'rm -rf "$work"' EXIT
    # What was drawn before stays when this does not go well.
    run_bin velum-bench velum-bench plots "$@" >"$work/printed" || { cat "$work/printed"; exit 1; }
    tail -n 1 "$work/printed" >"$work/plots.json"
    "$venv/bin/python" $plots/draw.py "$work/plots.json" "$work" >/dev/null
    mv "$work"/*.png "$work/plots.json" $plots/
    cat $plots/plots.json
    ;;
packing)
    build_for_tests
    VELUM_BIN=$(bin_directory) VELUM_PLUGINS=$CARGO_TARGET_DIR/plugins run_bin velum-bench velum-bench packing "$@"
    ;;
policy)
    build_for_tests
    VELUM_BIN=$(bin_directory) VELUM_PLUGINS=$CARGO_TARGET_DIR/plugins run_bin velum-bench velum-bench policy "$@"
    ;;
plugins)
    build_for_tests
    # What a new author has: the skeleton, outside the repository, built by the tool.
    work=$(mktemp -d /tmp/velum-bench.XXXXXX)
    trap 'rm -rf "$work"' EXIT
    (cd "$work" && "$(bin_directory)/velum" plugin new skeleton --world placement-policy >/dev/null &&
      env -u CARGO_TARGET_DIR "$(bin_directory)/velum" plugin build skeleton >/dev/null)
    VELUM_SKELETON=$work/skeleton/skeleton.wasm VELUM_BIN=$(bin_directory) VELUM_PLUGINS=$CARGO_TARGET_DIR/plugins \
      run_bin velum-bench velum-bench plugins "$@"
    ;;
*)
    echo "usage: bash tests/bench/run.sh accept [--hosts N] [--clients N] [--instances N] [--rounds N]" >&2
    echo "       bash tests/bench/run.sh ceiling [--hosts N] [--batch N] [--clients N] [--instances N] [--rounds N]" >&2
    echo "       bash tests/bench/run.sh growth [--hosts N,N] [--batch N] [--clients N] [--instances N] [--rounds N]" >&2
    echo "       bash tests/bench/run.sh single [--hosts N] [--instances N] [--rounds N]" >&2
    echo "       bash tests/bench/run.sh ceiling-pg [--hosts N] [--batch N] [--clients N] [--instances N] [--rounds N] [--seconds N]" >&2
    echo "       bash tests/bench/run.sh vs-openstack [--hosts N] [--clients N] [--instances N] [--placements N] [--rounds N]" >&2
    echo "       bash tests/bench/run.sh sustained [--hosts N] [--seconds N] [--clients N] [--batch N] [--ahead N] [--rounds N]" >&2
    echo "       bash tests/bench/run.sh lists [--hosts N] [--instances N] [--volumes N] [--clients N] [--requests N] [--rounds N]" >&2
    echo "       bash tests/bench/run.sh restart [--hosts N] [--claims N] [--still] [--rounds N]" >&2
    echo "       bash tests/bench/run.sh plots [--hosts N,N] [--clients N,N] [--instances N] [--batched N] [--rounds N]" >&2
    echo "       bash tests/bench/run.sh packing [--hosts N] [--days N] [--loads PERCENT,PERCENT] [--seeds N]" >&2
    echo "       bash tests/bench/run.sh policy [--hosts N] [--decisions N] [--rounds N]" >&2
    echo "       bash tests/bench/run.sh plugins [--hosts N] [--decisions N] [--rounds N]" >&2
    exit 2
    ;;
esac
