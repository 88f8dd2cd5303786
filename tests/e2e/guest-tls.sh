#!/usr/bin/env bash
# The life of a real guest (qemu:///system) with its node reached over TLS, as if it were on a machine of its own:
# `bash tests/run.sh guest-tls [--boot SECONDS]`. See src/bin/guest.rs.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=../../config/lib.sh
. config/lib.sh

run_bin velum-e2e guest --tls "$@"
