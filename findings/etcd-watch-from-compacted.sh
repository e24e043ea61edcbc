#!/usr/bin/env bash
# etcd: a watch from the revision that was compacted to is accepted, and does not tell of the delete made at it.
#
# Versions:  Debian etcd-server and etcd-client 3.4.23-4+b4 (bookworm, amd64). Seen 2026-11-29.
# Expected:  a watch from a revision that is gone is refused, so that one which is accepted tells all that happened from
#            its revision on, and with `prev_kv` also what was there before.
# Happens:   a watch from the compacted revision itself is accepted, but only what a read at that revision needs is
#            kept. A put of that revision comes without the value it replaced, like that of a new key; a delete of that
#            revision does not come at all. Who watches on from there keeps a key that is gone.
# Setup:     `a` is put twice; `b` is put, deleted and later put again. Watches begin at the second step of each.
# Output:    a, nothing compacted: PUT a old a new
#            a, compacted to that put: PUT a new
#            b, nothing compacted: DELETE b value b
#            b, compacted to that delete: PUT b again
set -euo pipefail
folder=$(mktemp -d)
server= watch=
trap '{ kill -KILL $server $watch; wait; } 2>/dev/null || true; rm -rf "$folder"' EXIT
cd "$folder"
for package in etcd-server etcd-client; do
  apt-get download -qq -o APT::Sandbox::User=root "$package=3.4.23-4+b4"
  dpkg -x "$package"_*.deb .
done
export ETCDCTL_API=3 ETCDCTL_ENDPOINTS=http://127.0.0.1:24131 PATH="$folder/usr/bin:$PATH"
etcd --data-dir data --listen-client-urls "$ETCDCTL_ENDPOINTS" --advertise-client-urls "$ETCDCTL_ENDPOINTS" \
  --listen-peer-urls http://127.0.0.1:24132 --initial-advertise-peer-urls http://127.0.0.1:24132 \
  --initial-cluster default=http://127.0.0.1:24132 2>etcd.log &
server=$!
# Waits a minute at most.
await() { for _ in {1..300}; do "$@" >/dev/null 2>&1 && return; sleep 0.2; done; echo "waited for: $*" >&2; return 1; }
await grep "ready to serve client requests" etcd.log

# The revision that a write made.
revision() { "$@" -w json | sed 's/.*"revision":\([0-9]*\).*/\1/'; }
seen=()
# look WHAT KEY REVISION: the first event of a watch of the key with previous values, on one line.
look() {
  : >events
  etcdctl watch "$2" --prev-kv --rev "$3" >events &
  watch=$!
  await test -s events
  sleep 1
  kill $watch
  wait $watch 2>/dev/null || true
  watch=
  seen+=("$(xargs <events)")
  echo "$1: ${seen[-1]}"
}

etcdctl put a old >/dev/null
put=$(revision etcdctl put a new)
look "a, nothing compacted" a "$put"
etcdctl compaction --physical "$put" >/dev/null
look "a, compacted to that put" a "$put"

etcdctl put b value >/dev/null
delete=$(revision etcdctl del b)
look "b, nothing compacted" b "$delete"
etcdctl compaction --physical "$delete" >/dev/null
etcdctl put b again >/dev/null
look "b, compacted to that delete" b "$delete"

expected=("PUT a old a new" "PUT a new" "DELETE b value b" "PUT b again")
[[ ${seen[*]} == "${expected[*]}" ]] || { echo "the behaviour has changed" >&2; exit 1; }
