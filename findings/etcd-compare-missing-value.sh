#!/usr/bin/env bash
# etcd: a compare of the value of a key that is not there fails, `!=` too.
#
# Versions:  Debian etcd-server and etcd-client 3.4.23-4+b4 (bookworm, amd64). Seen 2026-11-29.
# Expected:  of `value = x` and `value != x` one holds. A key that is not there has no value, or an empty one, as its
#            version and revisions are 0 in compares; either way it does not have the value x.
# Happens:   whatever is compared with the value of a missing key, the answer is no. "Set it unless it is x already"
#            does nothing when the key is not there, and the branch for failure, which is to mean "it is x", runs.
#            Compares are joined by "and", so "missing, or not x" takes a transaction within the failure branch.
# Setup:     compares with the value x of a key that has the value y, and of one that is not there.
# Output:    holds for y: value != x, value > x
#            holds for a missing key:
#            holds for a missing key, version and revisions: version = 0, create = 0, mod = 0, version != 1
set -euo pipefail
folder=$(mktemp -d)
server=
trap '{ kill -KILL $server; wait; } 2>/dev/null || true; rm -rf "$folder"' EXIT
cd "$folder"
for package in etcd-server etcd-client; do
  apt-get download -qq -o APT::Sandbox::User=root "$package=3.4.23-4+b4"
  dpkg -x "$package"_*.deb .
done
export ETCDCTL_API=3 ETCDCTL_ENDPOINTS=http://127.0.0.1:24181 PATH="$folder/usr/bin:$PATH"
etcd --data-dir data --listen-client-urls "$ETCDCTL_ENDPOINTS" --advertise-client-urls "$ETCDCTL_ENDPOINTS" \
  --listen-peer-urls http://127.0.0.1:24182 --initial-advertise-peer-urls http://127.0.0.1:24182 \
  --initial-cluster default=http://127.0.0.1:24182 2>etcd.log &
server=$!
# Waits a minute at most.
await() { for _ in {1..300}; do "$@" >/dev/null 2>&1 && return; sleep 0.2; done; echo "waited for: $*" >&2; return 1; }
await grep "ready to serve client requests" etcd.log

# holds KEY COMPARE…: those of the compares that hold, on one line.
holds() {
  local key=$1 compare list=
  shift
  for compare in "$@"; do
    local target=${compare%% *} rest=${compare#* }
    if printf '%s("%s") %s "%s"\n\n\n\n' "$target" "$key" "${rest%% *}" "${rest#* }" | etcdctl txn | grep -q SUCCESS; then
      list+="${list:+,} $compare"
    fi
  done
  echo "$list"
}
etcdctl put there y >/dev/null
values=("value = x" "value != x" "value < x" "value > x")
{
  echo "holds for y:$(holds there "${values[@]}")"
  echo "holds for a missing key:$(holds gone "${values[@]}")"
  echo "holds for a missing key, version and revisions:$(holds gone "version = 0" "create = 0" "mod = 0" "version != 1")"
} | tee output
diff - output <<'EXPECTED' || { echo "the behaviour has changed" >&2; exit 1; }
holds for y: value != x, value > x
holds for a missing key:
holds for a missing key, version and revisions: version = 0, create = 0, mod = 0, version != 1
EXPECTED
