#!/usr/bin/env bash
# effect/observability and Prometheus: an alert on the increase of a counter does not see the first event.
#
# Versions:  effect 4.1.0, Node.js 24.21.0, Debian prometheus 2.42.0+ds-5+deb12u1 (bookworm, amd64). Seen 2026-11-30.
# Expected:  a counter that is defined is exported from the start, as 0, so that `increase(failures_total[10m]) > 0`
#            fires at the first failure.
# Happens:   a metric exists from its first update on, and so does each set of attributes. The counter appears as 1, and
#            for `increase` a series that begins with 1 has not increased. Of what happens once between two restarts,
#            such as a backup that fails, the alert never hears. Its test, which is written with a 0 in front, passes.
#            An update by 0 when the program starts exports the 0.
# Setup:     a program is scraped each minute, ten times; the one failure comes after the fifth. promtool is given what
#            was scraped as a series, `_` where there was none.
# Output:    as it is: scraped _ _ _ _ _ 1 1 1 1 1, alert does not fire
#            with an update by 0 at the start: scraped 0 0 0 0 0 1 1 1 1 1, alert fires
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get download -qq -o APT::Sandbox::User=root prometheus=2.42.0+ds-5+deb12u1
dpkg -x prometheus_*.deb .
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error effect@4.1.0 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import { Effect, Metric } from "effect"
import { PrometheusMetrics } from "effect/observability"

const failures = Metric.counter("failures_total", { incremental: true })
const values = Effect.gen(function*() {
  if (process.argv[2] === "zero") yield* Metric.update(failures, 0)
  const scraped = []
  for (let minute = 0; minute < 10; minute++) {
    if (minute === 5) yield* Metric.update(failures, 1)
    const text = yield* PrometheusMetrics.format()
    scraped.push(/^failures_total (\d+)$/m.exec(text)?.[1] ?? "_")
  }
  return scraped.join(" ")
})
console.log(await Effect.runPromise(values))
JS
cat >rules.yml <<'YAML'
groups:
  - name: failures
    rules:
      - alert: Failed
        expr: increase(failures_total[10m]) > 0
YAML
# fires SERIES ALERTS: whether the alert is what is given, after that series.
fires() {
  cat >test.yml <<YAML
rule_files: [rules.yml]
tests:
  - interval: 1m
    input_series: [{ series: failures_total, values: "$1" }]
    alert_rule_test: [{ eval_time: 9m, alertname: Failed, exp_alerts: $2 }]
YAML
  usr/bin/promtool test rules test.yml >/dev/null 2>&1
}
look() {
  local scraped alert="does something else"
  scraped=$(timeout 60 node_modules/.bin/node finding.mjs "$2")
  if fires "$scraped" '[]'; then alert="does not fire"; elif fires "$scraped" '[{}]'; then alert="fires"; fi
  echo "$1: scraped $scraped, alert $alert"
}
{
  look "as it is" plain
  look "with an update by 0 at the start" zero
} | tee output
diff - output <<'EXPECTED' || { echo "the behaviour has changed" >&2; exit 1; }
as it is: scraped _ _ _ _ _ 1 1 1 1 1, alert does not fire
with an update by 0 at the start: scraped 0 0 0 0 0 1 1 1 1 1, alert fires
EXPECTED
