#!/usr/bin/env bash
# Nix, dpkg and systemd: `2.0.0-rc.1` is later than `2.0.0`, the other way round than in semantic versioning.
#
# Versions:  Debian nix-bin 2.8.0-1.1+b1, dpkg 1.21.23, systemd and libsystemd-shared 252.39-1~deb12u2 (bookworm,
#            amd64), semver 7.8.5 (npm). Seen 2026-12-01.
# Expected:  a release candidate comes before its release. A module of Nix with `versionAtLeast version "2.0.0"`, a unit
#            with `ConditionOSRelease=VERSION_ID>=2.0.0` and a package that is named by its tag know their order.
# Happens:   for dpkg and systemd a hyphen begins the revision of a packager, which is later than none; only `~` is
#            earlier. For Nix a version with further parts is later; of words only `pre` is earlier, and `~pre` is
#            another word. No writing here is earlier for all three. A feature that needs 2.0.0 is used with
#            2.0.0-rc.1, and the way from the candidate to its release is a downgrade, which apt does not offer.
# Setup:     the order of a version and 2.0.0 by each of the four.
# Output:    2.0.0-rc.1: Nix later, dpkg later, systemd later, semver earlier
#            2.0.0-pre1: Nix earlier, dpkg later, systemd later, semver earlier
#            2.0.0~rc.1: Nix later, dpkg earlier, systemd earlier, semver not a version
#            2.0.0~pre1: Nix later, dpkg earlier, systemd earlier, semver not a version
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
for package in nix-bin=2.8.0-1.1+b1 libarchive13 libboost-context1.74.0 libbrotli1 libcpuid16 libcurl3-gnutls libgc1 \
  libseccomp2 libsodium23 libsqlite3-0 dpkg=1.21.23 systemd=252.39-1~deb12u2 libsystemd-shared=252.39-1~deb12u2; do
  apt-get download -qq -o APT::Sandbox::User=root "$package"
  dpkg -x "${package%%=*}"_*.deb .
done
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error semver@7.8.5 >/dev/null
export HOME="$folder" LD_LIBRARY_PATH="$folder/usr/lib/x86_64-linux-gnu:$folder/usr/lib/x86_64-linux-gnu/systemd"
export NIX_STORE_DIR="$folder/store" NIX_STATE_DIR="$folder/state" NIX_CONF_DIR="$folder/conf" NIX_LOG_DIR="$folder/log"

# ordered NUMBER: the name of the result of a comparison.
ordered() { case $1 in 1) echo later ;; -1) echo earlier ;; 0) echo equal ;; *) echo "not a version" ;; esac; }
by_nix() { usr/bin/nix-instantiate --eval -E "builtins.compareVersions \"$1\" \"$2\""; }
by_dpkg() {
  if usr/bin/dpkg --compare-versions "$1" gt "$2"; then echo 1
  elif usr/bin/dpkg --compare-versions "$1" lt "$2"; then echo -1
  else echo 0; fi
}
by_systemd() {
  if usr/bin/systemd-analyze compare-versions "$1" gt "$2"; then echo 1
  elif usr/bin/systemd-analyze compare-versions "$1" lt "$2"; then echo -1
  else echo 0; fi
}
by_semver() {
  node -e 'const { compare, valid } = require("semver")
    const [one, other] = process.argv.slice(1)
    console.log(valid(one) === null ? "none" : compare(one, other))' "$1" "$2"
}
for version in 2.0.0-rc.1 2.0.0-pre1 2.0.0~rc.1 2.0.0~pre1; do
  line="$version: "
  for by in Nix dpkg systemd semver; do
    line+="$by $(ordered "$("by_${by,,}" "$version" 2.0.0)"), "
  done
  echo "${line%, }"
done | tee output
diff - output <<'EXPECTED' || { echo "the behaviour has changed" >&2; exit 1; }
2.0.0-rc.1: Nix later, dpkg later, systemd later, semver earlier
2.0.0-pre1: Nix earlier, dpkg later, systemd later, semver earlier
2.0.0~rc.1: Nix later, dpkg earlier, systemd earlier, semver not a version
2.0.0~pre1: Nix later, dpkg earlier, systemd earlier, semver not a version
EXPECTED
