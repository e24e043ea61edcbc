#!/bin/sh
# Counts up a key of FlareDB over HTTP with curl: counter.sh KEY TIMES NODE, where NODE is HOST:PORT of an HTTP port.
# Any number of these may run at once. If-Match has the node write only if the key is still as it was read.
set -eu
url="http://$3/v1/keys/$1"
body=$(mktemp)
trap 'rm -f "$body"' EXIT
counted=0
retries="--retry 20 --retry-all-errors --retry-delay 1"
while [ "$counted" -lt "$2" ]; do
  answer=$(curl -sS $retries -o "$body" -w '%{http_code} %header{etag}' "$url")
  case $answer in
  200*) number=$(($(cat "$body") + 1)) condition="If-Match: ${answer#* }" ;;
  404*) number=1 condition="If-None-Match: *" ;;
  *) cat "$body" >&2 && exit 1 ;;
  esac
  # curl sends this again by itself after an answer that was lost or unavailable; its id has it carried out once.
  id=$(cat /proc/sys/kernel/random/uuid)
  status=$(curl -sS $retries -o "$body" -w '%{http_code}' \
    -X PUT -H "$condition" -H "Idempotency-Key: $id" --data-binary "$number" "$url")
  case $status in
  200) counted=$((counted + 1)) ;;
  412) ;;
  *) cat "$body" >&2 && exit 1 ;;
  esac
done
