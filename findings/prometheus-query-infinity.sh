#!/usr/bin/env bash
# prometheus-query: an infinite value is NaN, which is above no limit.
#
# Versions:  prometheus-query 3.5.1, Debian prometheus 2.42.0+ds-5+deb12u1 (bookworm, amd64), Node.js 24.21.0. Seen
#            2026-12-01.
# Expected:  the value of a sample is the number that Prometheus has. A share of errors is infinite when something is
#            divided by no requests, and a quantile is when it lies in the last bucket without a bound above.
# Happens:   Prometheus writes "+Inf" and "-Inf" in its answers, and JavaScript's `parseFloat`, which the library uses,
#            knows "Infinity" only. The value is NaN, as for 0 divided by 0. A check `value > limit` in JavaScript is
#            then false exactly when the value is above everything; the same condition in a rule holds. `NaN` also
#            passes for "no traffic". As JSON both are null.
# Setup:     a Prometheus without targets is asked for constants, and for the same compared with 0.5.
# Output:    vector(3) / 4: value 0.75, above 0.5 here true, for Prometheus true
#            vector(3) / 0: value NaN, above 0.5 here false, for Prometheus true
#            vector(0) / 0: value NaN, above 0.5 here false, for Prometheus false
#            Prometheus wrote: "+Inf"
set -euo pipefail
folder=$(mktemp -d)
server=
trap '{ kill -KILL $server; wait; } 2>/dev/null || true; rm -rf "$folder"' EXIT
cd "$folder"
apt-get download -qq -o APT::Sandbox::User=root prometheus=2.42.0+ds-5+deb12u1
dpkg -x prometheus_*.deb .
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error prometheus-query@3.5.1 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null
echo "scrape_configs: []" >prometheus.yml
usr/bin/prometheus --config.file=prometheus.yml --storage.tsdb.path=data --web.listen-address=127.0.0.1:24241 \
  >prometheus.log 2>&1 &
server=$!
# Waits half a minute at most.
await() { for _ in {1..150}; do "$@" >/dev/null 2>&1 && return; sleep 0.2; done; echo "waited for: $*" >&2; return 1; }
await curl -sf --max-time 5 http://127.0.0.1:24241/-/ready

cat >finding.mjs <<'JS'
import assert from "node:assert/strict"
import { PrometheusDriver } from "prometheus-query"

const endpoint = "http://127.0.0.1:24241"
const driver = new PrometheusDriver({ endpoint })
const seen = []
for (const query of ["vector(3) / 4", "vector(3) / 0", "vector(0) / 0"]) {
  const [{ value: { value } }] = (await driver.instantQuery(query)).result
  const above = (await driver.instantQuery(`${query} > 0.5`)).result.length === 1
  seen.push(`${query}: value ${value}, above 0.5 here ${value > 0.5}, for Prometheus ${above}`)
}
const answer = await fetch(`${endpoint}/api/v1/query?${new URLSearchParams({ query: "vector(3) / 0" })}`)
seen.push(`Prometheus wrote: ${JSON.stringify((await answer.json()).data.result[0].value[1])}`)
console.log(seen.join("\n"))
assert.deepEqual(seen, [
  "vector(3) / 4: value 0.75, above 0.5 here true, for Prometheus true",
  "vector(3) / 0: value NaN, above 0.5 here false, for Prometheus true",
  "vector(0) / 0: value NaN, above 0.5 here false, for Prometheus false",
  'Prometheus wrote: "+Inf"'
], "the behaviour has changed")
JS
timeout 60 node_modules/.bin/node finding.mjs
