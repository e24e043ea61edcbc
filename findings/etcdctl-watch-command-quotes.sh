#!/usr/bin/env bash
# etcdctl watch: the command that it runs for an event is given type, key and value within quotation marks.
#
# Versions:  Debian etcd-server and etcd-client 3.4.23-4+b4 (bookworm, amd64). Seen 2026-11-30.
# Expected:  `etcdctl watch --prefix jobs/ -- COMMAND` sets ETCD_WATCH_EVENT_TYPE to PUT or DELETE, and ETCD_WATCH_KEY
#            and ETCD_WATCH_VALUE to what `get` prints.
# Happens:   all three are literals of Go: quotation marks around them, and a backslash before each within, so that the
#            branch for DELETE is never taken, a JSON value cannot be parsed, and a file named after the key is `"…"`.
#            Bytes that cannot be printed are `\x` and digits; an end of line is not `\n`, so that reversing it is no
#            simple matter. ETCD_WATCH_REVISION, a number, is bare. A command that fails for one event ends the watch,
#            and a watch that is started again begins with the present, unless `--rev` says otherwise.
# Setup:     a watch whose command prints what it was given, and fails for a key that ends in "bad".
# Output:    put jobs/1 mail: <"PUT"> <"jobs/1"> <"mail"> <2>
#            put jobs/2 {"to":"a"}: <"PUT"> <"jobs/2"> <"{\"to\":\"a\"}"> <3>
#            del jobs/1: <"DELETE"> <"jobs/1"> <""> <4>
#            put jobs/bad x: <"PUT"> <"jobs/bad"> <"x"> <5>
#            after the command that failed: the watch has ended, exit code 1
set -euo pipefail
folder=$(mktemp -d)
server= watcher=
trap '{ kill -KILL $watcher $server; wait; } 2>/dev/null || true; rm -rf "$folder"' EXIT
cd "$folder"
for package in etcd-server etcd-client; do
  apt-get download -qq -o APT::Sandbox::User=root "$package=3.4.23-4+b4"
  dpkg -x "$package"_*.deb .
done
export ETCDCTL_API=3 ETCDCTL_ENDPOINTS=http://127.0.0.1:24233 PATH="$folder/usr/bin:$PATH"
etcd --data-dir data --listen-client-urls "$ETCDCTL_ENDPOINTS" --advertise-client-urls "$ETCDCTL_ENDPOINTS" \
  --listen-peer-urls http://127.0.0.1:24234 --initial-advertise-peer-urls http://127.0.0.1:24234 \
  --initial-cluster default=http://127.0.0.1:24234 2>etcd.log &
server=$!
# Waits a minute at most.
await() { for _ in {1..300}; do "$@" >/dev/null 2>&1 && return; sleep 0.2; done; echo "waited for: $*" >&2; return 1; }
await grep "ready to serve client requests" etcd.log

cat >given <<'COMMAND'
#!/bin/sh
echo "<$ETCD_WATCH_EVENT_TYPE> <$ETCD_WATCH_KEY> <$ETCD_WATCH_VALUE> <$ETCD_WATCH_REVISION>" >>seen
case "$ETCD_WATCH_KEY" in *bad*) exit 3 ;; esac
COMMAND
chmod +x given
touch seen
# From revision 2, the first one that is written, so that it does not matter when the watch begins.
etcdctl watch --rev 2 --prefix jobs/ -- ./given >watch.log 2>&1 &
watcher=$!
count=0
has_seen() { (($(wc -l <seen) >= count)); }
change() {
  etcdctl "$@" >/dev/null
  count=$((count + 1))
  await has_seen
  echo "$*: $(tail -n 1 seen)"
}
{
  change put jobs/1 mail
  change put jobs/2 '{"to":"a"}'
  change del jobs/1
  change put jobs/bad x
  code=0
  wait "$watcher" || code=$?
  echo "after the command that failed: the watch has ended, exit code $code"
} >output
watcher=
cat output
diff - output <<'EXPECTED' || { echo "the behaviour has changed" >&2; exit 1; }
put jobs/1 mail: <"PUT"> <"jobs/1"> <"mail"> <2>
put jobs/2 {"to":"a"}: <"PUT"> <"jobs/2"> <"{\"to\":\"a\"}"> <3>
del jobs/1: <"DELETE"> <"jobs/1"> <""> <4>
put jobs/bad x: <"PUT"> <"jobs/bad"> <"x"> <5>
after the command that failed: the watch has ended, exit code 1
EXPECTED
