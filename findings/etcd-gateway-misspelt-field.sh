#!/usr/bin/env bash
# etcd, JSON gateway: a field with a misspelt name is ignored, so that a transaction loses its conditions.
#
# Versions:  Debian etcd-server and etcd-client 3.4.23-4+b4 (bookworm, amd64), any curl. Seen 2026-11-29.
# Expected:  a field that the message does not have is refused, as the JSON form of protocol buffers has it by default,
#            or at least where leaving it out makes the request another one.
# Happens:   such fields are dropped without a word. With `compares` for `compare` a transaction has no condition, which
#            always holds, and it writes; with `lease_id` for `lease` a put is for ever. The answers are those of the
#            requests that were understood.
# Setup:     the key `there` has the value `old`; a transaction puts `new` if its version is 0.
# Output:    compare: not put
#            compares: put
#            put with lease: gone with the lease
#            put with lease_id: stays
set -euo pipefail
folder=$(mktemp -d)
server=
trap '{ kill -KILL $server; wait; } 2>/dev/null || true; rm -rf "$folder"' EXIT
cd "$folder"
for package in etcd-server etcd-client; do
  apt-get download -qq -o APT::Sandbox::User=root "$package=3.4.23-4+b4"
  dpkg -x "$package"_*.deb .
done
export ETCDCTL_API=3 ETCDCTL_ENDPOINTS=http://127.0.0.1:24187 PATH="$folder/usr/bin:$PATH"
etcd --data-dir data --listen-client-urls "$ETCDCTL_ENDPOINTS" --advertise-client-urls "$ETCDCTL_ENDPOINTS" \
  --listen-peer-urls http://127.0.0.1:24188 --initial-advertise-peer-urls http://127.0.0.1:24188 \
  --initial-cluster default=http://127.0.0.1:24188 2>etcd.log &
server=$!
# Waits a minute at most.
await() { for _ in {1..300}; do "$@" >/dev/null 2>&1 && return; sleep 0.2; done; echo "waited for: $*" >&2; return 1; }
await grep "ready to serve client requests" etcd.log

post() { curl -sS "$ETCDCTL_ENDPOINTS/v3/$1" -d "$2"; }
base64_of() { printf %s "$1" | base64; }
there=$(base64_of there)
# put_if FIELD: whether a transaction puts, whose conditions are in a field of that name.
put_if() {
  etcdctl put there old >/dev/null
  post kv/txn "{\"$1\":[{\"target\":\"VERSION\",\"key\":\"$there\",\"version\":\"0\"}],
    \"success\":[{\"request_put\":{\"key\":\"$there\",\"value\":\"$(base64_of new)\"}}]}" >/dev/null
  [[ $(etcdctl get there --print-value-only) == new ]] && echo put || echo "not put"
}
# leased FIELD: what becomes of a key whose lease is in a field of that name, when the lease is revoked.
leased() {
  local lease
  lease=$(post lease/grant '{"TTL":"600"}' | sed 's/.*"ID":"\([0-9]*\)".*/\1/')
  post kv/put "{\"key\":\"$(base64_of leased)\",\"value\":\"$(base64_of x)\",\"$1\":\"$lease\"}" >/dev/null
  post lease/revoke "{\"ID\":\"$lease\"}" >/dev/null
  [[ $(etcdctl get leased) ]] && echo stays || echo "gone with the lease"
}
{
  echo "compare: $(put_if compare)"
  echo "compares: $(put_if compares)"
  echo "put with lease: $(leased lease)"
  echo "put with lease_id: $(leased lease_id)"
} | tee output
diff - output <<'EXPECTED' || { echo "the behaviour has changed" >&2; exit 1; }
compare: not put
compares: put
put with lease: gone with the lease
put with lease_id: stays
EXPECTED
