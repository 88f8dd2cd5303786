#!/usr/bin/env bash
# Says `yes` when the tiny guest really boots under KVM here within 30 seconds, else `no` and why. /dev/kvm alone proves
# nothing: there are machines that have it and under which a Linux guest hangs.
set -euo pipefail
HERE=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=../lib.sh
. "$HERE/../lib.sh"

no() {
  say "no: $*"
  exit 0
}
[ -e /dev/kvm ] || no 'there is no /dev/kvm'
emulator=$(command -v qemu-system-x86_64) || no 'qemu-system-x86_64 is not installed'
image=$(bash "$HERE/build.sh")
# The answer holds for this image, this emulator and this boot of the machine.
answer=$VELUM_CACHE/kvm-$(printf '%s %s %s' "$image" "$("$emulator" --version | head -n 1)" "$(cat /proc/sys/kernel/random/boot_id)" | sha256sum | cut -c 1-16)
if [ -r "$answer" ]; then
  cat "$answer"
  exit 0
fi
run=()
if ! [ -w /dev/kvm ]; then
  can_root || no '/dev/kvm cannot be opened by this user'
  run=(as_root)
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# `timeout` is inside of what root runs, so that it may end what it started.
"${run[@]}" timeout -k 2 30 "$emulator" -accel kvm -cpu host -m 256 -display none -nodefaults -no-reboot -snapshot \
  -drive "file=$image,format=qcow2,if=virtio" -serial stdio </dev/null >"$work/serial" 2>"$work/errors" &
prober=$!
found=no
: >>"$work/serial"
for _ in $(seq 320); do
  if grep -aq 'VELUM GUEST UP' "$work/serial"; then
    found=yes
    break
  fi
  kill -0 $prober 2>/dev/null || break
  sleep 0.1
done
signal_process TERM $prober
wait $prober 2>/dev/null || true
if [ $found = yes ]; then
  say yes >"$answer"
else
  say "no: the guest did not boot under KVM within 30 s${prober:+ ($(head -c 200 "$work/errors" | tr '\n' ' '))}" | sed 's/ ()$//' >"$answer"
fi
cat "$answer"
