#!/usr/bin/env bash
# etcd: the `count` of a range with `min_mod_revision` counts what the condition leaves out too.
#
# Versions:  Debian etcd-server and etcd-client 3.4.23-4+b4 (bookworm, amd64), any curl. Seen 2026-11-29.
# Expected:  `count` is the number of keys that the request asks for, of which `limit` keeps some back. With
#            `count_only` and `min_mod_revision` it says how many keys have changed since a revision.
# Happens:   the conditions on revisions are applied to the keys of the answer, and `count` is the size of the whole
#            range. With `count_only` there are no keys to apply them to, and they change nothing.
# Setup:     five keys, put once each at revisions 2 to 6, looked at with min_mod_revision 5.
# Output:    keys: 2, count 5
#            keys, limit 1: 1, count 5
#            count_only: 0, count 5
#            count_only, max_create_revision 3 as well: 0, count 5
set -euo pipefail
folder=$(mktemp -d)
server=
trap '{ kill -KILL $server; wait; } 2>/dev/null || true; rm -rf "$folder"' EXIT
cd "$folder"
for package in etcd-server etcd-client; do
  apt-get download -qq -o APT::Sandbox::User=root "$package=3.4.23-4+b4"
  dpkg -x "$package"_*.deb .
done
export ETCDCTL_API=3 ETCDCTL_ENDPOINTS=http://127.0.0.1:24121 PATH="$folder/usr/bin:$PATH"
etcd --data-dir data --listen-client-urls "$ETCDCTL_ENDPOINTS" --advertise-client-urls "$ETCDCTL_ENDPOINTS" \
  --listen-peer-urls http://127.0.0.1:24122 --initial-advertise-peer-urls http://127.0.0.1:24122 \
  --initial-cluster default=http://127.0.0.1:24122 2>etcd.log &
server=$!
# Waits a minute at most.
await() { for _ in {1..300}; do "$@" >/dev/null 2>&1 && return; sleep 0.2; done; echo "waited for: $*" >&2; return 1; }
await grep "ready to serve client requests" etcd.log

seen=()
# look WHAT FIELDS: a range over all keys that were changed at revision 5 or later.
look() {
  local answer keys count
  answer=$(curl -sS "$ETCDCTL_ENDPOINTS/v3/kv/range" -d "{
    \"key\": \"$(printf k | base64)\", \"range_end\": \"$(printf l | base64)\", \"min_mod_revision\": \"5\"$2
  }")
  keys=$(grep -o '"create_revision"' <<<"$answer" | wc -l || true)
  count=$(sed -n 's/.*"count":"\([0-9]*\)".*/\1/p' <<<"$answer")
  seen+=("$keys/$count")
  echo "$1: $keys, count $count"
}

for number in 1 2 3 4 5; do etcdctl put "k$number" value >/dev/null; done
look "keys" ""
look "keys, limit 1" ', "limit": "1"'
look "count_only" ', "count_only": true'
look "count_only, max_create_revision 3 as well" ', "count_only": true, "max_create_revision": "3"'
[[ ${seen[*]} == "2/5 1/5 0/5 0/5" ]] || { echo "the behaviour has changed" >&2; exit 1; }
