/** Metrics and spans for a collector, as OTLP over HTTP: Effect's exporters over a client that bounds them. */
import { Effect, Layer, Redacted } from "effect"
import { HttpClient } from "effect/http"
import { OtlpMetrics, OtlpSerialization, OtlpTracer } from "effect/observability"
import type { OtlpExporter } from "effect/observability"
import { version } from "../Version.ts"
import type { Collector } from "./Collector.ts"
import * as OtlpClient from "./OtlpClient.ts"

/** Spans that leave together; a batch that is full leaves at once. */
const maxBatchSpans = 512

/** How long the end of a node waits for its last export, in milliseconds. */
const shutdownMs = 1_000

export interface Exporter {
  readonly collector: Collector
  readonly clusterId: string
  readonly nodeId: number
}

const clientFor = (signal: string) => Layer.effect(HttpClient.HttpClient, OtlpClient.make({ signal }))

/** Exports what the program under it measures and traces, until the scope closes. */
export const layer = ({ clusterId, collector, nodeId }: Exporter): Layer.Layer<OtlpExporter.Flusher> => {
  const shared = {
    headers: Redacted.value(collector.headers),
    resource: {
      serviceName: "flaredb",
      serviceVersion: version,
      attributes: { "service.namespace": clusterId, "service.instance.id": String(nodeId) }
    },
    shutdownTimeout: shutdownMs
  }
  const metrics = OtlpMetrics.layer({
    ...shared,
    url: `${collector.endpoint}/v1/metrics`,
    exportInterval: collector.intervalMs
  }).pipe(Layer.provide(clientFor("metrics")))
  const spans = OtlpTracer.layer({
    ...shared,
    url: `${collector.endpoint}/v1/traces`,
    maxBatchSize: maxBatchSpans
  }).pipe(Layer.provide(clientFor("traces")))
  return Layer.mergeAll(metrics, spans).pipe(
    // Collectors have to understand this encoding; JSON they need not.
    Layer.provide(OtlpSerialization.layerProtobuf)
  )
}

/** {@link layer}, saying where it exports to. */
export const layerLogged = (exporter: Exporter): Layer.Layer<OtlpExporter.Flusher> =>
  Layer.merge(
    layer(exporter),
    Layer.effectDiscard(Effect.logInfo(`metrics and spans are sent to ${exporter.collector.endpoint}`))
  )
