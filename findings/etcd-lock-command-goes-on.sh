#!/usr/bin/env bash
# etcdctl lock: a command that runs under a lock goes on when the lock is lost, beside the next one, and succeeds.
#
# Versions:  Debian etcd-server and etcd-client 3.4.23-4+b4 (bookworm, amd64). Seen 2026-11-30.
# Expected:  `etcdctl lock NAME COMMAND` keeps watch over what it started: when the lease of the lock ends, the
#            command is stopped, or at least its exit code says that it was not alone all the time.
# Happens:   the lease is not looked at again. After a pause or a cut of more than its 60 s (a machine that was
#            suspended, a partition), another caller has the lock and both commands run. The first one is not told,
#            and the exit code of its `etcdctl` is the command's own. Nightly jobs and deployments are what this verb
#            is for. A command has to bring a check of its own, such as a compare on its key in each write.
# Setup:     the lease of a command that runs is revoked, as it is when nobody keeps it alive.
# Output:    first command: runs, holds the lock
#            lease is gone: the first command still runs, the second one has the lock
#            first command ends: exit code 0
set -euo pipefail
folder=$(mktemp -d)
server=
first=
trap '{ kill -KILL $server $first; wait; } 2>/dev/null || true; rm -rf "$folder"' EXIT
cd "$folder"
for package in etcd-server etcd-client; do
  apt-get download -qq -o APT::Sandbox::User=root "$package=3.4.23-4+b4"
  dpkg -x "$package"_*.deb .
done
export ETCDCTL_API=3 ETCDCTL_ENDPOINTS=http://127.0.0.1:24201 PATH="$folder/usr/bin:$PATH"
etcd --data-dir data --listen-client-urls "$ETCDCTL_ENDPOINTS" --advertise-client-urls "$ETCDCTL_ENDPOINTS" \
  --listen-peer-urls http://127.0.0.1:24202 --initial-advertise-peer-urls http://127.0.0.1:24202 \
  --initial-cluster default=http://127.0.0.1:24202 2>etcd.log &
server=$!
# Waits a minute at most.
await() { for _ in {1..300}; do "$@" >/dev/null 2>&1 && return; sleep 0.2; done; echo "waited for: $*" >&2; return 1; }
await grep "ready to serve client requests" etcd.log

# The command runs until it is let go, for a minute at most.
cat >first.sh <<'SH'
touch runs
for _ in {1..300}; do [[ -e let-go ]] && exit 0; sleep 0.2; done
exit 1
SH
etcdctl lock job -- bash first.sh >/dev/null &
first=$!
await test -e runs
{
  [[ $(etcdctl get job/ --prefix --keys-only | grep -c .) == 1 ]] && echo "first command: runs, holds the lock"
  etcdctl lease revoke "$(etcdctl lease list | tail -1)" >/dev/null
  second=$(timeout 20 etcdctl lock job -- echo "has the lock" || echo "waits")
  kill -0 $first 2>/dev/null && runs="still runs" || runs="is stopped"
  echo "lease is gone: the first command $runs, the second one $second"
  touch let-go
  code=0
  wait $first || code=$?
  first=
  echo "first command ends: exit code $code"
} >output
cat output
diff - output <<'EXPECTED' || { echo "the behaviour has changed" >&2; exit 1; }
first command: runs, holds the lock
lease is gone: the first command still runs, the second one has the lock
first command ends: exit code 0
EXPECTED
