#!/usr/bin/env bash
# etcdctl role grant-permission: granting a role to write a key takes away that it may read it.
#
# Versions:  Debian etcd-server and etcd-client 3.4.23-4+b4 (bookworm, amd64). Seen 2026-11-30.
# Expected:  a grant adds to what a role may do, as GRANT does in SQL; what is to go is revoked.
# Happens:   a role has one permission for each key or range, and the last grant is the one that counts. Write after
#            read leaves write alone, and the service that could read its settings cannot any more, with "Updated" as
#            the answer. `readwrite` is both. A grant of the same keys as another range (`a` by itself and `a` with
#            `--prefix`) is beside the first one, so whether it adds or replaces depends on how the range is spelled.
# Setup:     a user whose role is granted rights on the key `a`, one after the other. Each line is what it may do.
# Output:    read: reads, does not write
#            read, and then write: does not read, writes
#            read, and then write to the prefix: reads, writes
#            readwrite: reads, writes
set -euo pipefail
folder=$(mktemp -d)
server=
trap '{ kill -KILL $server; wait; } 2>/dev/null || true; rm -rf "$folder"' EXIT
cd "$folder"
for package in etcd-server etcd-client; do
  apt-get download -qq -o APT::Sandbox::User=root "$package=3.4.23-4+b4"
  dpkg -x "$package"_*.deb .
done
export ETCDCTL_API=3 ETCDCTL_ENDPOINTS=http://127.0.0.1:24203 PATH="$folder/usr/bin:$PATH"
etcd --data-dir data --listen-client-urls "$ETCDCTL_ENDPOINTS" --advertise-client-urls "$ETCDCTL_ENDPOINTS" \
  --listen-peer-urls http://127.0.0.1:24204 --initial-advertise-peer-urls http://127.0.0.1:24204 \
  --initial-cluster default=http://127.0.0.1:24204 2>etcd.log &
server=$!
# Waits a minute at most.
await() { for _ in {1..300}; do "$@" >/dev/null 2>&1 && return; sleep 0.2; done; echo "waited for: $*" >&2; return 1; }
await grep "ready to serve client requests" etcd.log

etcdctl user add root:example >/dev/null
etcdctl role add root >/dev/null
etcdctl user grant-role root root >/dev/null
etcdctl user add service:example >/dev/null
etcdctl auth enable >/dev/null
admin() { etcdctl --user root:example "$@" >/dev/null; }
may() {
  etcdctl --user service:example "$@" >log 2>&1 && return
  grep -q "permission denied" log || cat log >&2
  return 1
}
# rights WHAT GRANT…: what the service may do with a role that was given these grants.
rights() {
  local grant reads="reads" writes="writes" role=role-$RANDOM$RANDOM
  admin role add "$role"
  for grant in "${@:2}"; do
    # shellcheck disable=SC2086
    admin role grant-permission "$role" $grant
  done
  admin user grant-role service "$role"
  may get a || reads="does not read"
  may put a 1 || writes="does not write"
  admin role delete "$role"
  echo "$1: $reads, $writes"
}
{
  rights "read" "read a"
  rights "read, and then write" "read a" "write a"
  rights "read, and then write to the prefix" "read a" "write a --prefix"
  rights "readwrite" "readwrite a"
} | tee output
diff - output <<'EXPECTED' || { echo "the behaviour has changed" >&2; exit 1; }
read: reads, does not write
read, and then write: does not read, writes
read, and then write to the prefix: reads, writes
readwrite: reads, writes
EXPECTED
