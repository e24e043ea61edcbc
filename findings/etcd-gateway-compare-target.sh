#!/usr/bin/env bash
# etcd, JSON gateway: a compare that names a `mod_revision` and no `target` compares the version with 0.
#
# Versions:  Debian etcd-server and etcd-client 3.4.23-4+b4 (bookworm, amd64), any curl. Seen 2026-11-29.
# Expected:  the field that is given (`mod_revision`, `create_revision`, `value`, …) says what is compared: in the
#            protocol they are one union, so that no two can be given. Or a compare without `target` is refused.
# Happens:   `target` decides, and its default is the version. The field of another target counts as not given, which is
#            0. "Is at revision 2" becomes "does not exist": it refuses the right revision, and lets a write through
#            when the key is gone. No answer tells the two apart from a compare that was carried out as it was meant.
# Setup:     the key `there` was put once, at revision 2. Each line is a transaction that puts it under one condition.
# Output:    there, mod_revision 2, no target: not put
#            there, mod_revision 2, target MOD: put
#            gone, mod_revision 2, target MOD: not put
#            gone, mod_revision 2, no target: put
set -euo pipefail
folder=$(mktemp -d)
server=
trap '{ kill -KILL $server; wait; } 2>/dev/null || true; rm -rf "$folder"' EXIT
cd "$folder"
for package in etcd-server etcd-client; do
  apt-get download -qq -o APT::Sandbox::User=root "$package=3.4.23-4+b4"
  dpkg -x "$package"_*.deb .
done
export ETCDCTL_API=3 ETCDCTL_ENDPOINTS=http://127.0.0.1:24111 PATH="$folder/usr/bin:$PATH"
etcd --data-dir data --listen-client-urls "$ETCDCTL_ENDPOINTS" --advertise-client-urls "$ETCDCTL_ENDPOINTS" \
  --listen-peer-urls http://127.0.0.1:24112 --initial-advertise-peer-urls http://127.0.0.1:24112 \
  --initial-cluster default=http://127.0.0.1:24112 2>etcd.log &
server=$!
# Waits a minute at most.
await() { for _ in {1..300}; do "$@" >/dev/null 2>&1 && return; sleep 0.2; done; echo "waited for: $*" >&2; return 1; }
await grep "ready to serve client requests" etcd.log

base64_of() { printf %s "$1" | base64; }
seen=()
# look KEY TARGET: puts KEY if its mod_revision is 2, and says whether the condition held.
look() {
  local key target answer
  key=$(base64_of "$1")
  target=${2:+", \"target\": \"$2\""}
  answer=$(curl -sS "$ETCDCTL_ENDPOINTS/v3/kv/txn" -d "{
    \"compare\": [{ \"key\": \"$key\", \"result\": \"EQUAL\", \"mod_revision\": \"2\"$target }],
    \"success\": [{ \"request_put\": { \"key\": \"$key\", \"value\": \"$(base64_of new)\" } }]
  }")
  case $answer in
    *'"succeeded":true'*) seen+=("put") ;;
    *'"raft_term"'*) seen+=("not put") ;;
    *) echo "no answer of a transaction: $answer" >&2; return 1 ;;
  esac
  echo "$1, mod_revision 2, $([[ $2 ]] && echo "target $2" || echo "no target"): ${seen[-1]}"
}

etcdctl put there old >/dev/null
look there ""
look there MOD
look gone MOD
look gone ""
expected=("not put" "put" "not put" "put")
[[ ${seen[*]} == "${expected[*]}" ]] || { echo "the behaviour has changed" >&2; exit 1; }
