#!/usr/bin/env bash
# etcdctl snapshot status: "total keys" is not the number of keys, and grows when a key is deleted.
#
# Versions:  Debian etcd-server and etcd-client 3.4.23-4+b4 (bookworm, amd64). Seen 2026-11-30.
# Expected:  the number of keys that a restore of this file brings back, so that a backup is checked by holding it
#            against the number of keys of the store.
# Happens:   it is the number of rows of the whole file: each revision since the last compaction, a deletion as one
#            more, and rows of etcd's own (leases, users, members). A store that was emptied by mistake has a higher
#            number than before, and a backup of it looks better than the one of the day before. It goes down by a
#            compaction.
# Setup:     snapshots of one member. Each line is the number of keys in the store, and what the file has more than
#            the one of the empty store.
# Output:    50 keys put: 50 keys, total keys 51 more
#            one of them put 100 times more: 50 keys, total keys 151 more
#            all deleted: 0 keys, total keys 201 more
#            compacted: 0 keys, total keys 3 more
set -euo pipefail
folder=$(mktemp -d)
server=
trap '{ kill -KILL $server; wait; } 2>/dev/null || true; rm -rf "$folder"' EXIT
cd "$folder"
for package in etcd-server etcd-client; do
  apt-get download -qq -o APT::Sandbox::User=root "$package=3.4.23-4+b4"
  dpkg -x "$package"_*.deb .
done
export ETCDCTL_API=3 ETCDCTL_ENDPOINTS=http://127.0.0.1:24205 PATH="$folder/usr/bin:$PATH"
etcd --data-dir data --listen-client-urls "$ETCDCTL_ENDPOINTS" --advertise-client-urls "$ETCDCTL_ENDPOINTS" \
  --listen-peer-urls http://127.0.0.1:24206 --initial-advertise-peer-urls http://127.0.0.1:24206 \
  --initial-cluster default=http://127.0.0.1:24206 2>etcd.log &
server=$!
# Waits a minute at most.
await() { for _ in {1..300}; do "$@" >/dev/null 2>&1 && return; sleep 0.2; done; echo "waited for: $*" >&2; return 1; }
await grep "ready to serve client requests" etcd.log

# total: the third column of `snapshot status`.
total() {
  rm -f snapshot.db
  etcdctl snapshot save snapshot.db >/dev/null 2>&1
  etcdctl snapshot status snapshot.db | cut -d, -f3 | tr -d ' '
}
keys() { etcdctl get key- --prefix --keys-only | grep -c . || true; }
empty=$(total)
look() { echo "$1: $(keys) keys, total keys $(($(total) - empty)) more"; }
{
  for number in {1..50}; do etcdctl put "key-$number" x >/dev/null; done
  look "50 keys put"
  for _ in {1..100}; do etcdctl put key-1 x >/dev/null; done
  look "one of them put 100 times more"
  etcdctl del key- --prefix >/dev/null
  look "all deleted"
  etcdctl compact --physical "$(etcdctl get key-1 -w json | sed 's/.*"revision":\([0-9]*\).*/\1/')" >/dev/null
  look "compacted"
} | tee output
diff - output <<'EXPECTED' || { echo "the behaviour has changed" >&2; exit 1; }
50 keys put: 50 keys, total keys 51 more
one of them put 100 times more: 50 keys, total keys 151 more
all deleted: 0 keys, total keys 201 more
compacted: 0 keys, total keys 3 more
EXPECTED
