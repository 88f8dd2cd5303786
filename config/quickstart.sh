#!/usr/bin/env bash
# From an empty machine to a running guest: `bash config/quickstart.sh`.
#
#   bash config/quickstart.sh            a Linux guest on this machine (Debian 12; root or sudo)
#   bash config/quickstart.sh --sim N    N simulated compute hosts in 2 zones, 500 instances (neither root nor libvirt)
#   bash config/quickstart.sh --stop     stops what either started; what they made is kept and used again
#
# Installs what is missing, builds, starts what does not run, and makes everything through the public API. Run again, it
# uses what is there. VELUM_HOME chooses another place for its files, VELUM_PROFILE=release another build.
set -euo pipefail
HERE=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=lib.sh
. "$HERE/lib.sh"
# shellcheck source=quickstart/processes.sh
. "$HERE/quickstart/processes.sh"
# shellcheck source=quickstart/cloud.sh
. "$HERE/quickstart/cloud.sh"
# shellcheck source=quickstart/real.sh
. "$HERE/quickstart/real.sh"
# shellcheck source=quickstart/sim.sh
. "$HERE/quickstart/sim.sh"

REAL_HOME=${VELUM_HOME:-/var/lib/velum-quickstart}
SIM_HOME=${VELUM_HOME:-${XDG_DATA_HOME:-$HOME/.local/share}/velum-quickstart-sim}

usage() {
  sed -n '2,9s/^# \{0,1\}//p' "$0"
  exit "$1"
}

main() {
  local mode=real hosts=
  while [ $# -gt 0 ]; do
    case "$1" in
    --sim)
      mode=sim
      hosts=${2:-}
      [[ "$hosts" =~ ^[1-9][0-9]{0,4}$ ]] || fail "--sim wants a number of compute hosts from 2 to 20000: --sim 1000"
      [ "$hosts" -ge 2 ] && [ "$hosts" -le 20000 ] || fail "--sim wants a number of compute hosts from 2 to 20000: --sim 1000"
      shift
      ;;
    --stop) mode=stop ;;
    -h | --help) usage 0 ;;
    *) usage 2 >&2 ;;
    esac
    shift
  done
  case "$mode" in
  real) quickstart_real ;;
  sim) quickstart_sim "$hosts" ;;
  stop)
    local home
    for home in "$REAL_HOME" "$SIM_HOME"; do
      if [ -d "$home/run" ]; then stop_all "$home"; fi
    done
    say 'VELUM QUICKSTART STOPPED'
    ;;
  esac
}
main "$@"
