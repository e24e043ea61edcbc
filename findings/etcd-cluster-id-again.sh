#!/usr/bin/env bash
# etcd: a cluster that is made again at the same addresses has the id of the old one, and none of its data.
#
# Versions:  Debian etcd-server and etcd-client 3.4.23-4+b4 (bookworm, amd64). Seen 2026-11-29.
# Expected:  `cluster_id`, in the header of every answer, says whether two answers are of one cluster: a client that
#            keeps a revision keeps the id beside it, and knows by it that the revision means something.
# Happens:   the id is a hash of the members' peer URLs and of the token, whose default is a constant. A member whose
#            data is lost and that starts again with the same flags has the same cluster id, the same member id, and an
#            empty store at revision 1. Clusters of two machines that are set up alike have one id, too. With another
#            `--initial-cluster-token` the id is another one.
# Setup:     one member, with one key; then again with an empty directory; then with a token of its own.
# Output:    first: key, revision 2
#            made again: same cluster id, same member id, no key, revision 1
#            with another token: another cluster id, another member id, no key, revision 1
set -euo pipefail
folder=$(mktemp -d)
server=
trap '{ kill -KILL $server; wait; } 2>/dev/null || true; rm -rf "$folder"' EXIT
cd "$folder"
for package in etcd-server etcd-client; do
  apt-get download -qq -o APT::Sandbox::User=root "$package=3.4.23-4+b4"
  dpkg -x "$package"_*.deb .
done
export ETCDCTL_API=3 ETCDCTL_ENDPOINTS=http://127.0.0.1:24161 PATH="$folder/usr/bin:$PATH"
# Waits a minute at most.
await() { for _ in {1..300}; do "$@" >/dev/null 2>&1 && return; sleep 0.2; done; echo "waited for: $*" >&2; return 1; }
# serve [FLAG …]: a member with an empty directory, in place of the one before.
serve() {
  if [[ $server ]]; then disown "$server"; kill -KILL "$server"; sleep 0.5; fi
  rm -rf data
  etcd --data-dir data --listen-client-urls "$ETCDCTL_ENDPOINTS" --advertise-client-urls "$ETCDCTL_ENDPOINTS" \
    --listen-peer-urls http://127.0.0.1:24162 --initial-advertise-peer-urls http://127.0.0.1:24162 \
    --initial-cluster default=http://127.0.0.1:24162 "$@" 2>etcd.log &
  server=$!
  await grep "ready to serve client requests" etcd.log
  await etcdctl get key
}
answer() { etcdctl get key --write-out json; }
field() { sed -n "s/.*\"$1\":\([0-9]*\).*/\1/p"; }

seen=()
note() { seen+=("$2"); echo "$1: $2"; }
# compare WHAT: the answer of the member that runs, beside the first one's.
compare() {
  local now cluster=another member=another key="no key"
  now=$(answer)
  [[ $(field cluster_id <<<"$now") == "$(field cluster_id <<<"$first")" ]] && cluster=same
  [[ $(field member_id <<<"$now") == "$(field member_id <<<"$first")" ]] && member=same
  [[ $now == *'"kvs"'* ]] && key=key
  note "$1" "$cluster cluster id, $member member id, $key, revision $(field revision <<<"$now")"
}

serve
etcdctl put key value >/dev/null
first=$(answer)
[[ $first == *'"kvs"'* ]] && note first "key, revision $(field revision <<<"$first")"
serve
compare "made again"
serve --initial-cluster-token another
compare "with another token"
expected=(
  "key, revision 2"
  "same cluster id, same member id, no key, revision 1"
  "another cluster id, another member id, no key, revision 1"
)
[[ ${seen[*]} == "${expected[*]}" ]] || { echo "the behaviour has changed" >&2; exit 1; }
