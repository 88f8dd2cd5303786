#!/usr/bin/env bash
# Builds the tiny Linux guest out of Debian packages, unpacked and not installed, without root: kernel, busybox, a few
# modules, and the init beside this file. Prints the path of the qcow2; an image of the same recipe is not built again.
set -euo pipefail
HERE=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=../lib.sh
. "$HERE/../lib.sh"

NEEDED='busybox-static cpio kmod dosfstools mtools syslinux'

digest=$(cat "$HERE/build.sh" "$HERE"/guest/* | sha256sum | cut -c 1-16)
images=$VELUM_CACHE/images
image=$images/velum-guest-$digest.qcow2
if [ -s "$image" ]; then
  printf '%s\n' "$image"
  exit 0
fi

# shellcheck disable=SC2086
ensure_packages $NEEDED >&2
PATH=$PATH:/usr/sbin:/sbin
command -v qemu-img >/dev/null || ensure_libvirt_packages >&2

mkdir -p "$images"
work=$(mktemp -d "$images/build.XXXXXX")
trap 'rm -rf "$work"' EXIT

# The kernel that bookworm itself carries: the same for everybody, whatever else is enabled.
fetch_kernel() {
  local name version
  version=$(apt-cache policy linux-image-cloud-amd64 | awk '/^ +[0-9*].*[0-9]/ {v = ($1 == "***") ? $2 : $1} /bookworm\/main|bookworm-security\/main/ {print v}' | sort -uV | tail -n 1)
  name=$(apt-cache show "linux-image-cloud-amd64=$version" 2>/dev/null | sed -n 's/^Depends: \(linux-image-[^ ]*\).*/\1/p' | head -n 1)
  [ -n "$name" ] || name=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/.*Depends: //p' | head -n 1)
  [ -n "$name" ] || fail 'no package linux-image-cloud-amd64 is known: run apt-get update as root, then run this again'
  (cd "$work" && apt-get -q -o APT::Sandbox::User=root download "$name" >&2) || fail "could not download $name: is there a network?"
  dpkg-deb -x "$work/$name"_*.deb "$work/kernel"
}
can_root && apt_update >&2
fetch_kernel
release=$(ls "$work/kernel/lib/modules")
vmlinuz=$work/kernel/boot/vmlinuz-$release

root=$work/root
mkdir -p "$root"/{bin,dev,etc,proc,sys,run,tmp,lib/modules}
cp /bin/busybox "$root/bin/busybox"
cp "$HERE/guest/init" "$root/init"
cp "$HERE/guest/network.awk" "$root/etc/network.awk"
chmod 755 "$root/init" "$root/bin/busybox"

copy_modules() {
  local module file
  depmod -b "$work/kernel" "$release"
  : >"$root/etc/velum-modules"
  while read -r module; do
    # A driver that is built in has no file and needs none.
    modprobe -d "$work/kernel" -S "$release" --show-depends "$module" 2>/dev/null | awk '$1 == "insmod" {print $2}' >"$work/files" || continue
    while read -r file; do
      install -D -m 644 "$file" "$root/${file#"$work/kernel"}"
    done <"$work/files"
    printf '%s\n' "$module" >>"$root/etc/velum-modules"
  done <"$HERE/guest/modules"
  cp "$work/kernel/lib/modules/$release"/modules.{order,builtin} "$root/lib/modules/$release/"
  depmod -b "$root" "$release" 2>/dev/null
}
copy_modules

(cd "$root" && find . | LC_ALL=C sort | cpio --quiet -o -H newc -R 0:0 | gzip -9n >"$work/initrd.gz")
cat >"$work/syslinux.cfg" <<CFG
default velum
prompt 0
timeout 1
label velum
  kernel vmlinuz
  append initrd=initrd.gz console=ttyS0,115200 quiet loglevel=4 random.trust_cpu=on panic=10
CFG

truncate -s 32M "$work/disk.raw"
mkfs.vfat -n VELUM "$work/disk.raw" >/dev/null
syslinux --install "$work/disk.raw"
MTOOLS_SKIP_CHECK=1 mcopy -i "$work/disk.raw" "$vmlinuz" ::vmlinuz
MTOOLS_SKIP_CHECK=1 mcopy -i "$work/disk.raw" "$work/initrd.gz" "$work/syslinux.cfg" ::
qemu-img convert -f raw -O qcow2 "$work/disk.raw" "$work/image.qcow2"
mv "$work/image.qcow2" "$image"
printf '%s\n' "$image"
