#!/usr/bin/env bash
# effect/observability: one export that the collector refuses loses everything of the next minute, and at the end.
#
# Versions:  effect 4.1.0, Node.js 24.21.0. Seen 2026-11-30.
# Expected:  an exporter that cannot deliver a batch gives that one up, and sends the next one when its time has come;
#            what is left is sent when the program ends.
# Happens:   after a failure (at once for a status such as 400 or 404, after three retries for 5xx or no connection)
#            the exporter is off for a minute. It does not keep what comes in that time: spans and logs are dropped when
#            they are made. A program that ends within the minute sends nothing more. The one line about it is at level
#            Debug. A collector that restarts, or one bad batch, is a gap of a minute in each service.
# Setup:     a span every five seconds and one at the end, exported every five seconds under the test clock. The
#            collector answers the first export with 400 and all others with 200.
# Output:    ends after 120 s: refused s0; came s65 s70 s75 s80 s85 s90 s95 s100 s105 s110 s115 end
#            ends after 30 s: refused s0; came nothing
#            nothing refused, ends after 30 s: refused nothing; came s0 s5 s10 s15 s20 s25 end
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error effect@4.1.0 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import { Effect, Exit, Layer, Scope } from "effect"
import { FetchHttpClient } from "effect/http"
import { OtlpExporter, OtlpSerialization, OtlpTracer } from "effect/observability"
import { TestClock } from "effect/testing"
import assert from "node:assert/strict"
import { createServer } from "node:http"
import { json } from "node:stream/consumers"

let status = 200
let refused = []
let came = []
const collector = createServer(async (request, response) => {
  const { resourceSpans: [{ scopeSpans: [{ spans }] }] } = await json(request)
  const names = status === 200 ? came : refused
  names.push(...spans.map(({ name }) => name))
  response.writeHead(status, { "content-type": "application/json" }).end("{}")
  status = 200
})
await new Promise((resolve) => collector.listen(0, "127.0.0.1", resolve))
const layer = OtlpTracer.layer({
  url: `http://127.0.0.1:${collector.address().port}/v1/traces`,
  resource: { serviceName: "finding" },
  exportInterval: "5 seconds"
}).pipe(Layer.provide([OtlpSerialization.layerJson, OtlpExporter.layerFlusher, FetchHttpClient.layer]))

const look = (what, first, until) =>
  Effect.gen(function*() {
    status = first
    refused = []
    came = []
    const scope = yield* Scope.make()
    const services = yield* Layer.buildWithScope(Layer.fresh(layer), scope)
    const span = (name) => Effect.void.pipe(Effect.withSpan(name), Effect.provideContext(services))
    for (let second = 0; second < until; second += 5) {
      yield* span(`s${second}`)
      yield* TestClock.adjust("5 seconds")
      // The export is a real request, which the test clock does not know of.
      yield* Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 200)))
    }
    yield* span("end")
    yield* Scope.close(scope, Exit.void)
    const names = (list) => list.join(" ") || "nothing"
    const line = `${what}: refused ${names(refused)}; came ${names(came)}`
    console.log(line)
    return line
  }).pipe(Effect.scoped, Effect.provide(TestClock.layer()))

const seen = [
  await Effect.runPromise(look("ends after 120 s", 400, 120)),
  await Effect.runPromise(look("ends after 30 s", 400, 30)),
  await Effect.runPromise(look("nothing refused, ends after 30 s", 200, 30))
]
collector.close()
collector.closeAllConnections()
assert.deepEqual(seen, [
  "ends after 120 s: refused s0; came s65 s70 s75 s80 s85 s90 s95 s100 s105 s110 s115 end",
  "ends after 30 s: refused s0; came nothing",
  "nothing refused, ends after 30 s: refused nothing; came s0 s5 s10 s15 s20 s25 end"
], "the behaviour has changed")
JS
timeout 120 node_modules/.bin/node finding.mjs
