#!/usr/bin/env bash
# journalctl: in JSON a message with a colour is an array of numbers, and one of 4088 bytes or more is null.
#
# Versions:  Debian systemd, libsystemd-shared and systemd-journal-remote 252.39-1~deb12u2 (bookworm, amd64).
#            Seen 2026-11-30.
# Expected:  `MESSAGE` is a text: JSON has escapes for what cannot be printed, and `-o cat` shows all of these messages.
# Happens:   a control character other than a tab or an end of line makes it an array of the bytes, and a field that has
#            4096 bytes with its name is null. So what looks for errors by JSON finds none in the coloured lines of a
#            service, and loses the long ones, which are those with a stack or a whole request. `--all` brings the long
#            ones, and the coloured ones stay arrays, so that a reader needs both.
# Setup:     for each line a journal of one entry, made by systemd-journal-remote from its export format.
# Output:    plain: "failed"
#            tab: "failed\there"
#            colour: [27,91,51,49,109,102,97,105,108,101,100,27,91,48,109]
#            colour, --all: [27,91,51,49,109,102,97,105,108,101,100,27,91,48,109]
#            4087 bytes: "xxx…"
#            4088 bytes: null
#            4088 bytes, --all: "xxx…"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
for package in systemd=252.39-1~deb12u2 libsystemd-shared=252.39-1~deb12u2 systemd-journal-remote=252.39-1~deb12u2 \
  libmicrohttpd12; do
  apt-get download -qq -o APT::Sandbox::User=root "$package"
  dpkg -x "${package%%=*}"_*.deb .
done
library="$folder/usr/lib/x86_64-linux-gnu"
export LD_LIBRARY_PATH="$library/systemd:$library"

# entry MESSAGE: one in the export format; its boot and its time are made up.
entry() {
  printf '__REALTIME_TIMESTAMP=1796040000000000\n__MONOTONIC_TIMESTAMP=1\n'
  printf '_BOOT_ID=0123456789abcdef0123456789abcdef\nMESSAGE=%s\n\n' "$1"
}
# look WHAT MESSAGE OPTION…: what JSON has for the message, a long text cut short.
look() {
  local what=$1
  rm -f finding.journal
  entry "$2" | lib/systemd/systemd-journal-remote -o finding.journal - 2>/dev/null
  shift 2
  echo "$what: $(bin/journalctl --file=finding.journal --no-pager -o json "$@" |
    sed -E 's/.*"MESSAGE":("[^"]*"|\[[^]]*\]|null).*/\1/; s/xxxx+/xxx…/')"
}
colour=$'\e[31mfailed\e[0m'
letters() { printf 'x%.0s' $(seq "$1"); }
{
  look "plain" "failed"
  look "tab" $'failed\there'
  look "colour" "$colour"
  look "colour, --all" "$colour" --all
  look "4087 bytes" "$(letters 4087)"
  look "4088 bytes" "$(letters 4088)"
  look "4088 bytes, --all" "$(letters 4088)" --all
} | tee output
diff - output <<'EXPECTED' || { echo "the behaviour has changed" >&2; exit 1; }
plain: "failed"
tab: "failed\there"
colour: [27,91,51,49,109,102,97,105,108,101,100,27,91,48,109]
colour, --all: [27,91,51,49,109,102,97,105,108,101,100,27,91,48,109]
4087 bytes: "xxx…"
4088 bytes: null
4088 bytes, --all: "xxx…"
EXPECTED
