#!/usr/bin/env bash
# OpenTelemetry's exporter for Prometheus: one value with `node.id` and `node_id` takes all metrics of the process away.
#
# Versions:  @opentelemetry/exporter-prometheus 0.223.0, @opentelemetry/sdk-metrics 2.12.1, @opentelemetry/api 1.9.1,
#            effect 4.1.0, Debian prometheus 2.42.0+ds-5+deb12u1 (bookworm, amd64), Node.js 24.21.0. Seen 2026-12-01.
# Expected:  attributes whose names become one label are put together, as the rules for the conversion say, or one of
#            them is left out. What goes wrong with a value is the matter of that value.
# Happens:   the label is written twice, and Prometheus throws away the whole scrape for it: the target is down, `up`
#            is 0, and nothing of the process comes in any more. Metrics that are written behind that one are gone at
#            once; those before it keep their last value until it is 5 minutes old, so that they look as if nothing
#            went on. An attribute `le` of a histogram does the same. It begins with the first value of that kind, in
#            production as a rule, since the exporter answers with 200 and logs nothing. In OTLP both attributes are
#            fine. Effect's `PrometheusMetrics` writes the label twice as well.
# Setup:     a process with the counters "first", "calls" and "last", scraped before and after "first" goes up to 2 and
#            "calls" has a value with both attributes.
# Output:    before: up 1, first_total 1, last_total 1
#            calls_total{node_id="1",node_id="n1",otel_scope_name="app"} 1
#            first_total{otel_scope_name="app"} 2
#            after: up 0, first_total 1, last_total gone
#            error: label name "node_id" is not unique: invalid sample
#            effect writes calls{node_id="1",node_id="n1"} 1
set -euo pipefail
folder=$(mktemp -d)
processes=()
trap '{ kill -KILL "${processes[@]}"; wait; } 2>/dev/null || true; rm -rf "$folder"' EXIT
cd "$folder"
apt-get download -qq -o APT::Sandbox::User=root prometheus=2.42.0+ds-5+deb12u1
dpkg -x prometheus_*.deb .
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error @opentelemetry/exporter-prometheus@0.223.0 \
  @opentelemetry/sdk-metrics@2.12.1 @opentelemetry/api@1.9.1 effect@4.1.0 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >app.mjs <<'JS'
import { PrometheusExporter } from "@opentelemetry/exporter-prometheus"
import { MeterProvider } from "@opentelemetry/sdk-metrics"
import { createInterface } from "node:readline"

const exporter = new PrometheusExporter({ host: "127.0.0.1", port: 24240 })
const meter = new MeterProvider({ readers: [exporter] }).getMeter("app")
const first = meter.createCounter("first")
first.add(1)
const calls = meter.createCounter("calls")
meter.createCounter("last").add(1)
createInterface({ input: process.stdin }).on("line", () => {
  first.add(1)
  calls.add(1, { "node.id": "1", node_id: "n1" })
})
JS
cat >effect.mjs <<'JS'
import { Effect, Metric } from "effect"
import { PrometheusMetrics } from "effect/observability"

const calls = Metric.counter("calls", { attributes: { "node.id": "1", node_id: "n1" } })
console.log(await Effect.runPromise(Effect.andThen(Metric.update(calls, 1), PrometheusMetrics.format())))
JS
cat >prometheus.yml <<'YAML'
global: { scrape_interval: 1s }
scrape_configs: [{ job_name: app, static_configs: [{ targets: ["127.0.0.1:24240"] }] }]
YAML
mkfifo lines
node_modules/.bin/node app.mjs <lines >app.log 2>&1 &
processes+=($!)
exec 3>lines
usr/bin/prometheus --config.file=prometheus.yml --storage.tsdb.path=data --web.listen-address=127.0.0.1:24239 \
  >prometheus.log 2>&1 &
processes+=($!)
# Waits half a minute at most.
await() { for _ in {1..150}; do "$@" && return; sleep 0.2; done; echo "waited for: $*" >&2; return 1; }
api() { curl -sf --max-time 5 "http://127.0.0.1:24239/api/v1/$1" 2>/dev/null || true; }
value() {
  local found
  found=$(api "query?query=$1" | sed -n 's/.*"value":\[[^,]*,"\([^"]*\)".*/\1/p')
  echo "${found:-gone}"
}
is() { [ "$(value "$1")" = "$2" ]; }
all() { echo "$1: up $(value up), first_total $(value first_total), last_total $(value last_total)"; }

await is up 1
await is last_total 1
{
  all before
  echo "a value" >&3
  await is up 0
  await is last_total gone
  # Three more scrapes.
  sleep 3
  curl -sf --max-time 5 http://127.0.0.1:24240/metrics | grep '^calls\|^first' | sort
  all after
  echo "error: $(api targets | sed -n 's/.*"lastError":"\(\([^"\\]\|\\.\)*\)".*/\1/p' | tr -d '\\')"
  echo "effect writes $(timeout 20 node_modules/.bin/node effect.mjs | grep '^calls')"
} | tee output
diff - output <<'EXPECTED' || { echo "the behaviour has changed" >&2; exit 1; }
before: up 1, first_total 1, last_total 1
calls_total{node_id="1",node_id="n1",otel_scope_name="app"} 1
first_total{otel_scope_name="app"} 2
after: up 0, first_total 1, last_total gone
error: label name "node_id" is not unique: invalid sample
effect writes calls{node_id="1",node_id="n1"} 1
EXPECTED
