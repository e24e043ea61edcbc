#!/usr/bin/env bash
# systemd-analyze verify: a unit with misspelt settings is complained about, and the exit code is 0.
#
# Versions:  Debian systemd and libsystemd-shared 252.39-1~deb12u2 (bookworm, amd64). Seen 2026-11-29.
# Expected:  a checker whose exit code is 0 had nothing to say, so that `systemd-analyze verify` can be a step of CI. It
#            is 1 for a program that is not there.
# Happens:   what the manager itself would ignore with a line in its log (a setting that it does not know, a value that
#            it cannot read) is a warning here too. A service that is to be closed in by `ProtectSystm=strict` or that
#            is to come back by `Restart=on-failur` passes. `--recursive-errors=yes` makes such a unit an error, and
#            those that it needs as well.
# Setup:     four units, which start a program that is there, and one with a program that is not.
# Output:    right: exit code 0, lines 0
#            unknown setting: exit code 0, lines 1
#            unknown value: exit code 0, lines 1
#            unknown setting, --recursive-errors=yes: exit code 1, lines 1
#            program that is not there: exit code 1, lines 1
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
for package in systemd libsystemd-shared; do
  apt-get download -qq -o APT::Sandbox::User=root "$package=252.39-1~deb12u2"
  dpkg -x "$package"_*.deb .
done
export LD_LIBRARY_PATH="$folder/usr/lib/x86_64-linux-gnu/systemd"

# run WHAT SERVICE-LINES OPTION…: how the checker ends, and how many lines it has about this unit.
run() {
  local what=$1 code=0
  printf '[Service]\n%b\n' "$2" >finding.service
  shift 2
  usr/bin/systemd-analyze verify --man=no "$@" ./finding.service >log 2>&1 || code=$?
  echo "$what: exit code $code, lines $(grep -c '^[^ ]*finding\.service' log || true)"
}
{
  run "right" 'ExecStart=/bin/true\nProtectSystem=strict'
  run "unknown setting" 'ExecStart=/bin/true\nProtectSystm=strict'
  run "unknown value" 'ExecStart=/bin/true\nRestart=on-failur'
  run "unknown setting, --recursive-errors=yes" 'ExecStart=/bin/true\nProtectSystm=strict' --recursive-errors=yes
  run "program that is not there" 'ExecStart=/usr/bin/not-there'
} | tee output
cat log
diff - output <<'EXPECTED' || { echo "the behaviour has changed" >&2; exit 1; }
right: exit code 0, lines 0
unknown setting: exit code 0, lines 1
unknown value: exit code 0, lines 1
unknown setting, --recursive-errors=yes: exit code 1, lines 1
program that is not there: exit code 1, lines 1
EXPECTED
