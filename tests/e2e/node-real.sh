#!/usr/bin/env bash
# The node's tests against a libvirtd and QEMU of their own, which they start and stop. Without VELUM_TEST_REAL they return at
# once, so that the unit suite needs no root: here is where they really run.
set -euo pipefail
cd "$(dirname "$0")/../.."
VELUM_TEST_REAL=1 cargo nextest run --locked --profile ci --workspace -E 'package(velum-node) & binary(real)'
