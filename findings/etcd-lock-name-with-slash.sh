#!/usr/bin/env bash
# etcd: the lock `jobs` waits for whoever holds the lock `jobs/mail`, and not the other way round.
#
# Versions:  Debian etcd-server and etcd-client 3.4.23-4+b4 (bookworm, amd64). Seen 2026-11-29.
# Expected:  a lock has a name, and two names are two locks.
# Happens:   who wants a lock writes a key NAME/LEASE, and waits for the older keys that begin with NAME and a slash.
#            The keys of all locks below `jobs/` are among these: `jobs` is free only when none of them is held.
#            `jobs/mail` does not see the key of `jobs`, so this is no lock of a tree either.
# Output:    jobs/mail is held: jobs waits
#            jobs/mail is released: jobs is taken
#            jobs is held: jobs/mail is taken
#            jobs is held: jobs-old is taken
set -euo pipefail
folder=$(mktemp -d)
server= holder= waiter=
trap '{ kill -KILL $server $holder $waiter; wait; } 2>/dev/null || true; rm -rf "$folder"' EXIT
cd "$folder"
for package in etcd-server etcd-client; do
  apt-get download -qq -o APT::Sandbox::User=root "$package=3.4.23-4+b4"
  dpkg -x "$package"_*.deb .
done
export ETCDCTL_API=3 ETCDCTL_ENDPOINTS=http://127.0.0.1:24101 PATH="$folder/usr/bin:$PATH"
etcd --data-dir data --listen-client-urls "$ETCDCTL_ENDPOINTS" --advertise-client-urls "$ETCDCTL_ENDPOINTS" \
  --listen-peer-urls http://127.0.0.1:24102 --initial-advertise-peer-urls http://127.0.0.1:24102 \
  --initial-cluster default=http://127.0.0.1:24102 2>etcd.log &
server=$!
# Waits a minute at most.
await() { for _ in {1..300}; do "$@" >/dev/null 2>&1 && return; sleep 0.2; done; echo "waited for: $*" >&2; return 1; }
await grep "ready to serve client requests" etcd.log

seen=()
look() { seen+=("$2"); echo "$1 $2"; }
# `etcdctl lock NAME` prints its key once it has the lock, and keeps it until it is told to stop.
hold() {
  etcdctl lock "$1" >held 2>holder.log &
  holder=$!
  await test -s held
}
release() {
  kill $holder
  wait $holder || true
  holder=
}
try() { timeout 30 etcdctl lock "$1" echo taken; }

hold jobs/mail
etcdctl lock jobs echo taken >waiter.out &
waiter=$!
two_keys() { [[ $(etcdctl get --prefix jobs/ --keys-only | grep -c jobs/) == 2 ]]; }
await two_keys
sleep 2
look "jobs/mail is held: jobs" "$([[ -s waiter.out ]] && echo is taken || echo waits)"
release
wait $waiter && waiter=
look "jobs/mail is released: jobs is" "$(<waiter.out)"

hold jobs
look "jobs is held: jobs/mail is" "$(try jobs/mail)"
look "jobs is held: jobs-old is" "$(try jobs-old)"
[[ ${seen[*]} == "waits taken taken taken" ]] || { echo "the behaviour has changed" >&2; exit 1; }
