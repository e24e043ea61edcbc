/** What a node measures about its links to the others, each with why it matters. */
import type { Context } from "effect"
import { Effect, Metric } from "effect"
import { secondsBuckets } from "../../MetricBuckets.ts"
import { seriesOf } from "../../MetricSeries.ts"
import type { ClockDifference, PeerHealth } from "../PeerTransport.ts"

/** Half of it is the least that a commit waits for this peer. Asked about once a second and connection. */
const roundTrip = seriesOf((peer) =>
  Metric.histogram("flaredb_peer_round_trip_seconds", {
    description: "seconds from a question to this peer to its answer, behind the messages sent before it",
    boundaries: secondsBuckets,
    attributes: { peer }
  })
)

/** A node that is up and cannot be reached shows here, and only here. */
const connected = seriesOf((peer) =>
  Metric.gauge("flaredb_peer_connected", {
    description: "1 while both connections to this peer are up",
    attributes: { peer }
  })
)

/** A peer that does not read as fast as it is sent to. Raft repeats what was dropped. */
const dropped = seriesOf((peer) =>
  Metric.counter("flaredb_peer_dropped_messages_total", {
    description: "messages to this peer that were dropped because its queue was full or the link was down",
    incremental: true,
    attributes: { peer }
  })
)

/** Promises do not rest on wall clocks; certificates, dates and people do. */
const clockOffset = seriesOf((peer) =>
  Metric.gauge("flaredb_peer_clock_offset_seconds", {
    description: "seconds that the wall clock of this peer is ahead of this node's",
    attributes: { peer }
  })
)
const clockUncertainty = seriesOf((peer) =>
  Metric.gauge("flaredb_peer_clock_uncertainty_seconds", {
    description: "seconds that the clock offset may be wrong by: half of the round trip",
    attributes: { peer }
  })
)

export interface PeerMetrics {
  readonly answered: (ms: number) => void
  readonly clock: (difference: ClockDifference) => void
  readonly health: (health: PeerHealth) => void
}

/** The updates of one peer, bound to a metric registry. */
export const make = (peer: number, context: Context.Context<never>): PeerMetrics => {
  const label = String(peer)
  const answered = roundTrip(label)
  const up = connected(label)
  const lost = dropped(label)
  let known = 0
  return {
    answered: (ms) => answered.updateUnsafe(ms / 1_000, context),
    clock: ({ offsetMs, uncertaintyMs }) => {
      clockOffset(label).updateUnsafe(offsetMs / 1_000, context)
      clockUncertainty(label).updateUnsafe(uncertaintyMs / 1_000, context)
    },
    health: (health) => {
      up.updateUnsafe(health.connected ? 1 : 0, context)
      lost.updateUnsafe(health.dropped - known, context)
      known = health.dropped
    }
  }
}

/** {@link make} for the running fiber's registry. */
export const forPeers: Effect.Effect<(peer: number) => PeerMetrics> = Effect.map(
  Effect.context<never>(),
  (context) => (peer) => make(peer, context)
)
