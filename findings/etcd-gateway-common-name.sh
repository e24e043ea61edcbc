#!/usr/bin/env bash
# etcd, JSON gateway: with users, it refuses every request of a client whose certificate has a common name, token or not.
#
# Versions:  Debian etcd-server and etcd-client 3.4.23-4+b4 (bookworm, amd64), any curl and openssl. Seen 2026-11-29.
# Expected:  the gateway takes no user's name from a certificate, as etcd's documents say, so that a client says who it
#            is by a token (`/v3/auth/authenticate`). Its certificate then only has to be one of the authority.
# Happens:   once users are enabled, a certificate with a common name, as nearly every tool makes them, is refused with
#            400 and a line of text that is no JSON: at every path under /v3, that of the token too, and with a token
#            that is good. The same certificate works with `etcdctl`, which does not use the gateway, and worked with
#            the gateway until users were enabled. One without a common name goes on working.
# Setup:     one member with TLS that asks clients for a certificate; a user that may read everything. Each line is a
#            read through the gateway, with the status and whether the value came.
# Output:    no users, common name: 200, value
#            users, common name, token: 400, no value
#            users, no common name, token: 200, value
#            users, common name, etcdctl and password: value
set -euo pipefail
folder=$(mktemp -d)
server=
trap '{ kill -KILL $server; wait; } 2>/dev/null || true; rm -rf "$folder"' EXIT
cd "$folder"
for package in etcd-server etcd-client; do
  apt-get download -qq -o APT::Sandbox::User=root "$package=3.4.23-4+b4"
  dpkg -x "$package"_*.deb .
done
# issue NAME SUBJECT: a certificate of the authority, for servers and clients.
issue() {
  openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$1.key" -out "$1.csr" -subj "$2" 2>/dev/null
  openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -out "$1.crt" -days 2 \
    -extfile <(printf 'subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n') 2>/dev/null
}
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.crt -days 2 -subj /CN=ca 2>/dev/null
issue server /O=server
issue named /CN=somebody
issue nameless /O=client
export ETCDCTL_API=3 ETCDCTL_ENDPOINTS=https://127.0.0.1:24151 ETCDCTL_CACERT=ca.crt PATH="$folder/usr/bin:$PATH"
export ETCDCTL_CERT=named.crt ETCDCTL_KEY=named.key
etcd --data-dir data --listen-client-urls "$ETCDCTL_ENDPOINTS" --advertise-client-urls "$ETCDCTL_ENDPOINTS" \
  --cert-file server.crt --key-file server.key --trusted-ca-file ca.crt --client-cert-auth \
  --listen-peer-urls http://127.0.0.1:24152 --initial-advertise-peer-urls http://127.0.0.1:24152 \
  --initial-cluster default=http://127.0.0.1:24152 2>etcd.log &
server=$!
# Waits a minute at most.
await() { for _ in {1..300}; do "$@" >/dev/null 2>&1 && return; sleep 0.2; done; echo "waited for: $*" >&2; return 1; }
await grep "ready to serve client requests" etcd.log
await etcdctl put key there

seen=()
note() { seen+=("$2"); echo "$1: $2"; }
# gateway CERTIFICATE PATH BODY [TOKEN]: the answer, and the status on a line of its own.
gateway() {
  curl -sS --cacert ca.crt --cert "$1.crt" --key "$1.key" ${4:+-H "authorization: $4"} -w '\n%{http_code}' \
    "$ETCDCTL_ENDPOINTS$2" -d "$3"
}
# look WHAT CERTIFICATE [TOKEN]: reads the key, and says what came.
look() {
  local answer value
  answer=$(gateway "$2" /v3/kv/range "{\"key\":\"$(printf key | base64)\"}" "${3:-}")
  value="no value"
  [[ $answer == *"$(printf there | base64)"* ]] && value="value"
  note "$1" "${answer##*$'\n'}, $value"
}

look "no users, common name" named
etcdctl user add root:secret >/dev/null
etcdctl user grant-role root root >/dev/null
etcdctl auth enable >/dev/null
token=$(gateway nameless /v3/auth/authenticate '{"name":"root","password":"secret"}' | sed -n 's/.*"token":"\([^"]*\)".*/\1/p')
[[ $token ]] || { echo "no token came" >&2; exit 1; }
look "users, common name, token" named "$token"
look "users, no common name, token" nameless "$token"
[[ $(etcdctl --user root:secret get key --print-value-only) == there ]] && note "users, common name, etcdctl and password" value

expected=("200, value" "400, no value" "200, value" "value")
[[ ${seen[*]} == "${expected[*]}" ]] || { echo "the behaviour has changed" >&2; exit 1; }
