#!/usr/bin/env bash
# nix: `builtins.toJSON` writes a number with a fraction with six digits, so that a setting becomes another number.
#
# Versions:  Debian nix-bin 2.8.0-1.1+b1 and its libraries (bookworm, amd64). Seen 2026-11-30.
# Expected:  what is written is what reads back as the same number, as JSON.stringify has it. A NixOS module makes the
#            file of a service's settings with `toJSON`, as it is usual.
# Happens:   numbers with a fraction have six digits, and an exponent from a million on. 0.7 of 16 GiB is 8,428 bytes
#            less, and 1,234,567.5 ms is two and a half more; `2.5e+06` is no integer for many parsers. The same
#            product of integers has all digits, so the point in the source makes the difference. An integer beyond 63
#            bits that `fromJSON` reads is negative, or -1. `builtins.floor` helps on the way out.
# Setup:     each line is an expression and its value.
# Output:    toJSON (17179869184 * 7 / 10): "12025908428"
#            toJSON (17179869184 * 0.7): "1.20259e+10"
#            toJSON (builtins.floor (17179869184 * 0.7)): "12025908428"
#            toJSON 1234567.5: "1.23457e+06"
#            toJSON 2500000.0: "2.5e+06"
#            fromJSON "18446744073709551615": -1
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
for package in nix-bin=2.8.0-1.1+b1 libarchive13 libboost-context1.74.0 libbrotli1 libcpuid16 libcurl3-gnutls libgc1 \
  libseccomp2 libsodium23 libsqlite3-0; do
  apt-get download -qq -o APT::Sandbox::User=root "$package"
  dpkg -x "${package%%=*}"_*.deb .
done
export HOME="$folder" LD_LIBRARY_PATH="$folder/usr/lib/x86_64-linux-gnu" NIX_STORE_DIR="$folder/store"
export NIX_STATE_DIR="$folder/state" NIX_CONF_DIR="$folder/conf" NIX_LOG_DIR="$folder/log"

look() { echo "$1: $(timeout 60 usr/bin/nix-instantiate --eval -E "builtins.$1")"; }
{
  look 'toJSON (17179869184 * 7 / 10)'
  look 'toJSON (17179869184 * 0.7)'
  look 'toJSON (builtins.floor (17179869184 * 0.7))'
  look 'toJSON 1234567.5'
  look 'toJSON 2500000.0'
  look 'fromJSON "18446744073709551615"'
} | tee output
diff - output <<'EXPECTED' || { echo "the behaviour has changed" >&2; exit 1; }
toJSON (17179869184 * 7 / 10): "12025908428"
toJSON (17179869184 * 0.7): "1.20259e+10"
toJSON (builtins.floor (17179869184 * 0.7)): "12025908428"
toJSON 1234567.5: "1.23457e+06"
toJSON 2500000.0: "2.5e+06"
fromJSON "18446744073709551615": -1
EXPECTED
