#!/usr/bin/env bash
# etcd: after a restore from a snapshot, revisions begin again where the snapshot was, and old ones mean other writes.
#
# Versions:  Debian etcd-server and etcd-client 3.4.23-4+b4 (bookworm, amd64). Seen 2026-11-30.
# Expected:  revisions only grow. A client that goes on with a revision from before the restore is told that it is from
#            the future, as a read at such a revision is, and starts over.
# Happens:   a watch from there is accepted and waits until the revision is reached again: the writes up to then are
#            never told, and nothing shows it. A compare with a `mod_revision` read before the restore holds for
#            whatever write has that number now, so that a put guarded by it overwrites what its writer never saw.
#            (etcd 3.6 can restore with higher revisions, 3.4 can not.)
# Setup:     `a` is put five times, a snapshot is taken after the first one, and is restored. A watcher goes on from
#            what would have come next; then `a` is put five times again, from 11 to 15.
# Output:    before: a=5 at revision 6
#            restored: a=1 at revision 2
#            read at revision 6: required revision is a future revision
#            watch from revision 7: told of 15, and not of 11 12 13 14
#            put if the revision of a is still 6, when a=14 is there: put
set -euo pipefail
folder=$(mktemp -d)
server= watch=
trap '{ kill -KILL $server $watch; wait; } 2>/dev/null || true; rm -rf "$folder"' EXIT
cd "$folder"
for package in etcd-server etcd-client; do
  apt-get download -qq -o APT::Sandbox::User=root "$package=3.4.23-4+b4"
  dpkg -x "$package"_*.deb .
done
export ETCDCTL_API=3 ETCDCTL_ENDPOINTS=http://127.0.0.1:24193 PATH="$folder/usr/bin:$PATH"
peers=(--initial-advertise-peer-urls http://127.0.0.1:24194 --initial-cluster default=http://127.0.0.1:24194)
# Waits a minute at most.
await() { for _ in {1..300}; do "$@" >/dev/null 2>&1 && return; sleep 0.2; done; echo "waited for: $*" >&2; return 1; }
start() {
  etcd --data-dir "$1" --listen-client-urls "$ETCDCTL_ENDPOINTS" --advertise-client-urls "$ETCDCTL_ENDPOINTS" \
    --listen-peer-urls http://127.0.0.1:24194 "${peers[@]}" 2>"$1.log" &
  server=$!
  await grep "ready to serve client requests" "$1.log"
}
stop() {
  kill "$1"
  wait "$1" 2>/dev/null || true
}
revision() { etcdctl get a -w json | sed 's/.*"revision":\([0-9]*\).*/\1/'; }
state() { echo "$1: a=$(etcdctl get a --print-value-only) at revision $(revision)"; }
told() { grep -x '1[0-9]' events | xargs; }

look() {
  start first
  etcdctl put a 1 >/dev/null
  etcdctl snapshot save snapshot >/dev/null 2>&1
  for value in 2 3 4 5; do etcdctl put a "$value" >/dev/null; done
  state before
  stop $server
  etcdctl snapshot restore snapshot --data-dir second "${peers[@]}" >/dev/null 2>&1
  start second
  state restored
  echo "read at revision 6: $(etcdctl get a --rev 6 2>&1 | grep -o 'required revision is a future revision' | tail -1)"

  etcdctl watch a --rev 7 >events &
  watch=$!
  for value in 11 12 13 14; do etcdctl put a "$value" >/dev/null; done
  [[ $(revision) == 6 ]]
  guarded=$(printf '%s\n\n%s\n\n\n' 'mod("a") = "6"' 'put a 15' | etcdctl txn -i 2>/dev/null | grep -c SUCCESS || true)
  await grep -qx 15 events
  echo "watch from revision 7: told of $(told), and not of 11 12 13 14"
  echo "put if the revision of a is still 6, when a=14 is there: $([[ $guarded == 1 ]] && echo put || echo not put)"
  stop $watch
  watch=
  stop $server
}
look >output
cat output
diff - output <<'EXPECTED' || { echo "the behaviour has changed" >&2; exit 1; }
before: a=5 at revision 6
restored: a=1 at revision 2
read at revision 6: required revision is a future revision
watch from revision 7: told of 15, and not of 11 12 13 14
put if the revision of a is still 6, when a=14 is there: put
EXPECTED
