/**
 * Tables that refuse or evict at a limit, measured against that limit: a table that fills is visible before it is full.
 *
 * Each owner of tables samples its own, so the hot path pays nothing. A peak between two samples is not seen.
 */
import { Effect, Metric } from "effect"
import type { Scope } from "effect"
import { lookEvery } from "./CoalescedSleep.ts"
import { seriesOf } from "./MetricSeries.ts"

/** One table of a node. */
export interface BoundedTable {
  /** Its name in metrics and logs, for example `sessions`. */
  readonly table: string
  /** What is in it now, in the unit of the limit. Called once a second. */
  readonly entries: () => number
  readonly limit: number
  /** The limit's name in the configuration and in `Overloaded`; for a fixed limit, the constant of that name. */
  readonly setting: string
}

/** How often tables are looked at, in milliseconds. */
export const sampleMs = 1_000

/**
 * Shares of the limit: a table is reported when it comes to the first, and again only after it fell below the second.
 */
export const warnShare = 0.8
export const calmShare = 0.7

/** What is in the table. At the limit, more is refused or something idle is evicted. */
const entriesGauge = seriesOf((table) =>
  Metric.gauge("flaredb_table_entries", {
    description: "what is in a bounded table of this node",
    attributes: { table }
  })
)

/** The other half: alert on entries over limit. */
const limitGauge = seriesOf((table) =>
  Metric.gauge("flaredb_table_limit", {
    description: "the limit of a bounded table of this node",
    attributes: { table }
  })
)

/**
 * Publishes `flaredb_table_entries` and `flaredb_table_limit` for each of the tables while the scope is open, and
 * warns in the log once each time a table comes to {@link warnShare} of its limit.
 */
export const watchTables = Effect.fnUntraced(function*(
  tables: ReadonlyArray<BoundedTable>
): Effect.fn.Return<void, never, Scope.Scope> {
  const context = yield* Effect.context<never>()
  const fork = Effect.runForkWith(context)
  const samples = tables.map(({ entries, limit, setting, table }) => {
    const gauge = entriesGauge(table)
    limitGauge(table).updateUnsafe(limit, context)
    let warned = false
    return () => {
      const count = entries()
      gauge.updateUnsafe(count, context)
      if (count < limit * calmShare) warned = false
      if (warned || count < limit * warnShare) return
      warned = true
      fork(
        Effect.annotateLogs(
          Effect.logWarning(`the table ${table} is at ${count} of ${limit} (${setting})`),
          { table, entries: count, limit, setting }
        )
      )
    }
  })
  const sample = () => {
    for (const look of samples) look()
  }
  sample()
  yield* lookEvery(sampleMs, sample)
})
