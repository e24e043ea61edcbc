#!/usr/bin/env bash
# etcd, JSON gateway: to keep a lease alive that is gone is answered with 200 and the id of the lease.
#
# Versions:  Debian etcd-server and etcd-client 3.4.23-4+b4 (bookworm, amd64), any curl. Seen 2026-11-30.
# Expected:  404 or an error in the body, as `lease/revoke` and a put with such a lease are answered.
# Happens:   the answer has the time that the lease has left, which is 0 then, and JSON leaves out what is 0. So the
#            field `TTL` is not there, and all else is as it is for a lease that was kept. A client that looks at the
#            status, or at the id, believes for ever that it is registered, while its keys are gone.
#            `lease/timetolive` says -1.
# Setup:     a lease is kept alive before and after it is revoked; the others ask for the revoked one as well.
# Output:    keepalive, there: 200, fields header ID TTL
#            keepalive, gone: 200, fields header ID
#            timetolive, gone: 200, TTL -1
#            put with it, gone: 404
#            revoke, gone: 404
set -euo pipefail
folder=$(mktemp -d)
server=
trap '{ kill -KILL $server; wait; } 2>/dev/null || true; rm -rf "$folder"' EXIT
cd "$folder"
for package in etcd-server etcd-client; do
  apt-get download -qq -o APT::Sandbox::User=root "$package=3.4.23-4+b4"
  dpkg -x "$package"_*.deb .
done
url=http://127.0.0.1:24207
usr/bin/etcd --data-dir data --listen-client-urls "$url" --advertise-client-urls "$url" \
  --listen-peer-urls http://127.0.0.1:24208 --initial-advertise-peer-urls http://127.0.0.1:24208 \
  --initial-cluster default=http://127.0.0.1:24208 2>etcd.log &
server=$!
# Waits a minute at most.
await() { for _ in {1..300}; do "$@" >/dev/null 2>&1 && return; sleep 0.2; done; echo "waited for: $*" >&2; return 1; }
await grep "ready to serve client requests" etcd.log

# post PATH JSON: the status; the body goes into the file `body`.
post() { curl -sS -o body -w '%{http_code}' "$url/v3/$1" -d "$2"; }
fields() { grep -o '"header"\|"ID"\|"TTL"' body | tr -d '"' | tr '\n' ' ' | sed 's/ $//'; }
lease='{"ID":"777"}'
{
  post lease/grant '{"ID":"777","TTL":"600"}' >/dev/null
  echo "keepalive, there: $(post lease/keepalive "$lease"), fields $(fields)"
  post lease/revoke "$lease" >/dev/null
  echo "keepalive, gone: $(post lease/keepalive "$lease"), fields $(fields)"
  echo "timetolive, gone: $(post lease/timetolive "$lease"), TTL $(sed 's/.*"TTL":"\([^"]*\)".*/\1/' body)"
  echo "put with it, gone: $(post kv/put '{"key":"YQ==","value":"YQ==","lease":"777"}')"
  echo "revoke, gone: $(post lease/revoke "$lease")"
} | tee output
diff - output <<'EXPECTED' || { echo "the behaviour has changed" >&2; exit 1; }
keepalive, there: 200, fields header ID TTL
keepalive, gone: 200, fields header ID
timetolive, gone: 200, TTL -1
put with it, gone: 404
revoke, gone: 404
EXPECTED
