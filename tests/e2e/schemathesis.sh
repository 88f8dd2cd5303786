#!/usr/bin/env bash
# The API against its own contract: `bash tests/run.sh schemathesis [--seed N] [--examples N]`.
#
# A velumd of its own with velum-sim as far side. Three parts, one tally: a walk that makes every operation answer 2xx, the
# examples, coverage and fuzzing phases of schemathesis over what the walk made, and bad input by hand. Then everything is
# taken away through the API, and both sides' books must be empty. What it does and why stands in schemathesis/*.py.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=../../config/lib.sh
. config/lib.sh

wanted=tests/e2e/schemathesis/requirements.txt
# Other versions get a directory of their own.
venv=$VELUM_CACHE/schemathesis-$(sha256sum "$wanted" | cut -c 1-16)

if ! [ -e "$venv/complete" ]; then
  step "installing schemathesis in $venv"
  python3 -c 'import ensurepip, venv' 2>/dev/null || ensure_packages python3 python3-venv
  rm -rf "$venv"
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: -r "$wanted" ||
    fail "pip could not install $wanted: is there a package index it can reach?"
  touch "$venv/complete"
fi

cargo_build -p velum-server -p velum-sim
[ -e "$CARGO_TARGET_DIR/plugins/placement-first-fit.wasm" ] || build_plugins yes
export VELUM_BIN VELUM_PLUGINS
VELUM_BIN=$(bin_directory)
VELUM_PLUGINS=$CARGO_TARGET_DIR/plugins
VELUM_LOGS=${VELUM_LOGS:-$CARGO_TARGET_DIR/logs} PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
  exec "$venv/bin/python" tests/e2e/schemathesis/suite.py "$@"
