# What the scripts share: where to build, and what a machine must have. Sourced, not run.

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$repo"

# Outside of the checkout, so that a fresh clone does not build the dependencies again.
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/thalweg/target}"

# need COMMAND HOW-TO-GET-IT
need() {
  command -v "$1" >/dev/null 2>&1 && return
  echo "missing on this machine: $1. $2" >&2
  exit 2
}

need cargo "Install Rust 1.95 or later with rustup: https://rustup.rs"
need cc "Install a C compiler and linker: 'apt-get install build-essential', or Xcode's command line tools."
# For the client of Kafka and its TLS, which are built from source.
need make "Install it: 'apt-get install build-essential', or Xcode's command line tools."
need perl "Install it: 'apt-get install perl'."
