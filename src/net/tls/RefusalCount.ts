/** How many connections a port has refused for what TLS shows. */
import { Effect, Metric } from "effect"
import { seriesOf } from "../../MetricSeries.ts"
import type { TlsRefusal } from "./TlsRefusal.ts"

/** One that grows names a certificate to renew, a client to correct, or somebody who tries. */
const refused = seriesOf((port, reason: TlsRefusal["reason"]) =>
  Metric.counter("flaredb_tls_refused_total", {
    description: "connections refused for what TLS shows, by port and reason",
    incremental: true,
    attributes: { port, reason }
  })
)

/** Counts the refusals of the port of that name: "client", "peer" or "http". */
export const countRefusals = (port: string): Effect.Effect<(refusal: TlsRefusal) => void> =>
  Effect.map(
    Effect.context<never>(),
    (context) => ({ reason }) => refused(port, reason).updateUnsafe(1, context)
  )
