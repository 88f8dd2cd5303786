#!/usr/bin/env bash
# Builds the first-party plugins: each a component at $CARGO_TARGET_DIR/plugins/NAME.wasm with its plugin.toml beside it
# as NAME.toml. With names as arguments, only those; those of tests/guests can be named too, and go to
# $CARGO_TARGET_DIR/guests. Quiet unless something fails; run again, it does what is left.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

target_dir=${CARGO_TARGET_DIR:-$PWD/target}
out=$target_dir/plugins
triple=wasm32-unknown-unknown
mkdir -p "$out"

names=("$@")
if [ ${#names[@]} -eq 0 ]; then
  for manifest in plugins/*/plugin.toml; do
    names+=("$(basename "$(dirname "$manifest")")")
  done
fi
# folder_of NAME: where it lies.
folder_of() {
  local folder
  for folder in plugins tests/guests; do
    if [ -f "$folder/$1/plugin.toml" ]; then printf '%s' "$folder/$1" && return; fi
  done
  echo "plugins/build.sh: there is no plugin $1" >&2
  exit 2
}

for name in "${names[@]}"; do
  folder_of "$name" >/dev/null
done
# modules CARGO [OPTIONS]: builds each as a cdylib and nothing else. Their tests want them as libraries too, and what is both is
# linked without the optimization over all crates that the profile asks for: the SDK's functions were called, not inlined.
modules() {
  local name
  for name in "${names[@]}"; do
    "$1" rustc --quiet "${@:2}" --profile plugin --target "$triple" -p "$name" --lib --crate-type cdylib
  done
}

has_target() {
  [ -d "$(rustc --print sysroot 2>/dev/null)/lib/rustlib/$triple/lib" ]
}

# The rustup download has hung at times: it gets two minutes.
if ! has_target && command -v rustup >/dev/null; then
  timeout 120 rustup target add "$triple" >/dev/null 2>&1 || true
fi

if has_target; then
  modules cargo
elif [ -x /usr/bin/cargo ] && command -v wasm-ld-19 >/dev/null && [ -d "$(/usr/bin/rustc --print sysroot)/lib/rustlib/src/rust/library" ]; then
  # Debian's toolchain has no std for this target, but its sources.
  RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=wasm-ld-19 \
    modules /usr/bin/cargo -Zbuild-std=std,panic_abort
else
  cat >&2 <<MESSAGE
plugins/build.sh: no Rust standard library for $triple. Install one of
  rustup target add $triple
  apt-get install rustc-web cargo-web rust-web-src lld-19
MESSAGE
  exit 1
fi

# The suites have built the whole workspace before; with this package alone, its dependencies would be built anew.
if [ "${VELUM_WHOLE:-}" != yes ] || [ ! -x "$target_dir/debug/velum-componentize" ]; then
  cargo build --quiet -p velum-componentize
fi
for name in "${names[@]}"; do
  # What servers install at start lies apart from what misbehaves.
  case $(folder_of "$name") in
  tests/*) out=$target_dir/guests ;;
  *) out=$target_dir/plugins ;;
  esac
  mkdir -p "$out"
  module=$target_dir/$triple/plugin/${name//-/_}.wasm
  component=$out/$name.wasm
  if [ ! -f "$component" ] || [ "$module" -nt "$component" ] || [ "$target_dir/debug/velum-componentize" -nt "$component" ]; then
    "$target_dir/debug/velum-componentize" "$module" "$component"
  fi
  manifest=$(folder_of "$name")/plugin.toml
  cmp --silent "$manifest" "$out/$name.toml" || cp "$manifest" "$out/$name.toml"
done
