#!/usr/bin/env bash
# etcdctl make-mirror: what is deleted while the mirror is down stays on the other side, and keys of leases for ever.
#
# Versions:  Debian etcd-server and etcd-client 3.4.23-4+b4 (bookworm, amd64). Seen 2026-11-29.
# Expected:  a mirror that is started again makes the other side what this side is. A key that lives as long as a lease
#            does not outlive it there.
# Happens:   a start copies what there is, and then follows a watch from that moment on. Keys that were deleted before
#            it are not looked for, so that each interruption leaves some behind. Leases are not copied: their keys are
#            plain keys on the other side, which go when the mirror sees them go, or stay when it is down then.
# Setup:     two members. The mirror runs twice; between the runs `b` is deleted and a lease ends that has the key `c`.
# Output:    first run, a deleted while it runs: b c
#            between the runs, on this side: d
#            second run, on the other side: b c d, with leases: none
set -euo pipefail
folder=$(mktemp -d)
servers= mirror=
trap '{ kill -KILL $servers $mirror; wait; } 2>/dev/null || true; rm -rf "$folder"' EXIT
cd "$folder"
for package in etcd-server etcd-client; do
  apt-get download -qq -o APT::Sandbox::User=root "$package=3.4.23-4+b4"
  dpkg -x "$package"_*.deb .
done
export ETCDCTL_API=3 ETCDCTL_ENDPOINTS=http://127.0.0.1:24189 PATH="$folder/usr/bin:$PATH"
other=http://127.0.0.1:24191
# start NAME CLIENT-URL PEER-URL
start() {
  etcd --data-dir "$1" --listen-client-urls "$2" --advertise-client-urls "$2" --listen-peer-urls "$3" \
    --initial-advertise-peer-urls "$3" --initial-cluster "default=$3" 2>"$1.log" &
  servers="$servers $!"
}
# Waits a minute at most.
await() { for _ in {1..300}; do "$@" >/dev/null 2>&1 && return; sleep 0.2; done; echo "waited for: $*" >&2; return 1; }
start this "$ETCDCTL_ENDPOINTS" http://127.0.0.1:24190
start other "$other" http://127.0.0.1:24192
await grep "ready to serve client requests" this.log
await grep "ready to serve client requests" other.log

keys() { ETCDCTL_ENDPOINTS=$1 etcdctl get "" --prefix --keys-only | xargs; }
# on_other KEYS: whether these keys are there, and no other ones.
on_other() { [[ $(keys $other) == "$1" ]]; }
mirror() { etcdctl make-mirror $other >/dev/null 2>&1 & mirror=$!; }
stop() { kill $mirror; wait $mirror 2>/dev/null || true; mirror=; }

lease=$(etcdctl lease grant 600 | cut -d' ' -f2)
{ etcdctl put a 1; etcdctl put b 1; etcdctl put c 1 --lease "$lease"; } >/dev/null
mirror
await on_other "a b c"
etcdctl del a >/dev/null
await on_other "b c"
first=$(keys $other)
stop
{ etcdctl del b; etcdctl lease revoke "$lease"; } >/dev/null
etcdctl put d 1 >/dev/null
this=$(keys "$ETCDCTL_ENDPOINTS")
mirror
await on_other "b c d"
sleep 2
second=$(keys $other)
stop
leases=$(ETCDCTL_ENDPOINTS=$other etcdctl lease list | sed 1d | xargs)
{
  echo "first run, a deleted while it runs: $first"
  echo "between the runs, on this side: $this"
  echo "second run, on the other side: $second, with leases: ${leases:-none}"
} | tee output
diff - output <<'EXPECTED' || { echo "the behaviour has changed" >&2; exit 1; }
first run, a deleted while it runs: b c
between the runs, on this side: d
second run, on the other side: b c d, with leases: none
EXPECTED
