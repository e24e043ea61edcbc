#!/usr/bin/env bash
# etcd: a page of a range, with `limit`, costs as much as going through the whole range.
#
# Versions:  Debian etcd-server 3.4.23-4+b4 (bookworm, amd64), any curl. Seen 2026-11-29.
# Expected:  the first key of a range is found in an ordered index at once, whatever comes behind it, so that reading
#            a store page by page costs about as much as its keys do.
# Happens:   each page collects the revisions of all keys up to the end of the range, and then takes as many as the
#            limit says: the answer has a `count` of all. Reading N keys in pages costs N squared: of 300,000 keys, a
#            page of 1,000 took 75 ms, and the same page from a range that ended behind it 9 ms.
# Setup:     51,200 keys. One key is read with limit 1, from the range of all keys and from that of the first hundred,
#            thirty times each; the fastest counts. Elsewhere the times differ; the ratio is what is compared.
# Output:    all keys: count 51200, fastest 6.6 ms
#            the first hundred: count 100, fastest 1.0 ms
#            a page of the long range takes more than 4 times as long: yes
set -euo pipefail
folder=$(mktemp -d)
server=
trap '{ kill -KILL $server; wait; } 2>/dev/null || true; rm -rf "$folder"' EXIT
cd "$folder"
apt-get download -qq -o APT::Sandbox::User=root etcd-server=3.4.23-4+b4
dpkg -x etcd-server_*.deb .
url=http://127.0.0.1:24171
usr/bin/etcd --data-dir data --listen-client-urls "$url" --advertise-client-urls "$url" \
  --listen-peer-urls http://127.0.0.1:24172 --initial-advertise-peer-urls http://127.0.0.1:24172 \
  --initial-cluster default=http://127.0.0.1:24172 2>etcd.log &
server=$!
# Waits a minute at most.
await() { for _ in {1..300}; do "$@" >/dev/null 2>&1 && return; sleep 0.2; done; echo "waited for: $*" >&2; return 1; }
await grep "ready to serve client requests" etcd.log

# Eight digits are base64 of six bytes, in the same order.
for ((i = 0; i < 51200; i += 128)); do
  puts=$(printf '{"request_put":{"key":"%08d"}},' $(seq "$i" $((i + 127))))
  printf '{"success":[%s]}' "${puts%,}" >"body-$i"
done
for body in body-*; do
  printf 'next\nurl = "%s/v3/kv/txn"\ndata = "@%s"\noutput = "answer"\n' "$url" "$body"
done | tail -n +2 >requests
curl -sS -K requests

# look END: prints how many keys the range has, and the fastest of thirty pages of one key, in microseconds.
look() {
  local body="{\"key\":\"00000000\",\"range_end\":\"$1\",\"limit\":\"1\"}" count
  count=$(curl -sS "$url/v3/kv/range" -d "$body" | sed -n 's/.*"count":"\([0-9]*\)".*/\1/p')
  echo "$count $(for _ in {1..30}; do
    curl -sS -o /dev/null -w '%{time_total}\n' "$url/v3/kv/range" -d "$body"
  done | sort -n | head -1 | awk '{ printf "%d", $1 * 1000000 }')"
}
milliseconds() { awk -v us="$1" 'BEGIN { printf "%.1f ms", us / 1000 }'; }
read -r all_count all <<<"$(look 99999999)"
read -r few_count few <<<"$(look 00000100)"
echo "all keys: count $all_count, fastest $(milliseconds "$all")"
echo "the first hundred: count $few_count, fastest $(milliseconds "$few")"
slower=$((all > 4 * few ? 1 : 0))
echo "a page of the long range takes more than 4 times as long: $([[ $slower == 1 ]] && echo yes || echo no)"
[[ $all_count == 51200 && $few_count == 100 && $slower == 1 ]] || { echo "the behaviour has changed" >&2; exit 1; }
