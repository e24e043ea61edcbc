#!/usr/bin/env bash
# etcd grpc-proxy: a serializable read through the proxy gives out an old value for as long as nobody else reads it.
#
# Versions:  Debian etcd-server and etcd-client 3.4.23-4+b4 (bookworm, amd64). Seen 2026-11-30.
# Expected:  a serializable read may be behind by what one member is behind: milliseconds, or until it hears from the
#            leader again. The proxy hands it to a member, as it does with the others.
# Happens:   the proxy answers such reads from a cache, which has no age. A write that goes through this proxy, or a
#            linearizable read of the same key, puts it right; a write that goes to a member or to another proxy does
#            not, and the old value stays. So whoever asks for cheap reads of settings that another
#            program writes never sees a change. Two proxies behind a balancer answer differently.
# Setup:     one member and one proxy. `a` is put at the member and read through the proxy. Each line is the value.
# Output:    put 1, serializable: 1
#            put 2, serializable, at once: 1
#            serializable, 20 s later: 1
#            serializable, at the member: 2
#            linearizable: 2
#            serializable, after that: 2
#            put 3 through the proxy, serializable: 3
set -euo pipefail
folder=$(mktemp -d)
server=
proxy=
trap '{ kill -KILL $server $proxy; wait; } 2>/dev/null || true; rm -rf "$folder"' EXIT
cd "$folder"
for package in etcd-server etcd-client; do
  apt-get download -qq -o APT::Sandbox::User=root "$package=3.4.23-4+b4"
  dpkg -x "$package"_*.deb .
done
export ETCDCTL_API=3 PATH="$folder/usr/bin:$PATH"
etcd --data-dir data --listen-client-urls http://127.0.0.1:24209 --advertise-client-urls http://127.0.0.1:24209 \
  --listen-peer-urls http://127.0.0.1:24210 --initial-advertise-peer-urls http://127.0.0.1:24210 \
  --initial-cluster default=http://127.0.0.1:24210 2>etcd.log &
server=$!
# Waits a minute at most.
await() { for _ in {1..300}; do "$@" >/dev/null 2>&1 && return; sleep 0.2; done; echo "waited for: $*" >&2; return 1; }
await grep "ready to serve client requests" etcd.log
etcd grpc-proxy start --endpoints=127.0.0.1:24209 --listen-addr=127.0.0.1:24211 >proxy.log 2>&1 &
proxy=$!

at_member() { etcdctl --endpoints=http://127.0.0.1:24209 "$@"; }
through_proxy() { etcdctl --endpoints=http://127.0.0.1:24211 "$@"; }
await through_proxy get other
cheap=(get a --consistency=s --print-value-only)
{
  at_member put a 1 >/dev/null
  echo "put 1, serializable: $(through_proxy "${cheap[@]}")"
  at_member put a 2 >/dev/null
  echo "put 2, serializable, at once: $(through_proxy "${cheap[@]}")"
  sleep 20
  echo "serializable, 20 s later: $(through_proxy "${cheap[@]}")"
  echo "serializable, at the member: $(at_member "${cheap[@]}")"
  echo "linearizable: $(through_proxy get a --print-value-only)"
  echo "serializable, after that: $(through_proxy "${cheap[@]}")"
  through_proxy put a 3 >/dev/null
  echo "put 3 through the proxy, serializable: $(through_proxy "${cheap[@]}")"
} | tee output
diff - output <<'EXPECTED' || { echo "the behaviour has changed" >&2; exit 1; }
put 1, serializable: 1
put 2, serializable, at once: 1
serializable, 20 s later: 1
serializable, at the member: 2
linearizable: 2
serializable, after that: 2
put 3 through the proxy, serializable: 3
EXPECTED
