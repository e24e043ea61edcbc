#!/usr/bin/env bash
# etcd: a lease that was nearly over has its whole time again after a restart.
#
# Versions:  Debian etcd-server and etcd-client 3.4.23-4+b4 (bookworm, amd64). Seen 2026-11-29.
# Expected:  a lease that nobody keeps alive is over, and its keys are gone, when its time since the grant is. Leaders
#            come and go without that.
# Happens:   how much time is left is known to the leader alone; the grant is all that is stored. Who becomes leader
#            gives every lease its full time, and a change of leader within each such time keeps the key of a dead
#            process for ever. (`--experimental-enable-lease-checkpoint` is off by default.)
# Setup:     a member alone, which becomes leader whenever it starts; a lease of 100 s, 15 s after the grant; a restart.
# Output:    15 s after the grant: 84 s left     (give or take a second)
#            after a restart: 100 s left
set -euo pipefail
folder=$(mktemp -d)
server=
trap '{ kill -KILL $server; wait; } 2>/dev/null || true; rm -rf "$folder"' EXIT
cd "$folder"
for package in etcd-server etcd-client; do
  apt-get download -qq -o APT::Sandbox::User=root "$package=3.4.23-4+b4"
  dpkg -x "$package"_*.deb .
done
export ETCDCTL_API=3 ETCDCTL_ENDPOINTS=http://127.0.0.1:24185 PATH="$folder/usr/bin:$PATH"
start() {
  etcd --data-dir data --listen-client-urls "$ETCDCTL_ENDPOINTS" --advertise-client-urls "$ETCDCTL_ENDPOINTS" \
    --listen-peer-urls http://127.0.0.1:24186 --initial-advertise-peer-urls http://127.0.0.1:24186 \
    --initial-cluster default=http://127.0.0.1:24186 2>etcd.log &
  server=$!
}
# Waits a minute at most.
await() { for _ in {1..300}; do "$@" >/dev/null 2>&1 && return; sleep 0.2; done; echo "waited for: $*" >&2; return 1; }
start
await grep "ready to serve client requests" etcd.log

# left: the seconds that the lease has left.
left() { etcdctl lease timetolive "$lease" | sed 's/.*remaining(\([0-9]*\)s).*/\1/'; }
lease=$(etcdctl lease grant 100 | cut -d' ' -f2)
sleep 15
before=$(left)
kill $server
wait $server 2>/dev/null || true
rm etcd.log
start
await grep "ready to serve client requests" etcd.log
after=$(left)
echo "15 s after the grant: $before s left"
echo "after a restart: $after s left"
((before < 90 && after > 95)) || { echo "the behaviour has changed" >&2; exit 1; }
