#!/usr/bin/env bash
# etcdctl: two keys behind `del` are the ends of a range: it deletes all between them, and not the second one.
#
# Versions:  Debian etcd-server and etcd-client 3.4.23-4+b4 (bookworm, amd64). Seen 2026-11-30.
# Expected:  a command that takes a key takes several, as those of files and of other stores do: `del job:2 job:4`
#            deletes these two and says 2. One that takes two keys and no more is not what one looks up.
# Happens:   the second word is the end of a range, which is not part of it. What lies between is deleted, and the one
#            that was named last stays. With one key between, "2" is what one expects to read. In the other order the
#            range is empty: nothing is deleted, and the exit code is 0. A third key is an error, so that a script that
#            hands on a list fails for most lists and not for those of two. `get` and the permissions of a role too
#            take two words so; the value of a key named in `get` is then not shown.
# Setup:     the keys job:1 to job:5, all of them anew for each line; then the keys that are left.
# Output:    del job:2 job:4: says 2, exit code 0, left job:1 job:4 job:5
#            del job:4 job:2: says 0, exit code 0, left job:1 job:2 job:3 job:4 job:5
#            del job:1 job:5: says 4, exit code 0, left job:5
#            del job:1 job:2 job:3: says an error, exit code 128, left job:1 job:2 job:3 job:4 job:5
#            get job:2 job:3: shows job:2
set -euo pipefail
folder=$(mktemp -d)
server=
trap '{ kill -KILL $server; wait; } 2>/dev/null || true; rm -rf "$folder"' EXIT
cd "$folder"
for package in etcd-server etcd-client; do
  apt-get download -qq -o APT::Sandbox::User=root "$package=3.4.23-4+b4"
  dpkg -x "$package"_*.deb .
done
export ETCDCTL_API=3 ETCDCTL_ENDPOINTS=http://127.0.0.1:24231 PATH="$folder/usr/bin:$PATH"
etcd --data-dir data --listen-client-urls "$ETCDCTL_ENDPOINTS" --advertise-client-urls "$ETCDCTL_ENDPOINTS" \
  --listen-peer-urls http://127.0.0.1:24232 --initial-advertise-peer-urls http://127.0.0.1:24232 \
  --initial-cluster default=http://127.0.0.1:24232 2>etcd.log &
server=$!
# Waits a minute at most.
await() { for _ in {1..300}; do "$@" >/dev/null 2>&1 && return; sleep 0.2; done; echo "waited for: $*" >&2; return 1; }
await grep "ready to serve client requests" etcd.log

keys() { etcdctl get "$@" --keys-only | grep . | paste -sd' '; }
deleted() {
  local code=0 said key
  for key in job:{1..5}; do etcdctl put "$key" value >/dev/null; done
  said=$(etcdctl del "$@" 2>/dev/null) || code=$?
  if ((code != 0)); then said="an error"; fi
  echo "del $*: says $said, exit code $code, left $(keys job: --prefix)"
}
{
  deleted job:2 job:4
  deleted job:4 job:2
  deleted job:1 job:5
  deleted job:1 job:2 job:3
  echo "get job:2 job:3: shows $(keys job:2 job:3)"
} | tee output
diff - output <<'EXPECTED' || { echo "the behaviour has changed" >&2; exit 1; }
del job:2 job:4: says 2, exit code 0, left job:1 job:4 job:5
del job:4 job:2: says 0, exit code 0, left job:1 job:2 job:3 job:4 job:5
del job:1 job:5: says 4, exit code 0, left job:5
del job:1 job:2 job:3: says an error, exit code 128, left job:1 job:2 job:3 job:4 job:5
get job:2 job:3: shows job:2
EXPECTED
